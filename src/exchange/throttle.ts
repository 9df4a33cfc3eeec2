// Keeps a warning that could come with every request down to one line in a while for each cause.

export interface Throttle {
  /**
   * Whether to speak now about this cause.
   * @param nowMs epoch milliseconds
   */
  allows(cause: string, nowMs: number): boolean;
}

/**
 * @param intervalMs least time between two lines on one cause, milliseconds
 * @param maxCauses bound of the memory; while it is full of recent causes, new ones are not spoken about
 */
export function createThrottle(intervalMs: number, maxCauses: number): Throttle {
  // In the order in which they were last spoken about, oldest first.
  const spoken = new Map<string, number>();
  return {
    allows(cause, nowMs) {
      const last = spoken.get(cause);
      // A clock that was set back must not silence a cause for long.
      if (last !== undefined && nowMs - last < intervalMs && nowMs >= last) return false;
      if (last === undefined && spoken.size >= maxCauses) {
        const [oldest] = spoken;
        if (oldest === undefined || nowMs - oldest[1] < intervalMs) return false;
        spoken.delete(oldest[0]);
      }
      spoken.delete(cause);
      spoken.set(cause, nowMs);
      return true;
    },
  };
}
