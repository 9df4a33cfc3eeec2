// Takes what is owed, rings, and settles. Memory holds what is in flight and what was just announced; everything
// else waits in the store, so an outage of any length costs no memory.
import type { Keyring } from "../keys/types.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { DueNews, Ring, Settlement, Store } from "../store/types.ts";
import { createFlights } from "./flights.ts";
import { newLane, probingNow, withNewCredential } from "./lane.ts";
import { createLanes, type Lane, queueKey, roomOf } from "./lanes.ts";
import { createNews } from "./news.ts";
import { createPuller, STORE_RETRY_MS } from "./puller.ts";
import { createRingLog } from "./ring-log.ts";
import { createRingMemory, type RingMemory } from "./ring-memory.ts";
import type { QueueSender } from "./senders.ts";
import { createStallWatch } from "./stall-watch.ts";
import { realTimers, type Timers } from "./timers.ts";
import { createUnserved, NO_CREDENTIAL } from "./unserved.ts";

export interface DispatcherOptions {
  readonly store: Pick<Store, "due" | "nextDueAt" | "begin" | "settle" | "counts">;
  readonly senders: readonly QueueSender[];
  readonly keyring: Pick<Keyring, "logId">;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "rings" | "ringSeconds" | "providerPaused" | "deliveryStalled">;
  /** For so long rings may be due without one being accepted; then the connections are made anew. Milliseconds. */
  readonly stalledAfterMs: number;
  /** Whether this node rings at the moment; asked before each ring. Default: always. */
  readonly mayRing?: () => boolean;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  readonly timers?: Timers;
}

export interface StalledQueue {
  readonly app: string;
  readonly provider: string;
}

export interface PausedQueue extends StalledQueue {
  readonly reason: string;
}

/** Signs of the dispatcher's own life. A provider that is down leaves both at rest. */
export interface DispatcherSigns {
  /** For how long the oldest ring has been without an answer, milliseconds; 0 without one. */
  readonly oldestFlightMs: number;
  /** By how much the latest look for what is due is late, milliseconds. */
  readonly overdueMs: number;
}

export interface Dispatcher {
  /** Connects, and rings for what was owed before the start. */
  start(): void;
  /**
   * Begins nothing new, lets rings in flight end for up to `graceMs`, and notes how they ended. Asked a second
   * time, it hurries.
   */
  stop(graceMs: number): Promise<void>;
  /** These registrations have something to ring for, now or later. */
  notify(news: readonly DueNews[]): void;
  /** What is due may have changed without news: the clock was set, or this node rings from now on. */
  lookAgain(): void;
  /** This node rings from now on: connects, so that the first ring need not wait for it, and rings what is owed. */
  takeUp(): void;
  /** Resolves once no ring is on its way and all that ended are noted; whether others begin meanwhile is the owner's. */
  idle(): Promise<void>;
  /**
   * Rings with these from now on. A queue whose sender is the same object as before goes on untouched, but for a
   * pause, which is probed at once unless it is a quota's; of others, rings in flight end over the old sender, which is stopped after them, and a pause is probed at once. Queues
   * without a sender keep what they owe.
   */
  replaceSenders(senders: readonly QueueSender[]): void;
  /** Queues that are not rung at present, those without a credential among them (`no_credential`). */
  paused(): readonly PausedQueue[];
  /** Queues where rings are due and none gets through, although nothing says why. */
  stalled(): readonly StalledQueue[];
  signs(): DispatcherSigns;
  /** What `status` tells of the rings. */
  readonly memory: Pick<RingMemory, "pauses" | "times" | "answersTo">;
  /** Whether a ring for this registration is on its way, or answered and not yet noted. */
  isRinging(registrationId: string): boolean;
  /** Rings that are on their way. */
  readonly inFlight: number;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { store, now, monotonicNow } = options;
  const timers = options.timers ?? realTimers;
  const mayRing = options.mayRing ?? (() => true);
  const common = { ...options, timers, mayRing };
  const ringLog = createRingMemory(createRingLog(options), now);
  const lanes = createLanes();
  // Who waits until no ring is on its way.
  const waiting: (() => void)[] = [];
  let started = false;
  let stopping = false;

  const flights = createFlights({
    ...common,
    ringLog,
    answered: (lane, verdict) => watch.answered(lane, verdict.kind),
    landed,
  });
  const puller = createPuller({
    ...common,
    isFlying: flights.has,
    launch: (ring, probe) => launch(ring, news.takeOrigin(ring.registrationId), probe),
    storeFailed: ringLog.storeFailed,
  });
  const unserved = createUnserved({
    ...common,
    ringLog,
    isServed: (queue) => lanes.of(queue) !== undefined,
  });
  const watch = createStallWatch({
    ...common,
    lanes,
    ringLog,
    renewed(lane) {
      if (lane.state.pause?.why === "trouble") lane.state = probingNow(lane.state, monotonicNow());
      puller.pull(lane);
    },
  });
  const news = createNews({
    now,
    isFlying: flights.has,
    hasRoom({ queue }) {
      if (!mayRing()) return false;
      const lane = lanes.of(queue);
      if (lane === undefined) unserved.note(queue);
      else if (roomOf(lane) > 0) return true;
      else lane.more = true;
      return false;
    },
    later({ queue, at }) {
      const lane = lanes.of(queue);
      if (lane !== undefined) puller.arm(lane, at - now());
    },
    begin: (ids) => store.begin(ids),
    launch: (ring, origin) => launch(ring, origin, false),
    leave(left, because, error) {
      if (because === "store") ringLog.storeFailed(error);
      for (const { queue } of left) {
        const lane = lanes.of(queue);
        if (lane === undefined) continue;
        lane.more = true;
        puller.arm(lane, STORE_RETRY_MS);
      }
    },
  });

