// Counts what happened in a sliding window of time, for the quotas of the two services.

/** At most `count` in any `windowMs`. */
export interface RateLimit {
  readonly count: number;
  readonly windowMs: number;
}

/** Says for each key whether one more fits. */
export interface RateLimiter {
  /**
   * @param nowMs the simulator's clock
   * @returns undefined if it fits (and then it counts), otherwise the milliseconds until the next one fits
   */
  take(key: string, nowMs: number): number | undefined;
}

interface Window {
  /** When each event happened, oldest first; those before `head` are out of the window. */
  readonly times: number[];
  head: number;
}

// Cutting the front off an array costs as much as its length, so it is done rarely.
const CUT_AFTER = 1024;

/** A limiter for any number of keys. */
export function createRateLimiter(limit: RateLimit): RateLimiter {
  const windows = new Map<string, Window>();
  return {
    take(key, nowMs) {
      const window = windows.get(key) ?? { times: [], head: 0 };
      windows.set(key, window);
      const { times } = window;
      let oldest = times[window.head];
      while (oldest !== undefined && oldest <= nowMs - limit.windowMs) {
        window.head += 1;
        oldest = times[window.head];
      }
      if (window.head > CUT_AFTER) {
        times.splice(0, window.head);
        window.head = 0;
      }
      if (times.length - window.head >= limit.count) {
        return oldest === undefined ? limit.windowMs : oldest + limit.windowMs - nowMs;
      }
      times.push(nowMs);
      return undefined;
    },
  };
}
