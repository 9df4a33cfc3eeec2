// How two nodes' copies of a row become one: pure rules over rows as they stand in the tables. The same two rows give
// the same result on either node, in either order, and again and again; neither's news hides the other's.
import type { ReasonMarks } from "./owed-rule.ts";

/** The value of a column. */
export type Cell = number | string | Buffer | null;
/** A row as it stands in a table, by column. */
export type RawRow = Readonly<Record<string, Cell>>;
export const REPLICATED = ["registration", "folder", "owed", "delivery"] as const;
export type Table = (typeof REPLICATED)[number];

/** The merged row; `mine` itself where there is nothing to be learnt from `theirs`. */
export function mergeRows(table: Table, mine: RawRow, theirs: RawRow): RawRow {
  switch (table) {
    case "registration":
      return mergeRegistration(mine, theirs);
    case "folder":
      return mergeFolder(mine, theirs);
    case "owed":
      return mergeOwed(mine, theirs);
    case "delivery":
      // One writer: its later row says all that its earlier ones did.
      return pick(mine, theirs, ["count", "version"]);
  }
}

function mergeRegistration(mine: RawRow, theirs: RawRow): RawRow {
  // A deletion beats everything: a deleted id is spent.
  if (isSet(mine, "deleted_at") !== isSet(theirs, "deleted_at")) {
    return isSet(mine, "deleted_at") ? mine : theirs;
  }
  const order = ["revision", "renewed_at"];
  // Falling idle loses to any renewal, and wins over the very renewal that it counted from.
  if (isSet(mine, "idle_at") !== isSet(theirs, "idle_at")) {
    const [idle, present] = isSet(mine, "idle_at") ? [mine, theirs] : [theirs, mine];
    return compare(present, idle, order) > 0 ? present : idle;
  }
  return pick(mine, theirs, [...order, "version"]);
}

// What was heard last belongs together: the id that Exchange used, and where it stood.
const HEARD = ["bound_generation", "subscription_mac", "server_mac", "watermark_mac", "last_heard_at"];

function mergeFolder(mine: RawRow, theirs: RawRow): RawRow {
  const wished = pick(mine, theirs, ["generation", "version"]);
  const heard = pick(mine, theirs, ["bound_generation", "last_heard_at", "version"]);
  const removed = Math.max(num(mine, "removed_revision"), num(theirs, "removed_revision"));
  const isRemoved = removed > 0 && removed > num(wished, "generation");
  return settled(mine, theirs, {
    ...wished,
    ...(isRemoved ? {} : Object.fromEntries(HEARD.map((column) => [column, heard[column] ?? null]))),
    ended_generation: Math.max(num(mine, "ended_generation"), num(theirs, "ended_generation")),
    // A wish for the folder that is later than its removal brings it back.
    removed_revision: isRemoved ? removed : null,
  });
}

const BADGE = ["badge", "badge_mark", "badge_event_at", "badge_seen"];

function mergeOwed(mine: RawRow, theirs: RawRow): RawRow {
  const badge = num(theirs, "badge_mark") > num(mine, "badge_mark") ? theirs : mine;
  const [a, b] = [reasonsOf(mine), reasonsOf(theirs)];
  const reasons: Record<string, ReasonMarks> = {};
  // In one order on both nodes, so that equal rows are equal texts.
  for (const key of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()) {
    const [mark = 0, done = 0, since = 0] = a[key] ?? [];
    const [otherMark = 0, otherDone = 0, otherSince = 0] = b[key] ?? [];
    const later = otherMark > mark || (otherMark === mark && otherSince < since) ? otherSince : since;
    reasons[key] = [Math.max(mark, otherMark), Math.max(done, otherDone), later];
  }
  return settled(mine, theirs, {
    ...mine,
    ...Object.fromEntries(BADGE.map((column) => [column, badge[column] ?? null])),
    reasons: JSON.stringify(reasons),
  });
}

/** The merged row with its version: an equal row keeps its own, so that two nodes come to rest. */
function settled(mine: RawRow, theirs: RawRow, merged: RawRow): RawRow {
  if (isSame(merged, mine)) return mine;
  return { ...merged, version: Math.max(num(mine, "version"), num(theirs, "version")) };
}

/** Whether two rows say the same, whatever their version and their place in a node's feed. */
export function isSame(a: RawRow, b: RawRow): boolean {
  return Object.keys(a).every((column) => {
    if (column === "version" || column === "seq") return true;
    const [left, right] = [a[column] ?? null, b[column] ?? null];
    if (column === "reasons") return sameReasons(a, b);
    return Buffer.isBuffer(left) && Buffer.isBuffer(right) ? left.equals(right) : left === right;
  });
}

function sameReasons(a: RawRow, b: RawRow): boolean {
  const [left, right] = [reasonsOf(a), reasonsOf(b)];
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => left[key]?.every((value, at) => right[key]?.[at] === value) === true)
  );
}

function reasonsOf(row: RawRow): Readonly<Record<string, ReasonMarks>> {
  return typeof row.reasons === "string" ? (JSON.parse(row.reasons) as Record<string, ReasonMarks>) : {};
}

function isSet(row: RawRow, column: string): boolean {
  return (row[column] ?? null) !== null;
}

function num(row: RawRow, column: string): number {
  const value = row[column];
  return typeof value === "number" ? value : 0;
}

/** The row that is above the other by the first of these columns in which they differ; else by their whole text. */
function pick(mine: RawRow, theirs: RawRow, columns: readonly string[]): RawRow {
  const order = compare(theirs, mine, columns);
  if (order !== 0) return order > 0 ? theirs : mine;
  // Two nodes' clocks gave the same version, or one node's row has come by way of an older version of the other: any
  // order will do that both nodes find, in which a value goes before none, and so before a column that was not known.
  return isSame(mine, theirs) || compareText(mine, theirs) >= 0 ? mine : theirs;
}

function compare(a: RawRow, b: RawRow, columns: readonly string[]): number {
  for (const column of columns) {
    const difference = num(a, column) - num(b, column);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compareText(a: RawRow, b: RawRow): number {
  for (const column of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()) {
    if (column === "seq") continue;
    const [left, right] = [textOf(a[column]), textOf(b[column])];
    if (left !== right) return left > right ? 1 : -1;
  }
  return 0;
}

/** Empty for no value. */
function textOf(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return "";
  return JSON.stringify(Buffer.isBuffer(cell) ? cell.toString("hex") : cell);
}
