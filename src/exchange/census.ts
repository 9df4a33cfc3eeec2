// Counts the subscriptions of each Exchange server, and notices when many of them fall silent together: the server has
// forgotten them (a restart, an update, a failover), or it does not reach this node any more.

/** A server on which many subscriptions fell silent. */
export interface SilentServer {
  readonly server: string;
  /** Subscriptions that fell silent within the window. */
  readonly silent: number;
  /** All subscriptions of this server. */
  readonly subscriptions: number;
}

export interface Census {
  /** A look at all subscriptions begins; what one that was broken off counted is forgotten. */
  beginLook(): void;
  /** A subscription that was heard at least once, met on a look at all of them. */
  count(server: string): void;
  /** It fell silent on this look. */
  fellSilent(server: string): void;
  /**
   * The look is over.
   * @param atMs monotonic milliseconds
   * @returns servers whose alarm begins or ends with this look
   */
  endLook(atMs: number): { readonly began: readonly SilentServer[]; readonly ended: readonly string[] };
  /** Servers whose alarm lasts. */
  readonly alarms: number;
}

// After a restart of Exchange its subscriptions fall silent one by one, over a status frequency: an hour sees them
// together for every frequency that is in use. Milliseconds.
export const WINDOW_MS = 3_600_000;
// Fewer are the losses of every day, such as a mailbox that was moved.
export const LEAST_SILENT = 5;
export const SHARE = 0.25;

export function createCensus(): Census {
  const counts = new Map<string, number>();
  const falls = new Map<string, number>();
  const recent = new Map<string, { readonly atMs: number; readonly count: number }[]>();
  const alarms = new Set<string>();

  function fallen(server: string, atMs: number): number {
    const kept = (recent.get(server) ?? []).filter((each) => atMs - each.atMs < WINDOW_MS);
    const now = falls.get(server) ?? 0;
    if (now > 0) kept.push({ atMs, count: now });
    if (kept.length === 0) recent.delete(server);
    else recent.set(server, kept);
    return kept.reduce((sum, each) => sum + each.count, 0);
  }

  return {
    // Those that fell silent are kept: they are marked, and no look meets them as living again.
    beginLook: () => counts.clear(),
    count: (server) => void counts.set(server, (counts.get(server) ?? 0) + 1),
    fellSilent: (server) => void falls.set(server, (falls.get(server) ?? 0) + 1),
    endLook(atMs) {
      const began: SilentServer[] = [];
      const ended: string[] = [];
      for (const server of new Set([...falls.keys(), ...recent.keys(), ...alarms])) {
        const silent = fallen(server, atMs);
        const subscriptions = counts.get(server) ?? 0;
        const isMass = silent >= LEAST_SILENT && silent > SHARE * subscriptions;
        if (isMass && !alarms.has(server)) {
          alarms.add(server);
          began.push({ server, silent, subscriptions });
        } else if (silent === 0 && alarms.delete(server)) {
          // It lasts until no more fall silent: phones that subscribed again meanwhile are no end of it.
          ended.push(server);
        }
      }
      falls.clear();
      return { began, ended };
    },
    get alarms() {
      return alarms.size;
    },
  };
}
