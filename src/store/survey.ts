// Questions over all registrations: what is due, what fell idle, and the counts for metrics and `status`.
import type Database from "better-sqlite3";
import { idText } from "./rows.ts";
import type { Platform, Queue, StoreCounts } from "./types.ts";

export interface Survey {
  due(queue: Queue, now: number, limit: number): string[];
  nextDueAt(queue: Queue, after: number): number | null;
  counts(): StoreCounts;
  /** Ids of registrations last renewed at or before this time, at most a thousand. */
  idle(renewedUntil: number): Buffer[];
}

export function createSurvey(db: Database.Database): Survey {
  const due = db
    .prepare(
      "SELECT registration FROM due WHERE app = ? AND platform = ? AND not_before <= ? ORDER BY not_before LIMIT ?",
    )
    .pluck();
  const next = db
    .prepare("SELECT min(not_before) FROM due WHERE app = ? AND platform = ? AND not_before > ?")
    .pluck();
  const oldest = db.prepare("SELECT min(since) FROM due").pluck();
  const owed = db.prepare("SELECT count(*) FROM due").pluck();
  const registrations = db.prepare(`
    SELECT app, platform, count(*) AS count FROM registration
    WHERE deleted_at IS NULL AND idle_at IS NULL GROUP BY app, platform`);
  const subscriptions = db.prepare(`
    SELECT CASE WHEN ended_generation >= generation THEN 'ended'
                WHEN bound_generation < generation THEN 'expected'
                WHEN failed_at IS NOT NULL THEN 'failed'
                ELSE 'live' END AS state, count(*) AS count
    FROM folder WHERE removed_revision IS NULL GROUP BY 1`);
  const idle = db
    .prepare(
      "SELECT id FROM registration WHERE deleted_at IS NULL AND idle_at IS NULL AND renewed_at <= ? LIMIT 1000",
    )
    .pluck();
  return {
    due: ({ app, platform }, now, limit) => (due.all(app, platform, now, limit) as Buffer[]).map(idText),
    nextDueAt: ({ app, platform }, after) =>
      (next.get(app, platform, after) as number | null | undefined) ?? null,
    idle: (renewedUntil) => idle.all(renewedUntil) as Buffer[],
    counts() {
      const states = { expected: 0, live: 0, failed: 0, ended: 0 };
      for (const row of subscriptions.all() as { state: keyof typeof states; count: number }[]) {
        states[row.state] = row.count;
      }
      return {
        registrations: registrations.all() as { app: string; platform: Platform; count: number }[],
        subscriptions: states,
        owed: owed.get() as number,
        owedOldestSince: (oldest.get() as number | null | undefined) ?? null,
      };
    },
  };
}
