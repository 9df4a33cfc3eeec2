// Remembers what `status` tells of the rings: since when a queue is paused and what to do about it, and when each
// provider accepted a ring last. It listens in on what the ring log is told.
import type { Platform, Queue, Reason } from "../store/types.ts";
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

/** The provider's answer to one ring. */
export interface RingAnswer {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly reason: Reason;
  /** `accepted`, or the provider's word. */
  readonly outcome: string;
}

/** What a phone's rings were answered since the start. */
export interface PhoneAnswers {
  /** The last answer, where it did not accept the ring. */
  readonly refused: RingAnswer | null;
  /** The last answer to a test ring. */
  readonly test: RingAnswer | null;
}

export interface RingMemory extends RingLog {
  answersTo(registrationId: string): PhoneAnswers;
  pauses(): readonly PauseMemory[];
  /** Of these providers. */
  times(providers: readonly Platform[]): readonly RingTimes[];
}

// Phones with an answer to remember: those of an outage are many and alike, so the oldest may go.
const MOST_PHONES = 5_000;

/**
 * @param ringLog is told everything, too
 * @param now epoch milliseconds
 */
export function createRingMemory(ringLog: RingLog, now: () => number): RingMemory {
  const pauses = new Map<string, { readonly queue: Queue; readonly pause: Pause; readonly since: number }>();
  const times = new Map<Platform, RingTimes>();
  const refused = new Map<string, RingAnswer>();
  const tests = new Map<string, RingAnswer>();
  return {
    ...ringLog,

    rang(ring, verdict, origin) {
      const provider = ring.platform;
      const triedAt = now();
      const acceptedAt = verdict.kind === "accepted" ? triedAt : (times.get(provider)?.acceptedAt ?? null);
      times.set(provider, { provider, triedAt, acceptedAt });
      const outcome = "reason" in verdict ? verdict.reason : verdict.kind;
      const answer = { at: triedAt, reason: ring.reason, outcome };
      if (verdict.kind === "accepted") refused.delete(ring.registrationId);
      else keep(refused, ring.registrationId, answer);
      if (ring.reason === "test") keep(tests, ring.registrationId, answer);
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

    answersTo: (registrationId) => ({
      refused: refused.get(registrationId) ?? null,
      test: tests.get(registrationId) ?? null,
    }),

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

function keep(answers: Map<string, RingAnswer>, registrationId: string, answer: RingAnswer): void {
  answers.delete(registrationId);
  const [oldest] = answers.size < MOST_PHONES ? [] : answers.keys();
  if (oldest !== undefined) answers.delete(oldest);
  answers.set(registrationId, answer);
}
