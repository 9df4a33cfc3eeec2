// When any subscription of an Exchange server was last heard, in memory of a bounded size.

export interface ServerTimes {
  heard(server: string, atMs: number): void;
  /** In the time that `heard` was told; minus infinity if never, or if it is forgotten. */
  lastHeard(server: string): number;
}

// Exchange servers of the largest companies; a stranger who learnt a callback URL can name more.
const MAX_SERVERS = 1000;

export function createServerTimes(maxServers: number = MAX_SERVERS): ServerTimes {
  // In the order in which they were last heard, oldest first.
  const times = new Map<string, number>();
  return {
    heard(server, atMs) {
      times.delete(server);
      const [oldest] = times.size < maxServers ? [] : times.keys();
      if (oldest !== undefined) times.delete(oldest);
      times.set(server, atMs);
    },
    lastHeard: (server) => times.get(server) ?? Number.NEGATIVE_INFINITY,
  };
}

/** The name of a server in here and in the other memories; one name for all whose ids name none. */
export function serverKey(serverMac: Buffer | null): string {
  return serverMac?.toString("hex") ?? "";
}
