// Takes what is owed, rings, and settles. Memory holds what is in flight and what was just announced; everything
// else waits in the store, so an outage of any length costs no memory.
import type { Keyring } from "../keys/types.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { DueNews, Queue, Ring, Settlement, Store } from "../store/types.ts";
import { judge, type LaneState, newLane } from "./lane.ts";
import type { Verdict } from "./outcome.ts";
import { createRingLog } from "./ring-log.ts";
import type { Sender } from "./sender.ts";
import type { QueueSender } from "./senders.ts";
import { createSettler, settlementOf } from "./settler.ts";
import { realTimers, type Timer, type Timers } from "./timers.ts";

export interface DispatcherOptions {
  readonly store: Pick<Store, "due" | "nextDueAt" | "begin" | "settle">;
  readonly senders: readonly QueueSender[];
  readonly keyring: Pick<Keyring, "logId">;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "rings" | "ringSeconds" | "providerPaused">;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  readonly timers?: Timers;
}

export interface PausedQueue {
  readonly app: string;
  readonly provider: string;
  readonly reason: string;
}

export interface Dispatcher {
  /** Connects, and rings for what was owed before the start. */
  start(): void;
  /**
   * Begins nothing new, lets rings in flight end for up to `graceMs`, and notes how they ended. Asked a second
   * time with a shorter grace, it hurries.
   */
  stop(graceMs: number): Promise<void>;
  /** These registrations have something to ring for. */
  notify(news: readonly DueNews[]): void;
  paused(): readonly PausedQueue[];
  /** Rings that are on their way. */
  readonly inFlight: number;
  /** For how long the oldest ring has been on its way, milliseconds; 0 without one. */
  readonly oldestFlightMs: number;
}

// Announced registrations kept in memory; beyond it the store is asked instead.
const MAX_ANNOUNCED = 5_000;
// Registrations begun in one turn of the event loop, so that notifications are answered in between.
const BATCH = 200;
// After the store could not be asked, milliseconds.
const STORE_RETRY_MS = 1_000;
// Every queue looks into the store at least this often, whatever was or was not announced, milliseconds.
const SWEEP_MS = 30_000;

type Origin = DueNews["origin"];

interface Lane {
  readonly queue: Queue;
  readonly sender: Sender;
  state: LaneState;
  readonly flying: Set<string>;
  /** The store may hold more that is due than was taken. */
  more: boolean;
  pulling: boolean;
  timer: Timer | null;
  /** When `timer` fires, monotonic milliseconds. */
  timerAt: number;
}

interface Flight {
  readonly lane: Lane;
  readonly probe: boolean;
  readonly origin: Origin;
  /** Epoch and monotonic milliseconds. */
  readonly begunAt: number;
  readonly begunMonotonic: number;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { store, now, monotonicNow, random } = options;
  const timers = options.timers ?? realTimers;
  const ringLog = createRingLog(options);
  const lanes = options.senders.map(
    ({ queue, sender }): Lane => ({
      queue,
      sender,
      state: newLane(monotonicNow()),
      flying: new Set(),
      more: false,
      pulling: false,
      timer: null,
      timerAt: Number.POSITIVE_INFINITY,
    }),
  );
  const flights = new Map<string, Flight>();
  const announced = new Map<string, Origin>();
  // Announced while its ring was in flight: looked at again when that ring has been noted.
  const again = new Map<string, Origin>();
  // Announced, but its queue had no room: the store is asked for it, and this still knows where it came from.
  const waiting = new Map<string, NonNullable<Origin>>();
  let beginning = false;
  let stopping = false;
  let immediate: ReturnType<typeof setImmediate> | null = null;
  let landedAll: (() => void) | null = null;
  let hurry: (() => void) | null = null;
  const settler = createSettler({ store, log: options.log, timers, monotonicNow, landed });

  const laneOf = (ring: Ring) =>
    lanes.find(({ queue }) => queue.app === ring.app && queue.platform === ring.platform);

  function schedule(): void {
    if (!stopping && !beginning && announced.size > 0) immediate ??= setImmediate(beginAnnounced);
  }

