// The clock that roles are decided on: monotonic, and moved on by the time that a machine stood still without noticing.

// NTP slews by less than this between two looks; a shorter stop is no freeze. Milliseconds.
const LEAST_JUMP_MS = 500;

/**
 * A machine that slept, or was frozen by its host, finds its monotonic clock where it was; only its wall clock jumps
 * ahead, once somebody sets it. What others did meanwhile is not known here, so that time counts. A clock that an
 * administrator sets ahead looks the same, and costs one message to the other node and back.
 * @param now epoch milliseconds
 * @param monotonicNow milliseconds
 */
export function createRoleClock(now: () => number, monotonicNow: () => number): () => number {
  let stoodStillMs = 0;
  let offset = now() - monotonicNow();
  return () => {
    const monotonic = monotonicNow();
    const deltaMs = now() - monotonic - offset;
    if (Math.abs(deltaMs) >= LEAST_JUMP_MS) {
      offset += deltaMs;
      if (deltaMs > 0) stoodStillMs += deltaMs;
    }
    return monotonic + stoodStillMs;
  };
}
