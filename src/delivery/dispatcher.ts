// Takes what is owed, rings, and settles. Memory holds what is in flight and what was just announced; everything
// else waits in the store, so an outage of any length costs no memory.
import type { Keyring } from "../keys/types.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { DueNews, Queue, Ring, Settlement, Store } from "../store/types.ts";
import { hintFor, reasonLabel } from "./hints.ts";
import { judge, type LaneState, newLane } from "./lane.ts";
import type { Verdict } from "./outcome.ts";
import { createQuietLog } from "./quiet-log.ts";
import type { QueueSender } from "./senders.ts";
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
  /** Begins nothing new, lets rings in flight end for up to `graceMs`, and notes how they ended. */
  stop(graceMs: number): Promise<void>;
  /** These registrations have something to ring for. */
  notify(news: readonly DueNews[]): void;
  paused(): readonly PausedQueue[];
  /** Rings that are on their way. */
  readonly inFlight: number;
}

// Rings in flight of one queue: what four connections of 100 streams carry.
const MAX_IN_FLIGHT = 400;
// Announced registrations kept in memory; beyond it the store is asked instead.
const MAX_ANNOUNCED = 5_000;
// After a commit failed, and when the store could not be asked, milliseconds.
const STORE_RETRY_MS = 1_000;
// A kind of failure is told once in this time, milliseconds.
const QUIET_MS = 60_000;

interface Lane {
  readonly queue: Queue;
  readonly sender: QueueSender["sender"];
  state: LaneState;
  readonly flying: Set<string>;
  /** The store may hold more that is due than was taken. */
  more: boolean;
  pulling: boolean;
  timer: Timer | null;
}

