// This machine's clock against what the providers say the time is. Pure; the answers are collected by their probes.
import { found, good, type Result } from "./findings.ts";

/** When somebody said what time it is. */
export interface TimeSight {
  /** Who said so. */
  readonly who: string;
  /** What was said, epoch milliseconds. */
  readonly theirs: number;
  /** This machine's clock in the middle between question and answer, epoch milliseconds. */
  readonly ours: number;
}

// Google takes an assertion that is a minute in the future, Apple some minutes: RFC 7519 speaks of "a few minutes".
const WRONG_MS = 60_000;
// HTTP's Date has whole seconds, and the answer travels for some more at worst.
const OFF_MS = 10_000;

export function judgeClock(sights: readonly TimeSight[]): Result[] {
  if (sights.length === 0) return [good("clock", "", "could not be compared: nobody told the time")];
  return sights.map(({ who, theirs, ours }) => {
    const offMs = ours - theirs;
    const size = Math.abs(offMs);
    const subject = `against ${who}`;
    if (size < OFF_MS) return good("clock", subject, `right to within ${OFF_MS / 1000} s`);
    return found(size >= WRONG_MS ? "clock_wrong" : "clock_off", subject, clockText(offMs));
  });
}

/** @param offMs how far this machine's clock is ahead, milliseconds */
export function clockText(offMs: number): string {
  return `this clock is ${spoken(Math.abs(offMs))} ${offMs > 0 ? "fast" : "slow"}`;
}

/** Reads HTTP's Date; null for what is none. */
export function timeSight(
  who: string,
  date: string | null | undefined,
  asked: number,
  answered: number,
): TimeSight | null {
  const theirs = Date.parse(date ?? "");
  return Number.isNaN(theirs) ? null : { who, theirs, ours: (asked + answered) / 2 };
}

function spoken(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
