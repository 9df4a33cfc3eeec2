// A database that was restored or rolled back goes on under a new feed: what it may have rung and forgotten is made
// up for, and nobody takes its new rows for old ones.
import type Database from "better-sqlite3";
import { forgetCommits } from "./commit-marks.ts";
import { forgetCursor, noteFeed } from "./peer-memory.ts";

// Rings for all phones at once would be a storm; so they are spread over this time, milliseconds.
const SPREAD_MS = 30 * 60_000;

/**
 * Begins a feed, inside a transaction. Each phone's last ring counts as unknown: it gets its newest badge once more.
 * @param seq the last position in this node's feed
 * @param version from the hybrid clock
 * @param now epoch milliseconds
 * @returns the last position afterwards
 */
export function beginFeed(
  db: Database.Database,
  feed: string,
  seq: number,
  version: number,
  now: number,
): number {
  const { changes } = db
    .prepare(`
      INSERT INTO delivery (registration, feed, count, badge_count, badge_seen, reason, outcome, at, attempts,
        accepted, version, seq)
      SELECT id, @feed, 1, 1, '{}', 'changed', 'unknown', @now, 0, 0, @version,
        @seq + row_number() OVER (ORDER BY id)
      FROM registration WHERE deleted_at IS NULL AND idle_at IS NULL`)
    .run({ feed, now, version, seq });
  // Ids are random, so their order spreads the apps and the days of their making evenly.
  db.prepare(`
    INSERT OR IGNORE INTO due (registration, app, platform, not_before, held_until, attempt, since)
    SELECT id, app, platform,
      CAST(@now + @spread * (row_number() OVER (ORDER BY id) - 1) / count(*) OVER () AS INTEGER), 0, 0, @now
    FROM registration
    WHERE deleted_at IS NULL AND idle_at IS NULL
      AND EXISTS (SELECT 1 FROM owed WHERE owed.registration = id AND badge IS NOT NULL)`).run({
    now,
    spread: SPREAD_MS,
  });
  const old = db.prepare("SELECT value FROM meta WHERE key = 'feed'").pluck().get();
  if (typeof old === "string") noteFeed(db, old);
  // What the other node sent was perhaps forgotten too; and it may have left out what it had from here.
  forgetCursor(db);
  forgetCommits(db);
  db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('feed', ?)").run(feed);
  return seq + changes;
}
