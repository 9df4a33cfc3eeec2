// Reads what a node's database holds.
import { Database } from "bun:sqlite";
import { REPLICATED, type Table } from "../../../../src/store/merge.ts";
import type { StoreDump } from "./evidence.ts";

interface RegistrationRow {
  readonly id: string;
  readonly revision: number;
  readonly deleted: number;
}
interface FolderRow {
  readonly id: string;
  readonly name: string;
  readonly generation: number;
}
type Row = Readonly<Record<string, string | number | Uint8Array | null>>;

// What does not change by a ring, of which the first node to stop may miss the last.
const WISHED: readonly Table[] = ["registration", "folder"];
// What two nodes that hold the same may have of their own. Everywhere: when a row was written and its place in the feed.
const OWN = ["version", "seq"];
// What a heartbeat leaves behind is written with a later commit, which a node's end may come before.
const OWN_OF: Readonly<Record<Table, readonly string[]>> = {
  registration: [],
  folder: ["last_heard_at", "watermark_mac"],
  owed: [],
  delivery: [],
};

/**
 * @param file of a database that nobody has open
 * @param quietAt epoch milliseconds: what was due before should have been rung
 */
export function dumpStore(file: string, quietAt: number): StoreDump {
  const db = new Database(file, { readwrite: true, create: false });
  try {
    const due = db
      .query<{ readonly id: string }, [number]>(
        "SELECT lower(hex(registration)) AS id FROM due WHERE not_before <= ?",
      )
      .all(quietAt);
    return {
      ...wishesOf(db),
      rows: WISHED.flatMap((table) => linesOf(db, table)).sort(),
      due: due.map(({ id }) => uuid(id)),
    };
  } finally {
    db.close();
  }
}

/** Every replicated row of a database that nobody has open. */
export function readRows(file: string): readonly string[] {
  const db = new Database(file, { readwrite: true, create: false });
  try {
    return REPLICATED.flatMap((table) => linesOf(db, table)).sort();
  } finally {
    db.close();
  }
}

/** What a database that nobody has open holds of what phones wished for. */
export function readWishes(file: string): Pick<StoreDump, "registrations" | "folders"> {
  const db = new Database(file, { readwrite: true, create: false });
  try {
    return wishesOf(db);
  } finally {
    db.close();
  }
}

function wishesOf(db: Database): Pick<StoreDump, "registrations" | "folders"> {
  const registrations = db
    .query<RegistrationRow, []>(
      "SELECT lower(hex(id)) AS id, revision, deleted_at IS NOT NULL AS deleted FROM registration",
    )
    .all();
  const folders = db
    .query<FolderRow, []>("SELECT lower(hex(registration)) AS id, name, generation FROM folder")
    .all();
  return {
    registrations: registrations.map(({ id, revision, deleted }) => ({
      id: uuid(id),
      revision,
      deleted: deleted !== 0,
    })),
    folders: folders.map(({ id, name, generation }) => ({ id: uuid(id), name, generation })),
  };
}

/** Every row with all that both nodes should have of it. */
function linesOf(db: Database, table: Table): readonly string[] {
  const own = new Set([...OWN, ...OWN_OF[table]]);
  return db
    .query<Row, []>(`SELECT * FROM ${table}`)
    .all()
    .map((row) => {
      const cells = Object.entries(row).filter(([column]) => !own.has(column));
      return `${table} ${cells.map(([column, cell]) => `${column}=${textOf(column, cell)}`).join(" ")}`;
    });
}

function textOf(column: string, cell: Row[string]): string {
  if (column === "reasons" && typeof cell === "string") return sorted(cell);
  if (!(cell instanceof Uint8Array)) return String(cell);
  const hex = Buffer.from(cell).toString("hex");
  return column === "id" || column === "registration" ? uuid(hex) : hex;
}

/** A JSON object whose keys have an order: nodes write them as they came. */
function sorted(text: string): string {
  const entries = Object.entries(JSON.parse(text) as Record<string, unknown>);
  return JSON.stringify(entries.sort(([one], [two]) => (one < two ? -1 : 1)));
}

function uuid(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
