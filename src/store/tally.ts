// The counts for metrics and `status`: some registrations at a time, since a look at each of a million rows takes a
// second, for which nobody would be answered.
import type Database from "better-sqlite3";
import type { FolderState, Platform, StoreCounts } from "./types.ts";

export interface Tally {
  /**
   * Counts the next registrations in the order of their ids.
   * @param afterId the last one that was counted, or null at the beginning
   * @returns where to go on, or null at the end
   */
  countOn(afterId: Buffer | null): Buffer | null;
  /** What was counted, and what is owed now. */
  sums(): StoreCounts;
}

interface RegistrationCount {
  readonly app: string;
  readonly platform: Platform;
  readonly count: number;
  readonly not_rung: number;
  readonly last: Buffer;
}

// Read in about two milliseconds.
const ROWS_AT_A_TIME = 1_000;
const BEFORE_EVERY_ID = Buffer.alloc(0);
// Ids have 16 bytes.
const AFTER_EVERY_ID = Buffer.alloc(17, 0xff);

/** Gives a maker of tallies, each for one count over everything. */
export function prepareTally(db: Database.Database): () => Tally {
  const registrations = db.prepare(`
    SELECT app, platform, count(*) AS count, sum(not_rung) AS not_rung, max(id) AS last FROM (
      SELECT id, app, platform, EXISTS (
        SELECT 1 FROM delivery WHERE delivery.registration = id AND dead IS NOT NULL
          AND dead_token_mac = token_mac AND dead_at >= renewed_at
      ) AS not_rung
      FROM registration WHERE id > ? AND deleted_at IS NULL AND idle_at IS NULL ORDER BY id LIMIT ?
    ) GROUP BY app, platform`);
  // The states are those of `folderState`.
  const subscriptions = db.prepare(`
    SELECT CASE WHEN ended_generation >= max(generation, bound_generation) THEN 'ended'
                WHEN failed_at IS NOT NULL THEN 'failed'
                WHEN silent_at IS NOT NULL THEN 'silent'
                WHEN bound_generation < generation OR last_heard_at IS NULL THEN 'expected'
                ELSE 'live' END AS state, count(*) AS count
    FROM folder WHERE registration > ? AND registration <= ? AND removed_revision IS NULL GROUP BY 1`);
  const owed = db.prepare("SELECT count(*) FROM due").pluck();
  const oldest = db.prepare("SELECT min(since) FROM due").pluck();

  return () => {
    const phones = new Map<string, StoreCounts["registrations"][number]>();
    const states: Record<FolderState, number> = { expected: 0, live: 0, silent: 0, failed: 0, ended: 0 };
    let notRung = 0;
    return {
      countOn(afterId) {
        const after = afterId ?? BEFORE_EVERY_ID;
        const found = registrations.all(after, ROWS_AT_A_TIME) as RegistrationCount[];
        for (const { app, platform, count, not_rung } of found) {
          const key = JSON.stringify([app, platform]);
          phones.set(key, { app, platform, count: (phones.get(key)?.count ?? 0) + count });
          notRung += not_rung;
        }
        const isAll = found.reduce((sum, { count }) => sum + count, 0) < ROWS_AT_A_TIME;
        const last = isAll ? null : found.map((each) => each.last).reduce(later);
        const folders = subscriptions.all(after, last ?? AFTER_EVERY_ID);
        for (const { state, count } of folders as { state: FolderState; count: number }[]) {
          states[state] += count;
        }
        return last;
      },
      sums: () => ({
        registrations: [...phones.values()],
        notRung,
        subscriptions: states,
        owed: owed.get() as number,
        owedOldestSince: (oldest.get() as number | null | undefined) ?? null,
      }),
    };
  };
}

function later(a: Buffer, b: Buffer): Buffer {
  return a.compare(b) > 0 ? a : b;
}