  /** Sends a ring if its queue takes it now; otherwise it stays in the store. */
  function launch(ring: Ring, origin: DueNews["origin"], probe: boolean): void {
    const { app, platform, registrationId } = ring;
    const queue = { app, platform };
    const lane = lanes.of(queue);
    if (lane === undefined) {
      unserved.note(queue);
    } else if (stopping || !mayRing()) {
      return;
    } else if (flights.has(registrationId)) {
      news.announce([{ registrationId, queue, at: now(), origin }]);
    } else if (probe ? lane.flying.size > 0 : roomOf(lane) === 0) {
      news.keepOrigin(registrationId, origin);
      lane.more = true;
    } else {
      flights.begin(lane, ring, origin, probe);
    }
  }

  function landed(lane: Lane, settlement: Settlement, origin: DueNews["origin"]): void {
    if (flights.size === 0) for (const resolve of waiting.splice(0)) resolve();
    const { registrationId } = settlement.ring;
    // Before what was announced meanwhile, which has a newer one.
    if (settlement.kind === "again") news.keepOrigin(registrationId, origin);
    news.landed(registrationId);
    if (settlement.kind === "again") puller.arm(lane, (settlement.notBefore ?? settlement.at) - now());
    const { pause, window } = lane.state;
    if (pause !== null) puller.arm(lane, pause.probeAt - monotonicNow());
    else if (lane.more && lane.flying.size <= window / 2) puller.pull(lane);
  }

  function open({ queue, sender }: QueueSender): void {
    const state = newLane(monotonicNow());
    const lane: Lane = { queue, sender, state, flying: new Set(), unanswered: 0, more: false };
    lanes.add(lane);
    if (!started) return;
    sender.warm();
    puller.add(lane);
  }

  function close(lane: Lane): void {
    const { pause } = lane.state;
    if (pause !== null) ringLog.pauseGone(lane.queue, pause);
    lanes.remove(lane);
    puller.drop(lane);
    watch.drop(lane);
    flights.retire(lane.sender);
    ringLog.senderReplaced(lane.queue, "none");
  }

  function exchange(lane: Lane, { sender }: QueueSender): void {
    const old = lane.sender;
    lane.sender = sender;
    lane.state = withNewCredential(lane.state, monotonicNow());
    sender.warm();
    flights.retire(old);
    ringLog.senderReplaced(lane.queue, "new");
    puller.pull(lane);
  }

  /** What was repaired may lie outside the configuration. What the provider asked to wait for is waited for. */
  function probeSoon(lane: Lane): void {
    if (lane.state.pause === null || lane.state.pause.why === "quota") return;
    lane.state = probingNow(lane.state, monotonicNow());
    puller.pull(lane);
  }

  for (const each of options.senders) open(each);

  return {
    start() {
      started = true;
      for (const lane of lanes) {
        lane.sender.warm();
        puller.add(lane);
      }
      watch.start();
      void unserved.survey();
    },

    notify(due) {
      // Whoever rings finds them in the store.
      if (mayRing()) news.announce(due);
    },

    lookAgain() {
      for (const lane of lanes) puller.arm(lane, 0);
    },

    takeUp() {
      if (!started) return;
      for (const lane of lanes) {
        lane.sender.warm();
        puller.arm(lane, 0);
      }
    },

    idle() {
      if (flights.size === 0) return Promise.resolve();
      return new Promise((resolve) => waiting.push(resolve));
    },

    replaceSenders(senders) {
      if (stopping) {
        const inUse = new Set([...lanes].map(({ sender }) => sender));
        for (const { sender } of senders) if (!inUse.has(sender)) sender.stop();
        return;
      }
      const named = new Set(senders.map(({ queue }) => queueKey(queue)));
      for (const lane of [...lanes]) if (!named.has(queueKey(lane.queue))) close(lane);
      for (const each of senders) {
        const lane = lanes.of(each.queue);
        if (lane === undefined) open(each);
        else if (lane.sender !== each.sender) exchange(lane, each);
        else probeSoon(lane);
      }
      void unserved.survey();
    },

    async stop(graceMs) {
      stopping = true;
      const quiet = [news.stop(), puller.stop(), watch.stop(), unserved.stop()];
      await flights.drain(
        graceMs,
        [...lanes].map(({ sender }) => sender),
      );
      await Promise.all(quiet);
    },

    paused: () => [
      ...[...lanes].flatMap(({ queue, state: { pause } }) =>
        pause === null ? [] : [{ app: queue.app, provider: queue.platform, reason: pause.reason }],
      ),
      ...unserved.queues.map(({ app, platform }) => ({ app, provider: platform, reason: NO_CREDENTIAL })),
    ],

    stalled: () =>
      [...lanes].filter(watch.isStalled).map(({ queue }) => ({ app: queue.app, provider: queue.platform })),

    memory: ringLog,

    isRinging: flights.has,

    signs: () => ({ oldestFlightMs: flights.oldestMs, overdueMs: puller.overdueMs }),

    get inFlight() {
      return flights.size;
    },
  };
}
