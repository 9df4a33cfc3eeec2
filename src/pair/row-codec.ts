// Rows as they travel: JSON, with each table's columns named once in a frame and binary values in base64. Readable by
// any version of the runtime; a column or table that only one of two versions has hurts neither.

import type { ReplicaRow } from "../store/feed-types.ts";
import { type Cell, type RawRow, REPLICATED, type Table } from "../store/merge.ts";

/** A text, a number, null, or bytes in base64 as the only element of a list. */
type WireCell = string | number | null | readonly [base64: string];

export interface WireRows {
  /** Table and columns of rows that look alike. */
  readonly shapes: readonly (readonly [table: string, columns: readonly string[]])[];
  /** Which shape, the position in the sender's feed, then the cells. */
  readonly rows: readonly (readonly [shape: number, seq: number, ...cells: WireCell[]])[];
}

/** More than any page of a neighbouring version has. */
export const MAX_ROWS = 2_000;
const MAX_SHAPES = 64;
const MAX_COLUMNS = 128;
// What the JSON of a cell needs besides its value, bytes.
const CELL_BYTES = 4;

/** About how many bytes a row takes in a frame. */
export function wireBytes(row: RawRow): number {
  let bytes = 0;
  for (const column in row) {
    const cell = row[column];
    const length =
      typeof cell === "string" ? cell.length : Buffer.isBuffer(cell) ? (cell.length * 4) / 3 : 12;
    bytes += length + CELL_BYTES;
  }
  return bytes;
}

export function toWire(rows: readonly ReplicaRow[]): WireRows {
  const shapes: [string, readonly string[]][] = [];
  const shapeOf = new Map<string, number>();
  return {
    shapes,
    rows: rows.map(({ table, row, seq }) => {
      const columns = Object.keys(row).filter((column) => column !== "seq");
      const key = `${table} ${columns.join(" ")}`;
      let shape = shapeOf.get(key);
      if (shape === undefined) {
        shape = shapes.push([table, columns]) - 1;
        shapeOf.set(key, shape);
      }
      return [shape, seq, ...columns.map((column) => toWireCell(row[column] ?? null))];
    }),
  };
}

function toWireCell(cell: Cell): WireCell {
  return Buffer.isBuffer(cell) ? [cell.toString("base64")] : cell;
}

/**
 * Reads rows back. Those of tables that this version does not know are left out: they are read again once it does.
 * @returns the rows, or what is wrong with them
 */
export function fromWire(wire: unknown): readonly ReplicaRow[] | string {
  if (typeof wire !== "object" || wire === null) return "rows that are no object";
  const { shapes, rows } = wire as Partial<Record<keyof WireRows, unknown>>;
  if (!Array.isArray(shapes) || shapes.length > MAX_SHAPES || !shapes.every(isShape)) return "shapes of rows";
  if (!Array.isArray(rows) || rows.length > MAX_ROWS) return "rows that are no list, or too many";
  const found: ReplicaRow[] = [];
  for (const each of rows as unknown[]) {
    if (!Array.isArray(each)) return "a row that is no list";
    const [at, seq, ...cells] = each as unknown[];
    const shape = typeof at === "number" ? (shapes as (readonly [string, string[]])[])[at] : undefined;
    if (shape === undefined || !isPosition(seq)) return "a row without shape or position";
    const [table, columns] = shape;
    if (cells.length !== columns.length) return "a row that does not fit its columns";
    const values = cells.map(fromWireCell);
    if (values.some((value) => value === undefined)) return "a cell of another kind";
    if (!isTable(table)) continue;
    const entries = columns.map((column, index): [string, Cell] => [column, values[index] ?? null]);
    found.push({ table, seq, row: Object.fromEntries(entries) });
  }
  return found;
}

function isShape(shape: unknown): boolean {
  if (!Array.isArray(shape) || shape.length !== 2 || typeof shape[0] !== "string") return false;
  const columns: unknown = shape[1];
  return (
    Array.isArray(columns) &&
    columns.length <= MAX_COLUMNS &&
    columns.every((column) => typeof column === "string")
  );
}

function isTable(table: string): table is Table {
  return (REPLICATED as readonly string[]).includes(table);
}

/** A position in a feed: a whole number from 0. */
export function isPosition(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function fromWireCell(cell: unknown): Cell | undefined {
  if (cell === null || typeof cell === "string") return cell;
  if (typeof cell === "number") return Number.isFinite(cell) ? cell : undefined;
  if (!Array.isArray(cell) || cell.length !== 1 || typeof cell[0] !== "string") return undefined;
  return Buffer.from(cell[0], "base64");
}
