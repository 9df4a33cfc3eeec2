// Remembers when a SubscriptionId that nobody registered was first seen on the shared route: an app needs time
// between its Subscribe and its PUT. Kept in memory only, so that a restart begins every grace anew.

export interface UnknownIds {
  /**
   * Notes that an unknown id was heard, and says whether its grace is over.
   * @param subscriptionMac its keyed hash
   * @param nowMs epoch milliseconds
   */
  isOverdue(subscriptionMac: Buffer, nowMs: number): boolean;
}

// Exchange repeats itself at least once in StatusFrequency, which is a day at most: an id that was silent for two
// days is gone.
const FORGET_AFTER_MS = 2 * 24 * 60 * 60 * 1000;
// About 1 MB.
const MAX_IDS = 10_000;

/**
 * @param graceMs how long an unknown id is answered OK, milliseconds
 * @param maxIds bound of the memory; what does not fit is never overdue
 */
export function createUnknownIds(graceMs: number, maxIds: number = MAX_IDS): UnknownIds {
  // In the order in which they were last heard, oldest first.
  const seen = new Map<string, { readonly firstMs: number; readonly lastMs: number }>();
  return {
    isOverdue(subscriptionMac, nowMs) {
      const key = subscriptionMac.toString("latin1");
      const known = seen.get(key);
      if (known === undefined && seen.size >= maxIds) {
        const [oldest] = seen;
        if (oldest === undefined || nowMs - oldest[1].lastMs < FORGET_AFTER_MS) return false;
        seen.delete(oldest[0]);
      }
      const firstMs = known?.firstMs ?? nowMs;
      seen.delete(key);
      seen.set(key, { firstMs, lastMs: nowMs });
      return known !== undefined && nowMs - firstMs >= graceMs;
    },
  };
}
