// This node's rows for another node, and the other node's rows for this one: "every row after this position" one way,
// merging the other. First copies, catching up and following are the same.
import type Database from "better-sqlite3";
import type { Ledger } from "./apply.ts";
import type { HybridClock } from "./clock.ts";
import type { Position, ReplicaRow, SeqRange } from "./feed-types.ts";
import type { LazyFolders } from "./lazy-folders.ts";
import { type Cell, isSame, mergeRows, type RawRow, REPLICATED, type Table } from "./merge.ts";
import type { HeardFolder } from "./options.ts";
import { createPeerMemory, type PeerMemory } from "./peer-memory.ts";
import { idText, type Rows } from "./rows.ts";
import type { BadgeNews, DueNews } from "./types.ts";
import { mergeCounts } from "./unplaced.ts";

const KEYS: Readonly<Record<Table, readonly string[]>> = {
  registration: ["id"],
  folder: ["registration", "name"],
  owed: ["registration", "feed"],
  delivery: ["registration", "feed"],
};

export interface Replica {
  /** Rows that were written after this position of this node's feed, in order. */
  rowsAfter(seq: number, limit: number): ReplicaRow[];
  /** Merges rows, inside a transaction, and notes with them how far the other node's feed was read. */
  merge(theirs: readonly ReplicaRow[], upTo?: Position): MergedRows;
  readonly peer: PeerMemory;
}

export interface MergedRows {
  /** What is due by them. */
  readonly due: Pick<DueNews, "registrationId" | "queue" | "at">[];
  /** Positions in this node's feed of rows that now stand as the other node sent them. */
  readonly verbatim: readonly SeqRange[];
  /** Folders that the other node heard later. */
  readonly heard: readonly HeardFolder[];
}

interface Statements {
  readonly columns: readonly { readonly name: string; readonly missing: Cell }[];
  readonly between: Database.Statement;
  readonly one: Database.Statement;
  readonly put: Database.Statement;
}

export interface ReplicaParts {
  readonly db: Database.Database;
  readonly rows: Rows;
  readonly ledger: Pick<Ledger, "refreshDue" | "place">;
  readonly lazy: LazyFolders;
  readonly clock: HybridClock;
  /** Takes the next position of this node's feed. */
  readonly seq: () => number;
}

export function createReplica(parts: ReplicaParts): Replica {
  const { db, rows, ledger, lazy, clock, seq } = parts;
  const statements = new Map(REPLICATED.map((table) => [table, prepare(db, table)]));
  const dropChildren = ["folder", "owed", "delivery", "due"].map((table) =>
    db.prepare(`DELETE FROM ${table} WHERE registration = ?`),
  );
  // Where a page ends. Found in the indices alone, so that each row is read once, and none for nothing.
  const positions = REPLICATED.map((table) => `SELECT seq FROM ${table} WHERE seq > @after`).join(
    " UNION ALL ",
  );
  const lastOf = db
    .prepare(`SELECT max(seq) FROM (SELECT seq FROM (${positions}) ORDER BY seq LIMIT @limit)`)
    .pluck();
  const peer = createPeerMemory(db);
  const buried = db.prepare("SELECT 1 FROM registration WHERE id = ? AND deleted_at IS NOT NULL").pluck();

  function of(table: Table): Statements {
    const found = statements.get(table);
    if (found === undefined) throw new Error(`no such table: ${table}`);
    return found;
  }

  /** Gives the registration if a ring may be due by this row. */
  function mergeOne(
    { table, row }: ReplicaRow,
    verbatim: SeqRange[],
    heard: HeardFolder[],
    replaced: Set<string>,
  ): Buffer | null {
    const { columns, one, put } = of(table);
    const key = KEYS[table].map((column) => row[column] ?? null);
    const id = key[0];
    if (!Buffer.isBuffer(id)) return null;
    if (typeof row.version === "number") clock.see(row.version);
    // A tombstone stays alone, whatever is still on its way.
    if (table !== "registration" && buried.get(id) !== undefined) return null;
    // What was heard and not written yet is part of this node's row.
    if (table === "folder" && typeof row.name === "string") writeLazy(id, row.name);
    const mine = one.get(...key) as RawRow | undefined;
    const { merged, waited } =
      mine === undefined ? { merged: row, waited: null } : mergeTwo(table, mine, row);
    // Before the folder's row, so that the other node hears of the badge first and makes none of its own.
    const isPlaced = waited !== null && ledger.place(idText(id), waited);
    // Who sends the registration does not know, or no longer knows, that it was deleted: it is told again.
    if (table === "registration" && mine !== undefined && isSet(mine.deleted_at) && !isSet(row.deleted_at)) {
      rows.tellAgain(id);
      return null;
    }
    if (mine !== undefined && (merged === mine || isSame(merged, mine))) return isPlaced ? id : null;
    if (table === "folder" && isHeardLater(mine, merged)) {
      const serverMac = Buffer.isBuffer(merged.server_mac) ? merged.server_mac : null;
      heard.push({ registrationId: idText(id), folder: String(merged.name), serverMac });
    }
    if (table === "registration" && hasOtherToken(mine, merged)) replaced.add(idText(id));
    const at = seq();
    put.run(
      ...columns.map(({ name, missing }) => (name === "seq" ? at : cellOf(name, merged, mine, missing))),
    );
    if (merged === row || (merged.version === row.version && isSame(row, merged))) noteSeq(verbatim, at);
    if (table === "registration" && isOver(merged)) {
      for (const statement of dropChildren) statement.run(id);
      lazy.forget(idText(id));
    }
    // Whether a ring is due does not depend on folders, but for a badge that waited there.
    return table === "folder" && !isPlaced ? null : id;
  }

  function writeLazy(id: Buffer, name: string): void {
    if (lazy.size === 0 || !lazy.has(idText(id), name)) return;
    const stored = rows.folders(id).find((folder) => folder.name === name);
    if (stored === undefined) return;
    const newest = lazy.newest(idText(id), stored);
    if (newest === stored) return;
    lazy.forget(idText(id), name);
    rows.writeFolder(id, newest);
  }

  return {
    rowsAfter(after, limit) {
      const last = lastOf.get({ after, limit }) as number | null;
      if (last === null) return [];
      const found = REPLICATED.flatMap((table) =>
        (of(table).between.all(after, last) as RawRow[]).map((row) => ({ table, row, seq: Number(row.seq) })),
      );
      return found.sort((a, b) => a.seq - b.seq);
    },

    merge(theirs, upTo) {
      const touched = new Map<string, Buffer>();
      const verbatim: SeqRange[] = [];
      const heard: HeardFolder[] = [];
      const replaced = new Set<string>();
      for (const each of theirs) {
        const id = mergeOne(each, verbatim, heard, replaced);
        if (id !== null) touched.set(id.toString("hex"), id);
      }
      if (upTo !== undefined) peer.note(upTo);
      const due = [...touched.values()].flatMap((id) => {
        const registrationId = idText(id);
        const waiting = replaced.has(registrationId) ? rows.due(id) : null;
        // What the provider said of the old token, and the wait that follows from it, is not about the new one.
        const restart = waiting === null ? undefined : { at: waiting.since };
        const due = ledger.refreshDue(registrationId, restart);
        return due === null ? [] : [{ registrationId, ...due }];
      });
      return { due, verbatim, heard };
    },

    peer,
  };
}

