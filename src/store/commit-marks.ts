// A random name for each commit, by which a database that was restored or rolled back is noticed: whoever read this
// node's rows remembers the newest commit of that time, and this database no longer knows it then.
import { randomBytes } from "node:crypto";
import type Database from "better-sqlite3";

export interface CommitMarks {
  /** The name of the newest commit. */
  readonly newest: string;
  /** Inside a transaction that writes, once: names its commit. */
  next(): void;
  /** Call the result if the transaction that begins now fails: the commit before it is the newest again. */
  save(): () => void;
  /** These are remembered, with the newest, until the next call; others are forgotten. */
  keep(names: readonly string[]): void;
  knows(name: string): boolean;
}

// What was the newest commit at a start may have been named to the other node just before; with a restart an hour
// these reach back for ten days. A name too many costs 17 bytes, one too few a full exchange.
const MOST_STARTS = 256;

/** Reads what is remembered. What is to be remembered is written with the next commit: none is forgotten before. */
export function createCommitMarks(db: Database.Database): CommitMarks {
  const get = db.prepare("SELECT value FROM meta WHERE key = ?").pluck();
  const set = db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)");
  const stored = get.get("commit");
  let newest = typeof stored === "string" ? stored : name();
  if (stored === undefined) set.run("commit", newest);
  const before = JSON.parse(String(get.get("kept_commits") ?? "[]")) as string[];
  let kept = new Set([...before, newest].slice(-MOST_STARTS));
  let isWritten = false;

  return {
    get newest() {
      return newest;
    },
    next() {
      newest = name();
      set.run("commit", newest);
      if (!isWritten) set.run("kept_commits", JSON.stringify([...kept]));
      isWritten = true;
    },
    save() {
      const was = { newest, isWritten };
      return () => {
        ({ newest, isWritten } = was);
      };
    },
    keep(names) {
      // The newest too: between two commits nothing is written that could remember it.
      const next = new Set([...names, newest]);
      if (next.size === kept.size && [...next].every((each) => kept.has(each))) return;
      kept = next;
      isWritten = false;
    },
    knows: (asked) => asked === newest || kept.has(asked),
  };
}

function name(): string {
  return randomBytes(8).toString("hex");
}
