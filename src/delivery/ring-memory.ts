// Remembers what `status` tells of the rings: since when a queue is paused and what to do about it, and when each
// provider accepted a ring last. It listens in on what the ring log is told.
import type { Platform, Queue } from "../store/types.ts";
import { hintFor } from "./hints.ts";
import type { Pause } from "./lane.ts";
import { queueKey } from "./lanes.ts";
import type { RingLog } from "./ring-log.ts";

export interface PauseMemory {
  readonly app: string;
  readonly provider: Platform;
  readonly reason: string;
  /** What an administrator can do about it. */
  readonly hint: string;
  /** Epoch milliseconds. */
  readonly since: number;
}

export interface RingTimes {
  readonly provider: Platform;
  /** Since the start, epoch milliseconds; null where none was. */
  readonly triedAt: number | null;
  readonly acceptedAt: number | null;
}

export interface RingMemory extends RingLog {
  pauses(): readonly PauseMemory[];
  /** Of these providers. */
  times(providers: readonly Platform[]): readonly RingTimes[];
}

/**
 * @param ringLog is told everything, too
 * @param now epoch milliseconds
 */
export function createRingMemory(ringLog: RingLog, now: () => number): RingMemory {
  const pauses = new Map<string, { readonly queue: Queue; readonly pause: Pause; readonly since: number }>();
  const times = new Map<Platform, RingTimes>();
  return {
    ...ringLog,

    rang(ring, verdict, origin) {
      const provider = ring.platform;
      const triedAt = now();
      const acceptedAt = verdict.kind === "accepted" ? triedAt : (times.get(provider)?.acceptedAt ?? null);
      times.set(provider, { provider, triedAt, acceptedAt });
      ringLog.rang(ring, verdict, origin);
    },

    pauseChanged(queue, before, after) {
      const key = queueKey(queue);
      if (after === null) pauses.delete(key);
      else pauses.set(key, { queue, pause: after, since: pauses.get(key)?.since ?? now() });
      ringLog.pauseChanged(queue, before, after);
    },

    pauseGone(queue, pause) {
      pauses.delete(queueKey(queue));
      ringLog.pauseGone(queue, pause);
    },

    pauses: () =>
      [...pauses.values()].map(({ queue: { app, platform }, pause, since }) => ({
        app,
        provider: platform,
        reason: pause.reason,
        hint: hintFor(pause),
        since,
      })),

    times: (providers) =>
      providers.map((provider) => times.get(provider) ?? { provider, triedAt: null, acceptedAt: null }),
  };
}
