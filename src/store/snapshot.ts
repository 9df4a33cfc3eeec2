// Copies of a database: written while the node works, and examined before anybody relies on them.
import { closeSync, openSync, statSync } from "node:fs";
import Database from "better-sqlite3";
import { BellError } from "../errors.ts";
import { toStoreError } from "./database.ts";
import { APPLICATION_ID } from "./migrations.ts";
import { KEPT_FREE_BYTES, requireRoom } from "./room.ts";

// Pages copied in one turn of the event loop: 1 MiB, a few milliseconds.
const PAGES_A_TURN = 256;

/** What a copy holds, by which it is compared with what it was made from. */
export interface Contents {
  readonly schema: number;
  readonly rows: Readonly<Record<string, number>>;
}

/**
 * Copies a database as it is at one moment, with a turn of the event loop between parts. What is written meanwhile over
 * the same connection is in the copy, too.
 * @param path made here, mode 0600; must not exist
 * @throws `store_unavailable`, `backup_path` or `backup_room` if it cannot be written
 */
export async function copyDatabase(db: Database.Database, path: string): Promise<void> {
  const pages = Number(db.pragma("page_count", { simple: true }));
  requireRoom(path, pages * Number(db.pragma("page_size", { simple: true })), KEPT_FREE_BYTES);
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (cause) {
    throw new BellError("backup_path", `The copy ${path} cannot be made.`, cause);
  }
  try {
    await db.backup(path, { progress: () => PAGES_A_TURN });
  } catch (error) {
    throw toStoreError(error, path);
  }
}

/**
 * Looks through a copy that nothing else has open: every page, and how many rows it has. It is one file afterwards,
 * without a journal beside it.
 * @throws `store_corrupt` or `store_path`, naming the file
 */
export function examineCopy(path: string): Promise<Contents> {
  return withDatabase(path, (db) => {
    if (db.pragma("application_id", { simple: true }) !== APPLICATION_ID) {
      throw new BellError("store_path", `${path} is not a database of Inboxbell.`);
    }
    db.pragma("journal_mode = DELETE");
    const check = db.pragma("integrity_check(1)", { simple: true });
    if (check !== "ok")
      throw new BellError("store_corrupt", `The database ${path} is damaged: ${String(check)}`);
    return contentsOf(db);
  });
}

/** Schema and rows of an open database. */
export function contentsOf(db: Database.Database): Contents {
  const tables = db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
    .pluck()
    .all() as string[];
  const rows = tables.map((table) => [
    table,
    db
      .prepare(`SELECT count(*) FROM "${table.replaceAll('"', '""')}"`)
      .pluck()
      .get() as number,
  ]);
  return {
    schema: Number(db.pragma("user_version", { simple: true })),
    rows: Object.fromEntries(rows) as Record<string, number>,
  };
}

/**
 * Opens a database file that no node has, for `work`, and closes it again.
 * @throws `store_in_use` and the other errors of the store
 */
export async function withDatabase<T>(
  path: string,
  work: (db: Database.Database) => T | Promise<T>,
): Promise<T> {
  const db = openAlone(path);
  try {
    return await work(db);
  } catch (error) {
    throw toStoreError(error, path);
  } finally {
    db.close();
  }
}

/** Exclusively: so a node that starts meanwhile says why it cannot, and no shared-memory file is left behind. */
function openAlone(path: string): Database.Database {
  // A named pipe would be opened, and be called a broken disk.
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile();
  if (isFile === false) throw new BellError("store_path", `${path} is not a file.`);
  let db: Database.Database | null = null;
  try {
    db = new Database(path, { timeout: 0, fileMustExist: true });
    db.pragma("locking_mode = EXCLUSIVE");
    db.pragma("trusted_schema = OFF");
    db.prepare("SELECT count(*) FROM sqlite_schema").get();
    return db;
  } catch (error) {
    db?.close();
    throw toStoreError(error, path);
  }
}
