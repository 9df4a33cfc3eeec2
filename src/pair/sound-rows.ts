// What no row of any version can be: values that would keep this node from ever writing or reading its database again. The
// peer has proved who it is; it may still have gone mad, or its disk may have. Pure.

import type { ReplicaRow } from "../store/feed-types.ts";
import type { RawRow } from "../store/merge.ts";

// Of the hybrid clock: the year 2200. Whoever sees one near 2^53 could count no further, in this life or the next.
const MOST_MARK = Date.UTC(2200, 0) * 1024;
const ID_BYTES = 16;

/** What is wrong with the first row that cannot be, or null. */
export function unsound(rows: readonly ReplicaRow[]): string | null {
  for (const { table, row, seq } of rows) {
    const column = wrongColumn(row, table === "registration" ? "id" : "registration");
    if (column !== null) return `the row at ${seq} (${table}) cannot be: ${column}`;
  }
  return null;
}

function wrongColumn(row: RawRow, idColumn: string): string | null {
  const id = row[idColumn];
  if (!Buffer.isBuffer(id) || id.length !== ID_BYTES) return idColumn;
  if (!isMark(row.version)) return "version";
  if (row.badge_mark !== undefined && row.badge_mark !== null && !isMark(row.badge_mark)) return "badge_mark";
  if (row.badge_seen !== undefined && !isTextOf(row.badge_seen, isMark)) return "badge_seen";
  if (row.reasons !== undefined && !isTextOf(row.reasons, isMarks)) return "reasons";
  return null;
}

/** Whether it is the JSON of an object with such values. */
function isTextOf(cell: unknown, holds: (value: unknown) => boolean): boolean {
  // By far the most frequent one.
  if (cell === "{}") return true;
  if (typeof cell !== "string") return false;
  try {
    const value: unknown = JSON.parse(cell);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    return Object.values(value).every(holds);
  } catch {
    return false;
  }
}

/** The mark, the settled mark and a time; a newer version may add to them. */
function isMarks(value: unknown): boolean {
  return Array.isArray(value) && value.length >= 3 && value.slice(0, 3).every(isMark);
}

function isMark(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MOST_MARK;
}
