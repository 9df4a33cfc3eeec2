// Who holds how many connections of a listener, and who has to go when there is no more room: those that have waited
// longest without a request in work, so that slow clients cannot keep others out.
import { addressKey } from "./address.ts";
import type { Limits } from "./limits.ts";
import type { RefusalReason } from "./refusals.ts";

/** A connection as its listener keeps it. */
export interface Held {
  /** Monotonic time at which `expire` is due. */
  readonly deadlineAt: number;
  /** Whether it may be closed in favour of a new one: no complete request waits for its answer. */
  readonly canYield: boolean;
  /** The client's address. */
  readonly address: string;
  /** The deadline has passed. */
  expire(): void;
  /** The listener stops: ends what is idle; a client that is about to send, or to close, has until `byMs`. */
  wind(byMs: number): void;
  /** Closes without further ado; the owner is told before this returns. */
  abandon(): void;
}

export type Rank =
  | "client"
  /** Its address is not in the allow list. */
  | "stranger"
  /** Its clients are counted instead. */
  | "proxy";

export interface Places {
  readonly size: number;
  all(): Held[];
  /** Makes room for one more, at the cost of an older one if need be; null, or why there is none. */
  makeRoom(address: string, rank: Rank): RefusalReason | null;
  add(held: Held, rank: Rank): void;
  remove(held: Held): void;
  /** Counts a request that a proxy passes on as if its client had connected. False when that client has too many. */
  enter(held: Held, address: string): boolean;
  leave(held: Held, address: string): void;
}

// So many of the oldest are compared, whatever the number of connections: it is asked for each new one.
const CANDIDATES = 16;

/** @param refused is told of each connection that was closed in favour of another */
export function createPlaces(
  limits: Pick<Limits, "connections" | "connectionsPerAddress" | "strangers">,
  refused: (why: RefusalReason, address: string) => void,
): Places {
  // Sets keep their order: the first is the oldest.
  const everyone = new Map<Held, Rank>();
  const strangers = new Set<Held>();
  const byAddress = new Map<string, Set<Held>>();

  function join(held: Held, address: string): void {
    const key = addressKey(address);
    const group = byAddress.get(key);
    if (group === undefined) byAddress.set(key, new Set([held]));
    else group.add(held);
  }

  function part(held: Held, address: string): void {
    const key = addressKey(address);
    const group = byAddress.get(key);
    group?.delete(held);
    if (group?.size === 0) byAddress.delete(key);
  }

  /** Whether the group has room now. */
  function trim(group: Iterable<Held>, size: number, limit: number, why: RefusalReason): boolean {
    if (size < limit) return true;
    const held = longestWaiting(group);
    if (held === null) return false;
    refused(why, held.address);
    held.abandon();
    return true;
  }

  /** Of the oldest that may go, the one whose address has most: a crowd makes room before a single client does. */
  function longestWaiting(group: Iterable<Held>): Held | null {
    let chosen: Held | null = null;
    let most = 0;
    let seen = 0;
    for (const held of group) {
      if (!held.canYield) continue;
      const count = byAddress.get(addressKey(held.address))?.size ?? 1;
      if (count > most) {
        chosen = held;
        most = count;
      }
      seen += 1;
      if (seen === CANDIDATES) break;
    }
    return chosen;
  }

  return {
    get size() {
      return everyone.size;
    },

    all: () => [...everyone.keys()],

    makeRoom(address, rank) {
      if (rank === "stranger" && !trim(strangers, strangers.size, limits.strangers, "connections"))
        return "connections";
      const group = rank === "proxy" ? undefined : byAddress.get(addressKey(address));
      if (
        group !== undefined &&
        !trim(group, group.size, limits.connectionsPerAddress, "address_connections")
      ) {
        return "address_connections";
      }
      return trim(everyone.keys(), everyone.size, limits.connections, "connections") ? null : "connections";
    },

    add(held, rank) {
      everyone.set(held, rank);
      if (rank === "stranger") strangers.add(held);
      if (rank !== "proxy") join(held, held.address);
    },

    remove(held) {
      const rank = everyone.get(held);
      if (rank === undefined) return;
      everyone.delete(held);
      strangers.delete(held);
      if (rank !== "proxy") part(held, held.address);
    },

    enter(held, address) {
      const size = byAddress.get(addressKey(address))?.size ?? 0;
      if (size >= limits.connectionsPerAddress) return false;
      join(held, address);
      return true;
    },

    leave: part,
  };
}
