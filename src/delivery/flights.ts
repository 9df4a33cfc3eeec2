// Rings on their way: sent, judged by their answer, noted in the store, landed. One at a time for a phone.
import type { Logger } from "../ops/log.ts";
import type { DueNews, Ring, Settlement, Store } from "../store/types.ts";
import { type Answer, judge, judgeReplaced } from "./lane.ts";
import type { Lane } from "./lanes.ts";
import type { Verdict } from "./outcome.ts";
import type { RingLog } from "./ring-log.ts";
import type { Sender } from "./sender.ts";
import { createSettler, settlementOf } from "./settler.ts";
import type { Timers } from "./timers.ts";

export interface FlightsOptions {
  readonly store: Pick<Store, "settle">;
  readonly log: Logger;
  readonly ringLog: RingLog;
  readonly timers: Timers;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  /** A ring was answered; the queue's state is the one after it. */
  readonly answered: (lane: Lane, verdict: Verdict) => void;
  /** The ring's end is noted, or given up on because of the stop: its phone may be rung again. */
  readonly landed: (lane: Lane, settlement: Settlement, origin: DueNews["origin"]) => void;
}

export interface Flights {
  begin(lane: Lane, ring: Ring, origin: DueNews["origin"], probe: boolean): void;
  has(registrationId: string): boolean;
  readonly size: number;
  /** For how long the oldest ring has been without an answer, milliseconds; 0 without one. */
  readonly oldestMs: number;
  /** Stops a sender that is no longer used, once the last ring on its way over it has been answered. */
  retire(sender: Sender): void;
  /**
   * Lets what is on its way end, for up to `graceMs`; then stops these senders and notes what there is to note.
   * Asked a second time, it does not wait any longer.
   */
  drain(graceMs: number, senders: readonly Sender[]): Promise<void>;
}

// A stopped sender answers for its rings at once; one that does not is not waited for. Milliseconds.
const LAST_WORD_MS = 1_000;

interface Flight {
  readonly lane: Lane;
  readonly sender: Sender;
  readonly probe: boolean;
  readonly origin: DueNews["origin"];
  /** Epoch and monotonic milliseconds. */
  readonly begunAt: number;
  readonly begunMonotonic: number;
  answered: boolean;
}

export function createFlights(options: FlightsOptions): Flights {
  const { ringLog, timers, now, monotonicNow, random } = options;
  const flights = new Map<string, Flight>();
  // Without an answer, by the sender that they are on.
  const aloft = new Map<Sender, number>();
  const retired = new Set<Sender>();
  let draining = false;
  let hurry: (() => void) | null = null;
  // Called with each ring that lands or is answered, while the stop waits for it.
  let progressed: (() => void) | null = null;
  const settler = createSettler({ ...options, landed });

  function begin(lane: Lane, ring: Ring, origin: DueNews["origin"], probe: boolean): void {
    const { sender } = lane;
    const flight: Flight = {
      lane,
      sender,
      probe,
      origin,
      begunAt: now(),
      begunMonotonic: monotonicNow(),
      answered: false,
    };
    lane.flying.add(ring.registrationId);
    lane.unanswered += 1;
    flights.set(ring.registrationId, flight);
    aloft.set(sender, (aloft.get(sender) ?? 0) + 1);
    sender.send(ring).then(
      (verdict) => concluded(flight, ring, verdict),
      (error: unknown) => {
        ringLog.defect(error);
        concluded(flight, ring, { kind: "transient", reason: "internal", retryAfterMs: null });
      },
    );
  }

  function concluded(flight: Flight, ring: Ring, verdict: Verdict): void {
    const { lane, sender } = flight;
    flight.answered = true;
    lane.unanswered -= 1;
    aloft.set(sender, (aloft.get(sender) ?? 1) - 1);
    stopIfUnused(sender);
    progressed?.();
    const at = now();
    // Cut off by the stop: nothing is known, and nothing has to be written for it to stay owed.
    if (draining && verdict.kind === "unreachable") {
      landed({ ring, kind: "again", outcome: verdict.reason, at, counts: false });
      return;
    }
    const answer: Answer = {
      platform: ring.platform,
      verdict,
      attempt: ring.attempt,
      probe: flight.probe,
      now: monotonicNow(),
      random: random(),
    };
    ringLog.rang(ring, verdict, flight.origin);
    // What a credential that was replaced meanwhile met says nothing about the one in use.
    if (sender !== lane.sender) {
      settler.add(settlementOf(ring, judgeReplaced(answer), at, flight.begunAt));
      return;
    }
    const before = lane.state.pause;
    const judged = judge(lane.state, answer);
    lane.state = judged.state;
    ringLog.pauseChanged(lane.queue, before, lane.state.pause);
    options.answered(lane, verdict);
    settler.add(settlementOf(ring, judged.fate, at, flight.begunAt));
  }

  function landed(settlement: Settlement): void {
    const id = settlement.ring.registrationId;
    const flight = flights.get(id);
    flights.delete(id);
    progressed?.();
    if (flight === undefined) return;
    flight.lane.flying.delete(id);
    options.landed(flight.lane, settlement, flight.origin);
  }

  function stopIfUnused(sender: Sender): void {
    if ((aloft.get(sender) ?? 0) > 0) return;
    aloft.delete(sender);
    if (retired.delete(sender)) sender.stop();
  }

  /** Waits for `done`, but not longer than `limitMs` nor beyond a second call of `drain`. */
  async function within(limitMs: number, done: () => boolean): Promise<void> {
    if (limitMs <= 0 || done()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    hurry = resolve;
    progressed = () => {
      if (done()) resolve();
    };
    const timer = timers.after(limitMs, resolve);
    await promise;
    timer.cancel();
    progressed = null;
    hurry = null;
  }

  return {
    begin,
    has: (registrationId) => flights.has(registrationId),

    get size() {
      return flights.size;
    },

    get oldestMs() {
      const now = monotonicNow();
      return [...flights.values()].reduce(
        (most, { answered, begunMonotonic }) => (answered ? most : Math.max(most, now - begunMonotonic)),
        0,
      );
    },

    retire(sender) {
      retired.add(sender);
      stopIfUnused(sender);
    },

    async drain(graceMs, senders) {
      if (draining) {
        hurry?.();
        return;
      }
      draining = true;
      await within(graceMs, () => flights.size === 0);
      // What is still on its way ends as "unreachable" and stays owed.
      for (const sender of new Set([...senders, ...retired])) sender.stop();
      retired.clear();
      // Their last words come a moment later: none may be noted once the store is closed.
      await within(LAST_WORD_MS, () => [...flights.values()].every(({ answered }) => answered));
      await settler.stop();
    },
  };
}
