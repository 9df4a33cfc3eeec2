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

/** A limiter for any number of keys; a key is forgotten with its last event. */
export function createRateLimiter(limit: RateLimit): RateLimiter {
  const events = new Map<string, number[]>();
  return {
    take(key, nowMs) {
      const recent = (events.get(key) ?? []).filter((at) => at > nowMs - limit.windowMs);
      const oldest = recent[0];
      if (recent.length >= limit.count) {
        events.set(key, recent);
        return oldest === undefined ? limit.windowMs : oldest + limit.windowMs - nowMs;
      }
      recent.push(nowMs);
      events.set(key, recent);
      return undefined;
    },
  };
}
