// A database that came out of a backup. It does not know what happened since: which phones got another token, which
// subscribed again, what was rung. `restore` marks the file, so that its first start is certain to know.
import { randomBytes } from "node:crypto";
import type Database from "better-sqlite3";
import { createClock } from "./clock.ts";
import { beginFeed } from "./new-feed.ts";

// When the backup was made (epoch milliseconds), from the restoring until the first start.
const MARK = "restored";
// When the database went on after that, epoch milliseconds.
const SINCE = "restored_at";

/**
 * Marks a database that nothing else has open.
 * @param backupMadeAt epoch milliseconds
 */
export function markRestored(db: Database.Database, backupMadeAt: number): void {
  db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)").run(MARK, backupMadeAt);
}

/**
 * Makes a marked database fit to go on: a new feed, so that each phone is rung once more and the other node of a pair
 * notices; and no verdict about a token counts for more than "not rung", since the phone may have got another one, and
 * its subscription may live, without this database knowing it.
 * @returns when the backup was made, epoch milliseconds; null if the database is not marked
 */
export function goOnAfterRestore(db: Database.Database, now: () => number): number | null {
  const get = db.prepare("SELECT value FROM meta WHERE key = ?").pluck();
  const madeAt = get.get(MARK);
  if (madeAt === undefined) return null;
  const set = db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)");
  db.transaction(() => {
    const clock = createClock(now, Number(get.get("clock") ?? 0));
    db.prepare("UPDATE delivery SET dead = 'stopped' WHERE dead = 'ended'").run();
    const seq = beginFeed(
      db,
      randomBytes(8).toString("hex"),
      Number(get.get("seq") ?? 0),
      clock.tick(),
      now(),
    );
    set.run("clock", clock.last);
    set.run("seq", seq);
    set.run("wall", now());
    set.run(SINCE, now());
    db.prepare("DELETE FROM meta WHERE key IN (?, 'commit')").run(MARK);
  })();
  return Number(madeAt);
}

/** When this database last went on after a restore, epoch milliseconds, or null. */
export function restoredAt(db: Database.Database): number | null {
  const value = db.prepare("SELECT value FROM meta WHERE key = ?").pluck().get(SINCE);
  return value === undefined ? null : Number(value);
}

/**
 * Whether a registration's row is as old as the backup: nothing that it says about its token may end a subscription.
 * @param renewedAt the row's last renewal, epoch milliseconds
 */
export function isFromBackup(renewedAt: number, restoredSince: number | null): boolean {
  return restoredSince !== null && renewedAt <= restoredSince;
}
