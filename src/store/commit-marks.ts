// A random name for each commit, by which a database that was restored or rolled back is noticed: whoever read this
// node's rows remembers the newest commit of that time, and this database no longer knows it then.
import { randomBytes } from "node:crypto";
import type Database from "better-sqlite3";
import type { CommitPlace, KeptCommits } from "./feed-types.ts";

export interface CommitMarks {
  /** The name of the newest commit. */
  readonly newest: string;
  /** Inside a transaction that writes, once: names its commit. */
  next(): void;
  /** Call the result if the transaction that begins now fails: the commit before it is the newest again. */
  save(): () => void;
  /** These are remembered, with the newest, until the next call; others are forgotten. */
  keep(commits: KeptCommits): void;
  /** Where the commit of that name stands, that the other node read up to `seq` by. */
  place(seq: number, name: string): CommitPlace;
}

// What was the newest commit at a start may have been named to the other node just before; with a restart an hour
// these reach back for ten days. A name too many costs 17 bytes, one too few a full exchange.
const MOST_STARTS = 256;

/** Reads what is remembered. What is to be remembered is written with the next commit: none is forgotten before. */
export function createCommitMarks(db: Database.Database): CommitMarks {
  const get = db.prepare("SELECT value FROM meta WHERE key = ?").pluck();
  const set = db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)");
  const stored = get.get("commit");
  let newest = typeof stored === "string" ? stored : randomName();
  if (stored === undefined) set.run("commit", newest);
  const before = readKept(get.get("kept_commits"));
  let kept = { ...before, names: [...before.names, newest].slice(-MOST_STARTS) };
  let isWritten = false;

  return {
    get newest() {
      return newest;
    },
    next() {
      newest = randomName();
      set.run("commit", newest);
      if (!isWritten) set.run("kept_commits", JSON.stringify(kept));
      isWritten = true;
    },
    save() {
      const was = { newest, isWritten };
      return () => {
        ({ newest, isWritten } = was);
      };
    },
    keep({ acknowledgedSeq, names }) {
      // The newest too: between two commits nothing is written that could remember it.
      const next = { acknowledgedSeq, names: [...new Set([...names, newest])] };
      if (JSON.stringify(next) === JSON.stringify(kept)) return;
      kept = next;
      isWritten = false;
    },
    place(seq, name) {
      if (name === newest || kept.names.includes(name)) return "known";
      return seq < kept.acknowledgedSeq ? "left_behind" : "unknown";
    },
  };
}

function readKept(stored: unknown): KeptCommits {
  return typeof stored === "string" ? (JSON.parse(stored) as KeptCommits) : { acknowledgedSeq: 0, names: [] };
}

/** Inside a transaction: none that was named before is remembered. */
export function forgetCommits(db: Database.Database): void {
  db.prepare("DELETE FROM meta WHERE key = 'kept_commits'").run();
}

function randomName(): string {
  return randomBytes(8).toString("hex");
}
