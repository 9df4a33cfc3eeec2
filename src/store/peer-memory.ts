// What this database remembers of the other node's feeds: how far the present one was read, and which there were.
import type Database from "better-sqlite3";
import type { PeerKnowledge, Position } from "./feed-types.ts";

export interface PeerMemory {
  readonly known: PeerKnowledge;
  /** Inside a transaction: everything up to here was merged, by this transaction or before it. */
  note(upTo: Position): void;
}

// One for each restored database: nobody restores as often.
const MOST_FEEDS = 64;

export function createPeerMemory(db: Database.Database): PeerMemory {
  const get = db.prepare("SELECT value FROM meta WHERE key = ?").pluck();
  const set = db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)");
  const schema = Number(db.pragma("user_version", { simple: true }));
  const feeds = (): string[] => JSON.parse(String(get.get("feeds_seen") ?? "[]")) as string[];

  function cursor(): Position | null {
    const stored = get.get("peer");
    if (typeof stored !== "string") return null;
    const { schema: readBy, ...position } = JSON.parse(stored) as Position & { schema: number };
    // What an older version of this node did not know of the rows it left out: they are read again.
    return readBy === schema ? position : null;
  }

  return {
    get known() {
      return { cursor: cursor(), feeds: feeds() };
    },
    note({ feed, seq, commit }) {
      set.run("peer", JSON.stringify({ feed, seq, commit, schema }));
      if (!feeds().includes(feed)) noteFeed(db, feed);
    },
  };
}

/** Inside a transaction: this feed was seen. */
export function noteFeed(db: Database.Database, feed: string): void {
  const stored = db.prepare("SELECT value FROM meta WHERE key = 'feeds_seen'").pluck().get();
  const seen = JSON.parse(String(stored ?? "[]")) as string[];
  if (seen.includes(feed)) return;
  const feeds = JSON.stringify([...seen, feed].slice(-MOST_FEEDS));
  db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('feeds_seen', ?)").run(feeds);
}

/** Inside a transaction: the other node's feed is to be read from its beginning. */
export function forgetCursor(db: Database.Database): void {
  db.prepare("DELETE FROM meta WHERE key = 'peer'").run();
}
