// Rows of feeds that are no longer in use: each restored or rolled-back database leaves one behind. They go once they say
// nothing that a row of a present feed does not say. Not replicated: each node removes its own.
import type Database from "better-sqlite3";
import { deadness, type KnownRows } from "./apply.ts";
import { type OwedRow, openReasons } from "./owed-rule.ts";
import type { Rows } from "./rows.ts";

/** Which rows may go. */
export interface FormerLimit {
  /** The last position of this node's feed that the other node has: no row goes that only this one has. */
  readonly seq: number;
  /** The other node's present feed, null without another node. */
  readonly peerFeed: string | null;
}

/** Feeds whose row of a registration says nothing any more. */
export interface NeedlessRows {
  readonly owed: readonly string[];
  readonly delivery: readonly string[];
}

/**
 * A former feed's row is needless when all that it says is said, or outdone, by what a present feed's row had seen.
 * Whoever knows that one (see `seen.ts`) has seen the former too; so nothing more and nothing less is owed without it,
 * here and on a node that still has it, nor if it comes back out of a backup: only a reason that was settled after that is
 * rung for once more, as after any restore.
 * @param inUse the present feeds of both nodes
 * @param now epoch milliseconds
 */
export function needlessRows(known: KnownRows, inUse: ReadonlySet<string>, now: number): NeedlessRows {
  const { registration, owed, deliveries } = known;
  const isFormer = ({ feed }: { readonly feed: string }) => !inUse.has(feed);
  const present = owed.filter((row) => !isFormer(row));
  const presentRings = deliveries.filter((row) => !isFormer(row));
  const needlessOwed = owed.filter(
    (row) =>
      isFormer(row) &&
      openReasons([row], now).size === 0 &&
      present.some((other) => isLater(other, row) && (row.badge === null || isNewer(other, row))),
  );
  const needlessRings = deliveries.filter(
    (row) =>
      isFormer(row) &&
      // What the provider said of the phone's present token, and its allowance, are nowhere else.
      deadness(registration, [row]) === "no" &&
      Math.max(row.pace.shown, row.pace.wake) <= now &&
      // Nor the last ring of all, which people are shown.
      presentRings.some(({ seen, last }) => (seen[row.feed] ?? 0) >= row.count && last.at >= row.last.at),
  );
  return {
    owed: needlessOwed.map(({ feed }) => feed),
    delivery: needlessRings.map(({ feed }) => feed),
  };
}

function isNewer(other: OwedRow, { feed, badgeMark, badgeEventAt }: OwedRow): boolean {
  // Of a later event too, by Exchange's clock: against a third badge, from a node that was apart, that one decides.
  return (
    other.badge !== null && (other.badgeSeen[feed] ?? 0) >= badgeMark && other.badgeEventAt >= badgeEventAt
  );
}

/** People are shown when there was news last. */
function isLater(other: OwedRow, row: OwedRow): boolean {
  return lastMark(other) >= lastMark(row);
}

function lastMark({ badgeMark, reasons }: OwedRow): number {
  return Math.max(badgeMark, ...Object.values(reasons).map(([mark]) => mark));
}

export interface FormerRows {
  /** The next registrations in the order of their ids: those with needless rows, and where to go on (null: at the end). */
  find(
    afterId: Buffer | null,
    limit: FormerLimit,
  ): { readonly ids: readonly Buffer[]; readonly last: Buffer | null };
  /** Removes a registration's rows that are needless still, inside a transaction; says how many. */
  remove(id: Buffer, limit: FormerLimit): number;
}

// So many registrations at a time, each of them read and most of them written after a restore: some milliseconds.
const PHONES_AT_A_TIME = 50;

/** @param feed this node's present one */
export function createFormerRows(
  db: Database.Database,
  rows: Rows,
  feed: string,
  now: () => number,
): FormerRows {
  const hasFormer = (table: string) =>
    `EXISTS (SELECT 1 FROM ${table} WHERE registration = id AND feed NOT IN (@feed, @peer) AND seq <= @seq)`;
  const page = db.prepare(`
    SELECT id, ${hasFormer("owed")} OR ${hasFormer("delivery")} AS has_former
    FROM registration WHERE id > @after ORDER BY id LIMIT @count`);
  const deletes = {
    owed: db.prepare("DELETE FROM owed WHERE registration = ? AND feed = ? AND seq <= ?"),
    delivery: db.prepare("DELETE FROM delivery WHERE registration = ? AND feed = ? AND seq <= ?"),
  };

  function needless(id: Buffer, { peerFeed }: FormerLimit): NeedlessRows {
    const stored = rows.registration(id);
    if (stored?.kind !== "present") return { owed: [], delivery: [] };
    const known = {
      registration: stored.registration,
      owed: rows.owed(id),
      deliveries: rows.deliveries(id),
    };
    return needlessRows(known, new Set([feed, peerFeed ?? feed]), now());
  }

  return {
    find(afterId, limit) {
      const found = page.all({
        // Every id is greater than no bytes at all.
        after: afterId ?? Buffer.alloc(0),
        count: PHONES_AT_A_TIME,
        feed,
        peer: limit.peerFeed ?? feed,
        seq: limit.seq,
      }) as { readonly id: Buffer; readonly has_former: number }[];
      const ids = found
        .filter(({ id, has_former }) => {
          if (has_former === 0) return false;
          const { owed, delivery } = needless(id, limit);
          return owed.length + delivery.length > 0;
        })
        .map(({ id }) => id);
      return { ids, last: found.length < PHONES_AT_A_TIME ? null : (found.at(-1)?.id ?? null) };
    },
    remove(id, limit) {
      const { owed, delivery } = needless(id, limit);
      let removed = 0;
      for (const each of owed) removed += deletes.owed.run(id, each, limit.seq).changes;
      for (const each of delivery) removed += deletes.delivery.run(id, each, limit.seq).changes;
      return removed;
    },
  };
}