/** The merged row, and the badge that waited in one of two rows of a folder until the other one said which is the inbox. */
function mergeTwo(
  table: Table,
  mine: RawRow,
  theirs: RawRow,
): { readonly merged: RawRow; readonly waited: BadgeNews | null } {
  if (table !== "folder") return { merged: mergeRows(table, mine, theirs), waited: null };
  return mergeCounts(mine, theirs, mergeRows(table, mine, theirs));
}

/** Null is a value: what was emptied on the other node is emptied here. A column that it does not know stays as it is. */
function cellOf(name: string, merged: RawRow, mine: RawRow | undefined, missing: Cell): Cell {
  return merged[name] !== undefined ? merged[name] : (mine?.[name] ?? missing);
}

function noteSeq(ranges: SeqRange[], seq: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.last + 1 === seq) ranges[ranges.length - 1] = { ...last, last: seq };
  else ranges.push({ first: seq, last: seq });
}

function isHeardLater(mine: RawRow | undefined, merged: RawRow): boolean {
  return Number(merged.last_heard_at ?? 0) > Number(mine?.last_heard_at ?? 0);
}

/** Whether a phone got another token than the one that was known here. */
function hasOtherToken(mine: RawRow | undefined, merged: RawRow): boolean {
  const [before, after] = [mine?.token_mac, merged.token_mac];
  return Buffer.isBuffer(before) && Buffer.isBuffer(after) && !before.equals(after);
}

/** Deleted or idle: nothing is kept beside it. */
function isOver(row: RawRow): boolean {
  return isSet(row.deleted_at) || isSet(row.idle_at);
}

function isSet(cell: Cell | undefined): boolean {
  return (cell ?? null) !== null;
}

function prepare(db: Database.Database, table: Table): Statements {
  const info = db.pragma(`table_info(${table})`) as { name: string; dflt_value: string | null }[];
  // What an older version of the other node does not know yet gets the value that a migration would have given it.
  const columns = info.map(({ name, dflt_value }) => ({
    name,
    missing: dflt_value === null ? null : Number(dflt_value),
  }));
  const names = columns.map(({ name }) => name);
  return {
    columns,
    between: db.prepare(`SELECT * FROM ${table} WHERE seq > ? AND seq <= ? ORDER BY seq`),
    one: db.prepare(`SELECT * FROM ${table} WHERE ${KEYS[table].map((key) => `${key} = ?`).join(" AND ")}`),
    put: db.prepare(
      `INSERT OR REPLACE INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
    ),
  };
}