  function beginAnnounced(): void {
    immediate = null;
    if (beginning || stopping) return;
    const batch = new Map<string, Origin>();
    for (const [id, origin] of announced) {
      if (batch.size >= BATCH) break;
      announced.delete(id);
      if (flights.has(id)) again.set(id, origin);
      else batch.set(id, origin);
    }
    if (batch.size === 0) {
      schedule();
      return;
    }
    beginning = true;
    store
      .begin([...batch.keys()])
      .then(
        (rings) => {
          for (const ring of rings) launch(ring, batch.get(ring.registrationId) ?? null, false);
        },
        (error: unknown) => {
          ringLog.storeFailed(error);
          for (const lane of lanes) arm(lane, STORE_RETRY_MS);
        },
      )
      .finally(() => {
        beginning = false;
        schedule();
      });
  }

  /** Sends a ring if its queue takes it now; otherwise it stays in the store. */
  function launch(ring: Ring, origin: Origin, probe: boolean): void {
    const id = ring.registrationId;
    const lane = laneOf(ring);
    if (lane === undefined) {
      ringLog.noSender(ring);
      return;
    }
    if (stopping) return;
    if (flights.has(id)) {
      again.set(id, origin);
      return;
    }
    const { pause, window } = lane.state;
    if (pause !== null ? !probe || lane.flying.size > 0 : lane.flying.size >= window) {
      if (origin !== null && waiting.size < MAX_ANNOUNCED) waiting.set(id, origin);
      lane.more = true;
      arm(lane, pause === null ? SWEEP_MS : pause.probeAt - monotonicNow());
      return;
    }
    const flight: Flight = {
      lane,
      probe,
      origin: origin ?? waiting.get(id) ?? null,
      begunAt: now(),
      begunMonotonic: monotonicNow(),
    };
    waiting.delete(id);
    lane.flying.add(id);
    flights.set(id, flight);
    lane.sender.send(ring).then(
      (verdict) => concluded(flight, ring, verdict),
      (error: unknown) => {
        ringLog.defect(error);
        concluded(flight, ring, { kind: "transient", reason: "internal", retryAfterMs: null });
      },
    );
  }

  function concluded(flight: Flight, ring: Ring, verdict: Verdict): void {
    const { lane, probe } = flight;
    const at = now();
    // Cut off by the stop: nothing is known, and nothing has to be written for it to stay owed.
    if (stopping && verdict.kind === "unreachable") {
      landed({ ring, kind: "again", outcome: verdict.reason, at, counts: false });
      return;
    }
    const before = lane.state.pause;
    const judged = judge(lane.state, {
      platform: ring.platform,
      verdict,
      attempt: ring.attempt,
      probe,
      now: monotonicNow(),
      random: random(),
    });
    lane.state = judged.state;
    ringLog.rang(ring, verdict, flight.origin);
    ringLog.pauseChanged(lane.queue, before, lane.state.pause);
    settler.add(settlementOf(ring, judged.fate, at, flight.begunAt));
  }

  /** The ring's end is noted (or, at a stop, given up on): the phone may be rung again. */
  function landed(settlement: Settlement): void {
    const id = settlement.ring.registrationId;
    const lane = flights.get(id)?.lane;
    flights.delete(id);
    const origin = again.get(id);
    if (origin !== undefined) {
      again.delete(id);
      announced.set(id, origin);
      schedule();
    }
    if (flights.size === 0) landedAll?.();
    if (lane === undefined) return;
    lane.flying.delete(id);
    if (settlement.kind === "again") {
      arm(lane, (settlement.notBefore ?? settlement.at) - now());
    }
    const { pause, window } = lane.state;
    if (pause !== null) arm(lane, pause.probeAt - monotonicNow());
    else if (lane.more && lane.flying.size <= window / 2) pull(lane);
  }

