// Takes work from the store, for each queue no more than it may have in flight: when rings landed, when something
// becomes due, and now and then in any case. What is owed beyond that stays in the store, however much it is.
import type { Ring, Store } from "../store/types.ts";
import { type Lane, roomOf } from "./lanes.ts";
import type { Timer, Timers } from "./timers.ts";

export interface PullerOptions {
  readonly store: Pick<Store, "due" | "nextDueAt" | "begin">;
  readonly timers: Timers;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  readonly isFlying: (registrationId: string) => boolean;
  /** Whether this node rings at the moment. */
  readonly mayRing: () => boolean;
  readonly launch: (ring: Ring, probe: boolean) => void;
  readonly storeFailed: (error: unknown) => void;
}

export interface Puller {
  /** Looks after this queue from now on, beginning at once. */
  add(lane: Lane): void;
  drop(lane: Lane): void;
  /** Looks into the store for what the queue may ring now. */
  pull(lane: Lane): void;
  /** Looks after `delayMs`, or earlier if that was planned already. */
  arm(lane: Lane, delayMs: number): void;
  /** By how much the latest look that should have been made or finished is late, milliseconds. */
  readonly overdueMs: number;
  /** Begins no further look; resolves when none is under way. */
  stop(): Promise<void>;
}

// Registrations begun in one turn of the event loop, so that notifications are answered in between.
export const BATCH = 200;
// After the store could not be asked, milliseconds.
export const STORE_RETRY_MS = 1_000;
// Every queue looks into the store at least this often, whatever was or was not announced, milliseconds.
const SWEEP_MS = 30_000;

interface Plan {
  timer: Timer | null;
  /** When the next look is planned or the present one began, monotonic milliseconds. */
  at: number;
  pulling: boolean;
}

export function createPuller(options: PullerOptions): Puller {
  const { store, timers, now, monotonicNow } = options;
  const plans = new Map<Lane, Plan>();
  const looks = new Set<Promise<void>>();
  let stopping = false;

  function pull(lane: Lane): void {
    const plan = plans.get(lane);
    if (stopping || plan === undefined || plan.pulling) return;
    const { pause } = lane.state;
    const untilProbeMs = pause === null ? 0 : pause.probeAt - monotonicNow();
    const room = pause === null ? Math.min(BATCH, roomOf(lane)) : 1;
    if (!options.mayRing() || untilProbeMs > 0 || room <= 0 || (pause !== null && lane.flying.size > 0)) {
      // Landing rings look again, and a node that begins to ring; the sweep is for the case that nobody does.
      arm(lane, untilProbeMs > 0 ? untilProbeMs : SWEEP_MS);
      return;
    }
    lane.more = false;
    plan.pulling = true;
    plan.timer?.cancel();
    plan.timer = null;
    plan.at = monotonicNow();
    const look = take(lane, room, pause !== null).then(
      (waitMs) => {
        plan.pulling = false;
        arm(lane, waitMs);
        if (lane.more && roomOf(lane) > 0) pull(lane);
      },
      (error: unknown) => {
        plan.pulling = false;
        lane.more = true;
        if (!stopping) options.storeFailed(error);
        arm(lane, STORE_RETRY_MS);
      },
    );
    looks.add(look);
    void look.finally(() => looks.delete(look));
  }

  /** Begins what is due; gives the wait until the next look, milliseconds. */
  async function take(lane: Lane, room: number, probe: boolean): Promise<number> {
    // Rings in flight are still listed as due: asked for so many more, there is always something new among them.
    const limit = room + lane.flying.size;
    const at = now();
    const ids = await store.due(lane.queue, at, limit);
    if (stopping) return SWEEP_MS;
    const fresh = ids.filter((id) => !options.isFlying(id));
    const rings = fresh.length === 0 ? [] : await store.begin(fresh.slice(0, room));
    // There may be more after a full answer, and there is more if not all fits; but not where no ring could begin.
    if ((ids.length >= limit || fresh.length > room) && rings.length > 0) lane.more = true;
    for (const ring of rings) options.launch(ring, probe);
    if (stopping) return SWEEP_MS;
    // After the very moment that was looked at: what became due since must not be passed over.
    const next = await store.nextDueAt(lane.queue, at);
    return Math.min(SWEEP_MS, next === null ? SWEEP_MS : next - now());
  }

  function arm(lane: Lane, delayMs: number): void {
    const plan = plans.get(lane);
    // A look under way plans the next one when it is done.
    if (stopping || plan === undefined) return;
    const at = monotonicNow() + Math.max(0, delayMs);
    if (plan.timer !== null) {
      if (plan.at <= at) return;
      plan.timer.cancel();
    }
    plan.at = at;
    plan.timer = timers.after(at - monotonicNow(), () => {
      plan.timer = null;
      pull(lane);
    });
  }

  return {
    add(lane) {
      plans.set(lane, { timer: null, at: monotonicNow(), pulling: false });
      pull(lane);
    },
    drop(lane) {
      plans.get(lane)?.timer?.cancel();
      plans.delete(lane);
    },
    pull,
    arm,
    get overdueMs() {
      const earliest = Math.min(...[...plans.values()].map(({ at }) => at));
      return stopping ? 0 : Math.max(0, monotonicNow() - earliest);
    },
    async stop() {
      stopping = true;
      for (const { timer } of plans.values()) timer?.cancel();
      await Promise.all(looks);
    },
  };
}
