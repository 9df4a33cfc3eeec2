// What is left of registrations that were deleted or fell idle: a row each, which outlives every node's memory of the
// registration and then goes. Not replicated: each node removes its own, once the other one has the row too.
import type Database from "better-sqlite3";

/** Which rows are past their use. */
export interface SpentLimit {
  /** Deleted or fallen idle until then, epoch milliseconds. */
  readonly until: number;
  /** The last position of this node's feed that the other node has. */
  readonly seq: number;
}

export interface SpentRows {
  /** The next registrations in the order of their ids: those past their use, and where to go on (null: at the end). */
  find(
    afterId: Buffer | null,
    limit: SpentLimit,
  ): { readonly ids: readonly Buffer[]; readonly last: Buffer | null };
  /** Removes one inside a transaction, if it is still past its use; says how many that were: one or none. */
  remove(id: Buffer, limit: SpentLimit): number;
}

// A database that is restored from a backup of before a deletion brings the registration back, unless the other node
// still has the tombstone: a backup may be so old, milliseconds.
const LEAST_KEPT_MS = 365 * 24 * 3_600_000;

/**
 * For how long such a row is kept: longer than any registration lives without a renewal. Milliseconds.
 * @param idleMs after which a registration falls idle
 */
export function spentKeptMs(idleMs: number): number {
  return Math.max(LEAST_KEPT_MS, 2 * idleMs);
}

// There is no index for what is looked for once a day: so many rows are read at a time, in about a millisecond.
const ROWS_AT_A_TIME = 1_000;

export function createSpentRows(db: Database.Database): SpentRows {
  const page = db.prepare(
    "SELECT id, deleted_at, idle_at, seq FROM registration WHERE id > ? ORDER BY id LIMIT ?",
  );
  const remove = db.prepare(
    "DELETE FROM registration WHERE id = ? AND coalesce(deleted_at, idle_at) <= ? AND seq <= ?",
  );
  // A folder or a debt may have been heard of since under an id that fell idle.
  const removeRest = ["folder", "owed", "delivery", "due"].map((table) =>
    db.prepare(`DELETE FROM ${table} WHERE registration = ?`),
  );
  return {
    find(afterId, limit) {
      // Every id is greater than no bytes at all.
      const rows = page.all(afterId ?? Buffer.alloc(0), ROWS_AT_A_TIME) as {
        readonly id: Buffer;
        readonly deleted_at: number | null;
        readonly idle_at: number | null;
        readonly seq: number;
      }[];
      const spent = rows.filter(({ deleted_at, idle_at, seq }) => {
        const endedAt = deleted_at ?? idle_at;
        return endedAt !== null && endedAt <= limit.until && seq <= limit.seq;
      });
      const last = rows.length < ROWS_AT_A_TIME ? null : (rows.at(-1)?.id ?? null);
      return { ids: spent.map(({ id }) => id), last };
    },
    remove(id, { until, seq }) {
      if (remove.run(id, until, seq).changes === 0) return 0;
      for (const statement of removeRest) statement.run(id);
      return 1;
    },
  };
}