type Origin = DueNews["origin"];

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { store, log, metrics, now, monotonicNow, random } = options;
  const timers = options.timers ?? realTimers;
  const quiet = createQuietLog(QUIET_MS, monotonicNow);
  const lanes = options.senders.map(
    ({ queue, sender }): Lane => ({
      queue,
      sender,
      state: newLane(monotonicNow()),
      flying: new Set(),
      more: false,
      pulling: false,
      timer: null,
    }),
  );
  const flying = new Map<string, Lane>();
  const announced = new Map<string, Origin>();
  // Announced while its ring was in flight: looked at again when that ring has been settled.
  const again = new Map<string, Origin>();
  let settlements: Settlement[] = [];
  let beginning = false;
  let stopping = false;
  let immediate: ReturnType<typeof setImmediate> | null = null;
  let settleTimer: Timer | null = null;
  let settling: Promise<void> = Promise.resolve();
  let landed: (() => void) | null = null;

  const laneOf = (ring: Ring) =>
    lanes.find(({ queue }) => queue.app === ring.app && queue.platform === ring.platform);

  function schedule(): void {
    if (!stopping) immediate ??= setImmediate(beginAnnounced);
  }

  function beginAnnounced(): void {
    immediate = null;
    if (beginning || stopping || announced.size === 0) return;
    const batch = new Map(announced);
    announced.clear();
    beginning = true;
    store
      .begin([...batch.keys()].filter((id) => !flying.has(id)))
      .then((rings) => {
        for (const ring of rings) launch(ring, batch.get(ring.registrationId) ?? null);
      })
      .catch((error: unknown) => storeFailed(error))
      .finally(() => {
        beginning = false;
        if (announced.size > 0) schedule();
      });
  }

  function storeFailed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    quiet.say("store", (suppressed) =>
      log.error({ reason, suppressed }, "The database could not be asked for what is owed."),
    );
    for (const lane of lanes) arm(lane, STORE_RETRY_MS);
  }

  /** Sends a ring if its queue takes it now; otherwise it stays in the store. */
  function launch(ring: Ring, origin: Origin, probe = false): void {
    const lane = laneOf(ring);
    if (lane === undefined) {
      quiet.say(`no sender ${ring.app}`, () =>
        log.error(
          { app: ring.app, platform: ring.platform },
          "No credential is configured for this app; its rings stay owed.",
        ),
      );
      return;
    }
    if (stopping || flying.has(ring.registrationId)) return;
    if (lane.state.pause !== null && !probe) {
      armProbe(lane);
      return;
    }
    if (lane.flying.size >= MAX_IN_FLIGHT) {
      lane.more = true;
      return;
    }
    lane.flying.add(ring.registrationId);
    flying.set(ring.registrationId, lane);
    lane.sender
      .send(ring)
      .then((verdict) => concluded(lane, ring, verdict, origin))
      .catch((error: unknown) => {
        // A sender does not reject; if it does, the ring is tried again and the defect is told.
        const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
        quiet.say("defect", () =>
          log.error({ reason }, "A ring failed in a way that should not be possible."),
        );
        concluded(lane, ring, { kind: "transient", reason: "internal", retryAfterMs: null }, origin);
      });
  }

  function concluded(lane: Lane, ring: Ring, verdict: Verdict, origin: Origin): void {
    const before = lane.state.pause;
    const at = now();
    const judged = judge(ring.platform, lane.state, verdict, ring.attempt, monotonicNow(), random());
    lane.state = judged.state;
    const { fate } = judged;
    metrics.rings.inc({ app: ring.app, provider: ring.platform, outcome: verdict.kind });
    if (verdict.kind === "accepted" && origin !== null) {
      metrics.ringSeconds.observe({ provider: ring.platform }, (monotonicNow() - origin.receivedAtMs) / 1000);
    }
    tell(lane, ring, verdict, origin);
    tellPause(lane, before);
    const settlement: Settlement =
      fate.kind === "again"
        ? {
            ring,
            kind: "again",
            outcome: fate.outcome,
            at,
            notBefore: at + fate.delayMs,
            counts: fate.counts,
          }
        : fate.kind === "dead"
          ? { ring, kind: "dead", outcome: fate.outcome, at, ends: fate.ends }
          : { ring, kind: "done", outcome: fate.outcome, at };
    settlements.push(settlement);
    settleTimer ??= timers.after(0, flush);
  }

  function flush(): void {
    settleTimer = null;
    const batch = settlements;
    settlements = [];
    if (batch.length === 0) return;
    settling = store
      .settle(batch)
      .then(() => {
        for (const { ring } of batch) land(ring);
      })
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        quiet.say("settle", (suppressed) =>
          log.error({ reason, suppressed }, "Ended rings could not be noted; it is tried again."),
        );
        if (stopping) {
          // What could not be noted stays owed and is rung again after the start: twice rather than never.
          for (const { ring } of batch) land(ring);
          return;
        }
        settlements.unshift(...batch);
        settleTimer ??= timers.after(STORE_RETRY_MS, flush);
      });
  }

  function land(ring: Ring): void {
    const id = ring.registrationId;
    const lane = flying.get(id);
    flying.delete(id);
    lane?.flying.delete(id);
    const origin = again.get(id);
    if (origin !== undefined) {
      again.delete(id);
      announced.set(id, origin);
      schedule();
    }
    if (lane !== undefined) {
      if (lane.state.pause !== null) armProbe(lane);
      else if (lane.more && lane.flying.size <= MAX_IN_FLIGHT / 2) pull(lane);
      else if (lane.timer === null) arm(lane, 0);
    }
    if (flying.size === 0) landed?.();
  }

  /** Looks into the store for what the lane may ring now. */
  function pull(lane: Lane): void {
    if (stopping || lane.pulling) return;
    const { pause } = lane.state;
    if (pause !== null && (monotonicNow() < pause.probeAt || lane.flying.size > 0)) {
      armProbe(lane);
      return;
    }
    const room = pause === null ? MAX_IN_FLIGHT - lane.flying.size : 1;
    lane.more = false;
    lane.pulling = true;
    // Rings in flight are still listed as due: asked for so many more, there is always something new among them.
    const limit = room + lane.flying.size;
    store
      .due(lane.queue, now(), limit)
      .then(async (ids) => {
        lane.more = ids.length >= limit;
        const rings = await store.begin(ids.filter((id) => !flying.has(id)).slice(0, room));
        for (const ring of rings) launch(ring, null, pause !== null);
        lane.pulling = false;
        if (rings.length === 0) await armForNext(lane);
      })
      .catch((error: unknown) => {
        lane.pulling = false;
        storeFailed(error);
      });
  }

  async function armForNext(lane: Lane): Promise<void> {
    const next = await store.nextDueAt(lane.queue, now());
    if (next !== null) arm(lane, next - now());
  }

  function armProbe(lane: Lane): void {
    if (lane.state.pause !== null) arm(lane, lane.state.pause.probeAt - monotonicNow());
  }

  function arm(lane: Lane, delayMs: number): void {
    if (stopping) return;
    lane.timer?.cancel();
    lane.timer = timers.after(Math.max(0, delayMs), () => {
      lane.timer = null;
      pull(lane);
    });
  }

  function tell(lane: Lane, ring: Ring, verdict: Verdict, origin: Origin): void {
    const fields = {
      ...(origin === null ? {} : { correlationId: origin.correlationId }),
      registration: options.keyring.logId(ring.registrationId),
      app: ring.app,
      provider: ring.platform,
      reason: ring.reason,
      attempt: ring.attempt + 1,
      outcome: "reason" in verdict ? verdict.reason : verdict.kind,
    };
    switch (verdict.kind) {
      case "accepted":
        log.debug(fields, "Rang.");
        return;
      case "our_bug":
        log.error(fields, "The provider refused a ring as malformed; it was given up. Please report this.");
        return;
      case "token_dead":
      case "token_bad":
        log.info(
          fields,
          "The provider says that this token is dead; the phone is not rung until it registers again.",
        );
        return;
      case "configuration":
      case "auth_hold":
      case "unreachable":
      case "project_quota":
      case "transient":
      case "device_slow":
      case "token_doubtful":
        quiet.say(`${lane.queue.app} ${lane.queue.platform} ${verdict.reason}`, (suppressed) =>
          log.warn({ ...fields, suppressed }, "A ring did not get through; it is tried again."),
        );
    }
  }

  function tellPause(lane: Lane, before: LaneState["pause"]): void {
    const { pause } = lane.state;
    const labels = { app: lane.queue.app, provider: lane.queue.platform };
    if (before !== null && before.reason !== pause?.reason) {
      metrics.providerPaused.set({ ...labels, reason: reasonLabel(before.reason) }, 0);
    }
    if (pause === null) {
      if (before === null) return;
      log.info(labels, "Ringing again: the provider accepts this app's rings.");
      pull(lane);
      return;
    }
    metrics.providerPaused.set({ ...labels, reason: reasonLabel(pause.reason) }, 1);
    if (before?.reason === pause.reason) return;
    const why = pause.why === "bad_tokens" ? "configuration" : pause.why;
    log.error(
      { ...labels, reason: pause.reason },
      `Paused this app's rings; nothing is lost. ${hintFor(pause.reason, why)}`,
    );
  }

  /** Waits for `done`, but not longer than `limitMs`. */
  async function within(limitMs: number, done: Promise<void>): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
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
        if (flying.has(registrationId)) again.set(registrationId, origin);
        else if (announced.size < MAX_ANNOUNCED) announced.set(registrationId, origin);
        else for (const lane of lanes) lane.more = true;
      }
      schedule();
    },

    async stop(graceMs) {
      stopping = true;
      if (immediate !== null) clearImmediate(immediate);
      for (const lane of lanes) lane.timer?.cancel();
      const allLanded = new Promise<void>((resolve) => {
        landed = resolve;
        if (flying.size === 0) resolve();
      });
      await within(graceMs, allLanded);
      // What is still on its way ends as "unreachable" and is settled as owed.
      for (const lane of lanes) lane.sender.stop();
      await within(STORE_RETRY_MS, allLanded);
      settleTimer?.cancel();
      flush();
      await settling;
    },

    paused: () =>
      lanes.flatMap(({ queue, state }) =>
        state.pause === null
          ? []
          : [{ app: queue.app, provider: queue.platform, reason: state.pause.reason }],
      ),

    get inFlight() {
      return flying.size;
    },
  };
}
