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
  /** Probes of a queue that is paused because the provider answers with trouble of its own. */
  | "trouble_probe"
  /** A ring that was refused while its whole app is suspected: the blame may not be its own. */
  | "suspect"
  /** A token that seems to belong to another app, while others of this app are rung. */
  | "foreign";

export interface RetryRule {
  /** The shortest wait, milliseconds. */
  readonly floorMs: number;
  /** What the jitter spreads over at the first retry, milliseconds; doubles with each further one. */
  readonly baseMs: number;
  /** The longest wait, milliseconds. */
  readonly capMs: number;
  /** After so many tries the ring is given up; null: never, because a badge never expires. */
  readonly attempts: number | null;
  /** After so many tries the waits become long ones; absent: never. */
  readonly patientAfter?: number;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

// Google: give up 60 min after the first try. A badge is not given up, but from about then on it is tried seldom:
// each wait is from half of this to all of it, milliseconds.
const PATIENT_MS = 60 * MINUTE_MS;
// So many tries take about an hour when the waits are those of `transient` or `device` below.
const TRIES_IN_AN_HOUR = 12;

const COMMON = {
  // Waits for one connection attempt after another: short at first, since most outages are blips.
  unreachable: { floorMs: 500, baseMs: SECOND_MS, capMs: MINUTE_MS, attempts: null },
  // Nine hours in total on average, 17 at most: an answer that lags behind a renewal has caught up by then.
  doubtful: { floorMs: 5 * MINUTE_MS, baseMs: 10 * MINUTE_MS, capMs: 6 * 60 * MINUTE_MS, attempts: 8 },
  // Soon, because one phone's foreign token can look like a wrong topic: another phone tells.
  first_probe: { floorMs: SECOND_MS, baseMs: 2 * SECOND_MS, capMs: 3 * SECOND_MS, attempts: null },
  // Slowly: what an administrator has to repair is not repaired within seconds.
  probe: { floorMs: 30 * SECOND_MS, baseMs: 15 * SECOND_MS, capMs: MINUTE_MS, attempts: null },
  // Not shorter than the probes are apart, so that each probe tries another phone, and not much longer: once the
  // configuration is right, a company with few phones is not to wait for it.
  suspect: { floorMs: MINUTE_MS, baseMs: MINUTE_MS, capMs: 5 * MINUTE_MS, attempts: null },
  // Each such ring pauses its app for a moment, so it soon comes seldom.
  foreign: { floorMs: 20 * SECOND_MS, baseMs: 20 * SECOND_MS, capMs: 6 * 60 * MINUTE_MS, attempts: null },
} as const;

/** The budgets. Outside numbers: Apple's and Google's documentation on their error responses. */
export const RETRY: Readonly<Record<Platform, Readonly<Record<RetryCause, RetryRule>>>> = {
  apns: {
    ...COMMON,
    transient: { floorMs: SECOND_MS, baseMs: 2 * SECOND_MS, capMs: 15 * MINUTE_MS, attempts: null },
    // One ring a minute for a whole app is no storm, and ends an outage soon after the provider does.
    trouble_probe: { floorMs: SECOND_MS, baseMs: 2 * SECOND_MS, capMs: MINUTE_MS, attempts: null },
    device: { floorMs: 30 * SECOND_MS, baseMs: MINUTE_MS, capMs: 15 * MINUTE_MS, attempts: null },
    quota: { floorMs: MINUTE_MS, baseMs: MINUTE_MS, capMs: 15 * MINUTE_MS, attempts: null },
  },
  fcm: {
    ...COMMON,
    // Google: the first retry not before 10 s.
    transient: {
      floorMs: 10 * SECOND_MS,
      baseMs: 10 * SECOND_MS,
      capMs: 15 * MINUTE_MS,
      attempts: null,
      patientAfter: TRIES_IN_AN_HOUR,
    },
    trouble_probe: { floorMs: 10 * SECOND_MS, baseMs: 10 * SECOND_MS, capMs: MINUTE_MS, attempts: null },
    // Google: without a Retry-After, 60 s on 429.
    device: {
      floorMs: MINUTE_MS,
      baseMs: MINUTE_MS,
      capMs: 15 * MINUTE_MS,
      attempts: null,
      patientAfter: TRIES_IN_AN_HOUR,
    },
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
  const own = ownDelayMs(rule, attempt, random);
  if (retryAfterMs === null) return Math.round(own);
  const theirs = retryAfterMs * (1 + random * RETRY_AFTER_SPREAD);
  // The provider may ask for less than our own wait; but whoever says "at once" time and again is not believed.
  return Math.round(Math.max(theirs, retryAfterMs, Math.min(own, SECOND_MS * doublings(attempt))));
}

function ownDelayMs(rule: RetryRule, attempt: number, random: number): number {
  if (rule.patientAfter !== undefined && attempt >= rule.patientAfter) {
    return (PATIENT_MS / 2) * (1 + random);
  }
  return rule.floorMs + random * Math.min(rule.capMs - rule.floorMs, rule.baseMs * doublings(attempt));
}

// 2 to the 30th is past every cap; larger exponents would only lose precision.
function doublings(attempt: number): number {
  return 2 ** Math.min(Math.max(0, attempt), 30);
}
