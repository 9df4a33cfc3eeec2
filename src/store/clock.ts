// The hybrid logical clock that versions and marks are taken from: near wall time, never going back.

// A millisecond holds 1024 ticks, so that values stay whole numbers until the year 2248.
const TICKS_PER_MS = 1024;

export interface HybridClock {
  /** A value above every earlier one and every one seen. */
  tick(): number;
  /** Takes note of a value from elsewhere (a row of another node, the last stored one). */
  see(value: number): void;
  /** The highest value given or seen. */
  readonly last: number;
}

/**
 * @param now wall time in epoch milliseconds; may jump in either direction
 * @param start highest value used before
 */
export function createClock(now: () => number, start = 0): HybridClock {
  let last = start;
  return {
    tick() {
      last = Math.max(last + 1, Math.floor(now()) * TICKS_PER_MS);
      return last;
    },
    see(value) {
      if (value > last) last = value;
    },
    get last() {
      return last;
    },
  };
}

/** Epoch milliseconds of a value, for display. */
export function clockTime(value: number): number {
  return Math.floor(value / TICKS_PER_MS);
}
