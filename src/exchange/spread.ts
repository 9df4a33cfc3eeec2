// Spreads the asks to subscribe again: a server that has just started must not be met by all its phones at once.
// For each Exchange server an allowance, in memory of a bounded size.

export interface Spread {
  /** Whether a phone of this server might be asked without a delay; uses nothing up. */
  isFree(server: string, atMs: number): boolean;
  /**
   * May one more phone of this server be asked?
   * @param server any text that names it
   * @param atMs monotonic milliseconds
   * @returns how many milliseconds from now it may be asked, or null: not before the next look at all phones
   */
  take(server: string, atMs: number): number | null;
}

// A phone that is asked makes one PUT here and one Subscribe at Exchange. At 20 a second a server's 10 000 phones are
// back within 9 minutes.
const PER_SECOND = 20;
// So many at one moment are no stampede.
const AT_ONCE = 20;
// What does not go out at once is spread over this time, until the next look. Milliseconds.
export const SPREAD_MS = 60_000;
const CAPACITY = (PER_SECOND * SPREAD_MS) / 1000;
// Exchange servers of the largest companies. What is forgotten here begins with a full allowance.
const MAX_SERVERS = 1000;

/** @param random in [0, 1) */
export function createSpread(random: () => number): Spread {
  // In the order in which they were used last, oldest first.
  const servers = new Map<string, { readonly left: number; readonly atMs: number }>();
  function leftOf(server: string, atMs: number): number {
    const before = servers.get(server) ?? { left: CAPACITY, atMs };
    const gained = (Math.max(0, atMs - before.atMs) * PER_SECOND) / 1000;
    return Math.min(CAPACITY, before.left + gained);
  }

  return {
    isFree: (server, atMs) => leftOf(server, atMs) > CAPACITY - AT_ONCE,
    take(server, atMs) {
      const left = leftOf(server, atMs);
      servers.delete(server);
      const [oldest] = servers.size < MAX_SERVERS ? [] : servers.keys();
      if (oldest !== undefined) servers.delete(oldest);
      servers.set(server, { left: left < 1 ? left : left - 1, atMs });
      if (left < 1) return null;
      return left > CAPACITY - AT_ONCE ? 0 : random() * SPREAD_MS;
    },
  };
}