  /** Looks into the store for what the queue may ring now. */
  function pull(lane: Lane): void {
    if (stopping || lane.pulling) return;
    const { pause, window } = lane.state;
    const untilProbeMs = pause === null ? 0 : pause.probeAt - monotonicNow();
    const room = pause === null ? Math.min(BATCH, window - lane.flying.size) : 1;
    if (untilProbeMs > 0 || room <= 0 || (pause !== null && lane.flying.size > 0)) {
      // Landing rings look again; the sweep is for the case that none does.
      arm(lane, untilProbeMs > 0 ? untilProbeMs : SWEEP_MS);
      return;
    }
    lane.more = false;
    lane.pulling = true;
    take(lane, room, pause !== null).then(
      () => {
        lane.pulling = false;
        if (lane.more && lane.state.pause === null && lane.flying.size < lane.state.window) pull(lane);
      },
      (error: unknown) => {
        lane.pulling = false;
        lane.more = true;
        ringLog.storeFailed(error);
        arm(lane, STORE_RETRY_MS);
      },
    );
  }

  async function take(lane: Lane, room: number, probe: boolean): Promise<void> {
    // Rings in flight are still listed as due: asked for so many more, there is always something new among them.
    const limit = room + lane.flying.size;
    const ids = await store.due(lane.queue, now(), limit);
    const fresh = ids.filter((id) => !flights.has(id)).slice(0, room);
    const rings = fresh.length === 0 ? [] : await store.begin(fresh);
    // A full answer means that there may be more; one without a ring that can begin means that there is none now.
    if (ids.length >= limit && rings.length > 0) lane.more = true;
    for (const ring of rings) launch(ring, null, probe);
    const next = await store.nextDueAt(lane.queue, now());
    arm(lane, Math.min(SWEEP_MS, next === null ? SWEEP_MS : next - now()));
  }

  /** Makes the queue look into the store after `delayMs`, or earlier if that was planned already. */
  function arm(lane: Lane, delayMs: number): void {
    if (stopping) return;
    const at = monotonicNow() + Math.max(0, delayMs);
    if (lane.timer !== null) {
      if (lane.timerAt <= at) return;
      lane.timer.cancel();
    }
    lane.timerAt = at;
    lane.timer = timers.after(at - monotonicNow(), () => {
      lane.timer = null;
      pull(lane);
    });
  }

  /** Waits for `done`, but not longer than `limitMs` nor beyond a second call of `stop`. */
  async function within(limitMs: number, done: Promise<void>): Promise<void> {
    if (limitMs <= 0) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    hurry = resolve;
    const timer = timers.after(limitMs, resolve);
    await Promise.race([done, late]);
    timer.cancel();
  }

  return {
    start() {
      for (const lane of lanes) {
        lane.sender.warm();
        pull(lane);
      }
    },

    notify(news) {
      if (stopping) return;
      for (const { registrationId, origin } of news) {
        if (flights.has(registrationId)) again.set(registrationId, origin);
        else if (announced.size < MAX_ANNOUNCED) announced.set(registrationId, origin);
        else {
          for (const lane of lanes) {
            lane.more = true;
            arm(lane, STORE_RETRY_MS);
          }
        }
      }
      schedule();
    },

    async stop(graceMs) {
      if (stopping) {
        hurry?.();
        return;
      }
      stopping = true;
      if (immediate !== null) clearImmediate(immediate);
      for (const lane of lanes) lane.timer?.cancel();
      const allLanded = new Promise<void>((resolve) => {
        landedAll = resolve;
        if (flights.size === 0) resolve();
      });
      await within(graceMs, allLanded);
      // What is still on its way ends as "unreachable" and stays owed.
      for (const lane of lanes) lane.sender.stop();
      await settler.stop();
    },

    paused: () =>
      lanes.flatMap(({ queue, state }) =>
        state.pause === null
          ? []
          : [{ app: queue.app, provider: queue.platform, reason: state.pause.reason }],
      ),

    get inFlight() {
      return flights.size;
    },

    get oldestFlightMs() {
      const [oldest] = flights.values();
      return oldest === undefined ? 0 : monotonicNow() - oldest.begunMonotonic;
    },
  };
}
