// Looks at every queue now and then, and does what the rule in stall.ts says: connections anew, then an alarm. It
// never touches the node's readiness: no restart ends a stall at Apple or Google.
import type { Store } from "../store/types.ts";
import type { Lane, Lanes } from "./lanes.ts";
import type { VerdictKind } from "./outcome.ts";
import type { RingLog } from "./ring-log.ts";
import { hearAnswer, lookAtQueue, type StallState, type StallStep, WATCHING } from "./stall.ts";
import type { Timer, Timers } from "./timers.ts";

export interface StallWatchOptions {
  readonly store: Pick<Store, "due">;
  readonly lanes: Lanes;
  readonly timers: Timers;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** For so long rings may be due without one being accepted, milliseconds. */
  readonly stalledAfterMs: number;
  /** Whether this node rings at the moment: while it does not, nothing stalls here. */
  readonly mayRing: () => boolean;
  readonly ringLog: Pick<RingLog, "renewed" | "stalled" | "stallEnded" | "storeFailed">;
  /** The queue has new connections: it may try them at once. */
  readonly renewed: (lane: Lane) => void;
}

export interface StallWatch {
  start(): void;
  answered(lane: Lane, kind: VerdictKind): void;
  isStalled(lane: Lane): boolean;
  /** The queue is gone, and its alarm with it. */
  drop(lane: Lane): void;
  /** Resolves when it asks the store no more. */
  stop(): Promise<void>;
}

// Eight looks in the time that makes a stall are exact enough; a look costs two small queries a queue. Milliseconds.
const LOOKS = 8;
const MOST_MS = 15_000;
const LEAST_MS = 100;
// Asks for what is owed at any time: the last moment that a Date can name.
const EVER = 8_640_000_000_000_000;

export function createStallWatch(options: StallWatchOptions): StallWatch {
  const { store, lanes, timers, monotonicNow, stalledAfterMs, ringLog } = options;
  const everyMs = Math.min(MOST_MS, Math.max(LEAST_MS, stalledAfterMs / LOOKS));
  const states = new Map<Lane, StallState>();
  let timer: Timer | null = null;
  let looking: Promise<void> = Promise.resolve();
  let stopping = false;

  function apply(lane: Lane, { state, renew, alarm }: StallStep): void {
    states.set(lane, state);
    if (alarm === "raise") ringLog.stalled(lane.queue, 2 * stalledAfterMs);
    if (alarm === "end") ringLog.stallEnded(lane.queue);
    if (!renew) return;
    if (alarm === null && state.step === "renewed") ringLog.renewed(lane.queue, stalledAfterMs);
    lane.sender.renew();
    options.renewed(lane);
  }

  async function look(): Promise<void> {
    for (const lane of [...lanes]) {
      const owed = options.mayRing() && (await isAnything(lane, EVER));
      const due = owed && (await isAnything(lane, options.now()));
      if (stopping || lanes.of(lane.queue) !== lane) continue;
      const sight = { pause: lane.state.pause, due, owed, now: monotonicNow(), stalledAfterMs };
      apply(lane, lookAtQueue(states.get(lane) ?? WATCHING, sight));
    }
  }

  /** Whether something waits for an answer, or would be due at `at` (epoch milliseconds). */
  async function isAnything({ queue, flying, unanswered }: Lane, at: number): Promise<boolean> {
    if (unanswered > 0) return true;
    if (stopping) return false;
    // Rings that were answered and are about to be noted are still listed as due. As of now: others begin meanwhile.
    const noted = new Set(flying);
    const ids = await store.due(queue, at, noted.size + 1);
    return ids.some((id) => !noted.has(id));
  }

  function plan(): void {
    if (stopping) return;
    timer = timers.after(everyMs, () => {
      looking = look().then(plan, (error: unknown) => {
        if (!stopping) ringLog.storeFailed(error);
        plan();
      });
    });
  }

  return {
    start: plan,
    answered: (lane, kind) => apply(lane, hearAnswer(states.get(lane) ?? WATCHING, kind)),
    isStalled: (lane) => states.get(lane)?.step === "stalled",
    drop(lane) {
      if (states.get(lane)?.step === "stalled") ringLog.stallEnded(lane.queue);
      states.delete(lane);
    },
    async stop() {
      stopping = true;
      timer?.cancel();
      await looking;
    },
  };
}
