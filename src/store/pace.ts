// How often one phone may be rung: a pure rule with an allowance for bursts, so that a single mail rings at once and
// a storm of them results in few rings, each with the newest badge.
import type { Platform, Reason } from "./types.ts";

/** What a phone's rings have used of its allowances: for each, when it would be whole again (epoch milliseconds). */
export interface Pace {
  /** Rings that show something: a text, a sound, a badge. */
  readonly shown: number;
  /** Rings that only wake the app. */
  readonly wake: number;
}

export const UNPACED: Pace = { shown: 0, wake: 0 };

/** An allowance: so many rings at once, then one in each interval. */
export interface Allowance {
  readonly burst: number;
  /** Milliseconds. */
  readonly intervalMs: number;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

// Shown: a mailbox that gets mail without end rings six times, then six times a minute. Google takes 240 in a minute and 5 000 in
// an hour for a device ("Throttling and quotas"); Apple names no number and keeps only the newest for a phone that
// is away. Wake: Apple lets through two or three background pushes in an hour ("Pushing background updates to your
// app"); Google has no such limit for messages of normal priority.
export const ALLOWANCE: Readonly<Record<Platform, Readonly<Record<keyof Pace, Allowance>>>> = {
  apns: {
    shown: { burst: 6, intervalMs: 10 * SECOND_MS },
    wake: { burst: 3, intervalMs: 20 * MINUTE_MS },
  },
  fcm: {
    shown: { burst: 6, intervalMs: 10 * SECOND_MS },
    wake: { burst: 4, intervalMs: 30 * SECOND_MS },
  },
};

/**
 * Which allowance a ring uses. New mail without a count is a mere wake-up in some apps, but somebody waits for it:
 * it is never held back by calendar changes.
 */
export function allowanceOf(reason: Reason, hasBadge: boolean): keyof Pace {
  switch (reason) {
    case "mail":
    case "test":
      return "shown";
    case "changed":
      return hasBadge ? "shown" : "wake";
    case "calendar":
    case "folder":
    case "resubscribe":
      return "wake";
  }
}

/**
 * When a ring may go out.
 * @param now epoch milliseconds
 * @returns `now` or a later time
 */
export function allowedAt(pace: Pace, platform: Platform, kind: keyof Pace, now: number): number {
  const allowance = ALLOWANCE[platform][kind];
  return Math.max(now, wholeAt(pace[kind], allowance, now) - (allowance.burst - 1) * allowance.intervalMs);
}

/** The pace after a ring at `at` (epoch milliseconds). */
export function paceAfter(pace: Pace, platform: Platform, kind: keyof Pace, at: number): Pace {
  const allowance = ALLOWANCE[platform][kind];
  return { ...pace, [kind]: Math.max(wholeAt(pace[kind], allowance, at), at) + allowance.intervalMs };
}

/** No allowance is used further ahead than its burst: such a time was noted before the clock was set back. */
function wholeAt(noted: number, { burst, intervalMs }: Allowance, now: number): number {
  return noted > now + burst * intervalMs ? now : noted;
}

/** What is used in sum where several nodes rang one phone, each knowing the others' rings: the most that one knows. */
export function combinedPace(paces: readonly Pace[]): Pace {
  return {
    shown: Math.max(0, ...paces.map(({ shown }) => shown)),
    wake: Math.max(0, ...paces.map(({ wake }) => wake)),
  };
}
