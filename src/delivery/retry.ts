// When to try again: a pure table of causes, exponential with full jitter, each cause with a budget of its own.
import type { Platform } from "../store/types.ts";

/** Why a ring or a whole queue waits. */
export type RetryCause =
  /** The provider answered with trouble of its own (500, 503), or a request got no answer. */
  | "transient"
  /** This device gets too much. */
  | "device"
  /** The whole project sends too much. */
  | "quota"
  /** No connection. */
  | "unreachable"
  /** A token that is said to be dead although it was renewed since. */
  | "doubtful"
  /** A paused queue's first probe. */
  | "first_probe"
  /** A paused queue's further probes. */
  | "probe"
  /** A token that is suspected while its whole app is. */
  | "suspect";

export interface RetryRule {
  /** The shortest wait, milliseconds. */
  readonly floorMs: number;
  /** What the jitter spreads over at the first retry, milliseconds; doubles with each further one. */
  readonly baseMs: number;
  /** The longest wait, milliseconds. */
  readonly capMs: number;
  /** After so many tries the ring is given up; null: never, because a badge never expires. */
  readonly attempts: number | null;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

const COMMON = {
  // Waits for one connection attempt after another: short at first, since most outages are blips.
  unreachable: { floorMs: 500, baseMs: SECOND_MS, capMs: MINUTE_MS, attempts: null },
  // Over a day in total: an answer that lags behind a renewal has caught up by then.
  doubtful: { floorMs: 5 * MINUTE_MS, baseMs: 10 * MINUTE_MS, capMs: 6 * 60 * MINUTE_MS, attempts: 8 },
  // Soon, because one phone's foreign token can look like a wrong topic: another phone tells.
  first_probe: { floorMs: SECOND_MS, baseMs: 2 * SECOND_MS, capMs: 3 * SECOND_MS, attempts: null },
  // Slowly: what an administrator has to repair is not repaired within seconds.
  probe: { floorMs: 30 * SECOND_MS, baseMs: 15 * SECOND_MS, capMs: MINUTE_MS, attempts: null },
  // Longer than the probes are apart, so that each probe tries another phone.
  suspect: { floorMs: 5 * MINUTE_MS, baseMs: 10 * MINUTE_MS, capMs: 6 * 60 * MINUTE_MS, attempts: null },
} as const;

/** The budgets. Outside numbers: Apple's and Google's documentation on their error responses. */
export const RETRY: Readonly<Record<Platform, Readonly<Record<RetryCause, RetryRule>>>> = {
  apns: {
    ...COMMON,
    transient: { floorMs: SECOND_MS, baseMs: 2 * SECOND_MS, capMs: 15 * MINUTE_MS, attempts: null },
    device: { floorMs: 30 * SECOND_MS, baseMs: MINUTE_MS, capMs: 15 * MINUTE_MS, attempts: null },
    quota: { floorMs: MINUTE_MS, baseMs: MINUTE_MS, capMs: 15 * MINUTE_MS, attempts: null },
  },
  fcm: {
    ...COMMON,
    // Google: the first retry not before 10 s.
    transient: { floorMs: 10 * SECOND_MS, baseMs: 10 * SECOND_MS, capMs: 15 * MINUTE_MS, attempts: null },
    // Google: without a Retry-After, 60 s on 429.
    device: { floorMs: MINUTE_MS, baseMs: MINUTE_MS, capMs: 15 * MINUTE_MS, attempts: null },
    quota: { floorMs: MINUTE_MS, baseMs: 10 * SECOND_MS, capMs: 15 * MINUTE_MS, attempts: null },
  },
};

// Spread over a provider's own wait, so that not every ring returns at the same moment: a tenth of it.
const RETRY_AFTER_SPREAD = 0.1;

/**
 * The wait before the next try.
 * @param attempt how many tries there were before the one that just failed (0 after the first try)
 * @param retryAfterMs the provider's own wait, which is never cut short, or null
 * @param random a number from 0 up to but not including 1
 * @returns milliseconds, or null if the budget is used up
 */
export function retryDelayMs(
  platform: Platform,
  cause: RetryCause,
  attempt: number,
  retryAfterMs: number | null,
  random: number,
): number | null {
  const rule = RETRY[platform][cause];
  if (rule.attempts !== null && attempt + 1 >= rule.attempts) return null;
  // 2 to the 30th is past every cap; larger exponents would only lose precision.
  const spread = Math.min(rule.capMs - rule.floorMs, rule.baseMs * 2 ** Math.min(Math.max(0, attempt), 30));
  const own = rule.floorMs + random * spread;
  if (retryAfterMs === null) return Math.round(own);
  return Math.round(Math.max(retryAfterMs * (1 + random * RETRY_AFTER_SPREAD), retryAfterMs));
}
