// A database that was restored or rolled back goes on under a new feed: what it may have rung and forgotten is made
// up for, and nobody takes its new rows for old ones.
import type Database from "better-sqlite3";
import { forgetCommits } from "./commit-marks.ts";
import { forgetCursor, noteFeed } from "./peer-memory.ts";

// Rings for all phones at once would be a storm; so they are spread over this time, milliseconds.
const SPREAD_MS = 30 * 60_000;

/** Where the work on a new feed stands: phones in the order of their ids, some at a time, so that others get on. */
export interface FeedProgress {
  readonly feed: string;
  /** The last phone that is done; null before the first. */
  readonly lastId: Buffer | null;
  readonly done: number;
  /** How many phones there are, about. */
  readonly total: number;
}

const PHONES = "registration WHERE deleted_at IS NULL AND idle_at IS NULL";

export function firstProgress(db: Database.Database, feed: string): FeedProgress {
  // The deleted ones too: an index tells that, where the rows themselves would have to be read.
  const total = Number(db.prepare("SELECT count(*) FROM registration").pluck().get());
  return { feed, lastId: null, done: 0, total };
}

/**
 * Makes the last ring of the next phones one that nobody knows, inside a transaction: each gets its newest badge once
 * more. Until the feed is switched to it only looks as if another node had rung them.
 * @param seq the last position in this node's feed
 * @param version from the hybrid clock
 * @param now epoch milliseconds
 * @returns where it stands then, null after the last phone; and the last position
 */
export function forgetRings(
  db: Database.Database,
  { feed, lastId, done, total }: FeedProgress,
  limit: number,
  seq: number,
  version: number,
  now: number,
): { readonly progress: FeedProgress | null; readonly seq: number } {
  const next = `SELECT id, app, platform, row_number() OVER (ORDER BY id) AS place FROM ${PHONES}
    AND id > @after ORDER BY id LIMIT @limit`;
  const page = { after: lastId ?? Buffer.alloc(0), limit };
  const ends = db.prepare(`SELECT max(id) AS last, count(*) AS count FROM (${next})`).get(page) as {
    readonly last: Buffer | null;
    readonly count: number;
  };
  // Whoever knows of this one began after all rings that this database knows of: these have ended.
  db.prepare(`
    INSERT INTO delivery (registration, feed, count, badge_count, badge_seen, reason, outcome, at, attempts,
      accepted, version, seq)
    SELECT id, @feed, 1, 1, (SELECT json_group_object(feed, badge_count) FROM delivery WHERE registration = id),
      'changed', 'unknown', @now, 0, 0, @version, @seq + place
    FROM (${next})`).run({ ...page, feed, now, version, seq });
  // Ids are random, so their order spreads the apps and the days of their making evenly.
  db.prepare(`
    INSERT OR IGNORE INTO due (registration, app, platform, not_before, held_until, attempt, since)
    SELECT id, app, platform, CAST(@now + @spread * (@done + place - 1) / @total AS INTEGER), 0, 0, @now
    FROM (${next})
    WHERE EXISTS (SELECT 1 FROM owed WHERE owed.registration = id AND badge IS NOT NULL)`).run({
    ...page,
    now,
    spread: SPREAD_MS,
    done,
    total: Math.max(1, total),
  });
  const { last, count } = ends;
  const progress = last === null || count < limit ? null : { feed, lastId: last, done: done + count, total };
  return { progress, seq: seq + count };
}

/** Goes on under the feed, inside a transaction. */
export function switchFeed(db: Database.Database, feed: string): void {
  const old = db.prepare("SELECT value FROM meta WHERE key = 'feed'").pluck().get();
  if (typeof old === "string") noteFeed(db, old);
  // What the other node sent was perhaps forgotten too; and it may have left out what it had from here.
  forgetCursor(db);
  forgetCommits(db);
  db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('feed', ?)").run(feed);
}

/** Both in one transaction, for a database that nobody uses yet; gives the last position. */
export function beginFeed(
  db: Database.Database,
  feed: string,
  seq: number,
  version: number,
  now: number,
): number {
  const rung = forgetRings(db, firstProgress(db, feed), Number.MAX_SAFE_INTEGER, seq, version, now);
  switchFeed(db, feed);
  return rung.seq;
}
