// A rate limit per key in bounded memory. Time comes in from outside.

/** How much is allowed for one key. */
export interface Rate {
  /** So many at once. */
  readonly burst: number;
  /** And one more for each of these, milliseconds. */
  readonly refillMs: number;
  /** So many keys are remembered; the one used longest ago is forgotten first. */
  readonly maxKeys: number;
}

export interface Limiter {
  /** Takes one for `key` at `now` (milliseconds). Returns 0, or how long to wait (milliseconds). */
  take(key: string, now: number): number;
}

/** Makes a limiter that keeps one number a key (the generic cell rate algorithm, ITU-T I.371 annex A). */
export function createLimiter(rate: Rate): Limiter {
  // Key → the time at which its allowance is full again. A Map keeps insertion order, so the first key is
  // the one used longest ago.
  const fullAt = new Map<string, number>();
  const capacityMs = rate.burst * rate.refillMs;

  return {
    take(key, now) {
      // A clock that was set back must not lock a key for longer than an empty allowance would.
      const known = Math.min(fullAt.get(key) ?? now, now + capacityMs);
      const next = Math.max(known, now) + rate.refillMs;
      const waitMs = next - now - capacityMs;
      fullAt.delete(key);
      fullAt.set(key, waitMs > 0 ? known : next);
      if (fullAt.size > rate.maxKeys) {
        for (const oldest of fullAt.keys()) {
          fullAt.delete(oldest);
          break;
        }
      }
      return Math.max(0, waitMs);
    },
  };
}
