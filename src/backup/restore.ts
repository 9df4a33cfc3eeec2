// Puts a backup in the place of the database and the key file. Everything is examined before anything is touched; what
// was there stays beside it.
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import type Database from "better-sqlite3";
import { BellError, isBellError } from "../errors.ts";
import { type KeyFile, readKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import { syncDirectoryOf } from "../ops/files.ts";
import { newestSchema } from "../store/database.ts";
import { foreignKeys, opensDatabase } from "../store/key-mark.ts";
import { markRestored } from "../store/restored.ts";
import { type Contents, examineCopy, withDatabase } from "../store/snapshot.ts";
import { type Manifest, readBackup, readWhole } from "./archive.ts";
import { keepAside, takeOwner } from "./files.ts";

export interface RestoreWish {
  readonly backup: string;
  readonly passphrase: string;
  /** Where the database and the key file belong. */
  readonly database: string;
  readonly keys: string;
  /** Epoch milliseconds. */
  readonly now: number;
}

export interface Restored {
  readonly manifest: Manifest;
  /** What was there before, by its new name. */
  readonly aside: readonly string[];
}

/**
 * Restores a backup. The node must not run.
 * @throws `backup_*`, `store_newer_schema`, `store_corrupt`, `keys_invalid` or `store_in_use`; nothing has changed then
 */
export async function restoreBackup(wish: RestoreWish): Promise<Restored> {
  const { database, keys } = wish;
  const fresh = { database: `${database}.restoring`, keys: `${keys}.restoring` };
  // Left behind by a restore that was interrupted: nobody else uses these names.
  const sweep = () => {
    for (const path of [fresh.database, fresh.keys, `${fresh.database}-journal`])
      rmSync(path, { force: true });
  };
  sweep();
  try {
    const manifest = readBackup(wish.backup, wish.passphrase, fresh.keys, fresh.database);
    await examine(wish.backup, manifest, fresh);
    const madeAt = Date.parse(manifest.madeAt);
    await withDatabase(fresh.database, (db) => markRestored(db, madeAt));
    takeOwner(fresh.database, database);
    takeOwner(fresh.keys, keys);
    const stamp = new Date(wish.now)
      .toISOString()
      .replace(/\.\d+Z$/, "Z")
      .replaceAll(/[-:]/g, "");
    const aside = await whileNobodyHas(database, () => exchange(fresh, { database, keys }, stamp));
    return { manifest, aside };
  } catch (cause) {
    if (isBellError(cause)) throw cause;
    const code = (cause as NodeJS.ErrnoException | null)?.code ?? String(cause);
    throw new BellError("backup_path", `The backup cannot be put in its place (${code}).`, cause);
  } finally {
    sweep();
  }
}

interface Places {
  readonly database: string;
  readonly keys: string;
}

async function examine(backup: string, manifest: Manifest, fresh: Places): Promise<void> {
  if (manifest.schema > newestSchema()) {
    throw new BellError(
      "store_newer_schema",
      `The backup ${backup} was made by version ${manifest.version}: its schema is ${manifest.schema}, this version knows schemas up to ${newestSchema()}.`,
    );
  }
  const contents = await examineCopy(fresh.database);
  if (!isSameContents(contents, manifest)) {
    throw new BellError("backup_invalid", `The backup ${backup} holds another database than it says.`);
  }
  const keyFile: KeyFile = readKeyFile(fresh.keys);
  const belongs = await withDatabase(fresh.database, (db) => opensDatabase(db, createKeyring(keyFile)));
  if (!belongs) throw new BellError("keys_invalid", foreignKeys({ database: backup, keys: null }));
}

function isSameContents(a: Contents, b: Contents): boolean {
  const [left, right] = [Object.entries(a.rows), Object.entries(b.rows)];
  return (
    a.schema === b.schema &&
    left.length === right.length &&
    left.every(([table, count]) => b.rows[table] === count)
  );
}

/** Each file takes its place in one step. The key file first: between the two a start is refused, not a fresh one. */
function exchange(fresh: Places, places: Places, stamp: string): string[] {
  const aside: string[] = [];
  const keep = (path: string) => {
    const name = `${path}.before-restore-${stamp}`;
    keepAside(path, name);
    aside.push(name);
  };
  const hadDatabase = existsSync(places.database);
  if (hadDatabase) keep(places.database);
  const isSameKeys = existsSync(places.keys) && readWhole(places.keys).equals(readWhole(fresh.keys));
  if (!isSameKeys) {
    if (existsSync(places.keys)) keep(places.keys);
    renameSync(fresh.keys, places.keys);
    syncDirectoryOf(places.keys);
  }
  // A journal of the old database would be taken for the new one's.
  for (const suffix of ["-wal", "-journal"]) {
    const journal = `${places.database}${suffix}`;
    if (existsSync(journal) && statSync(journal).size > 0) keep(journal);
    rmSync(journal, { force: true });
  }
  rmSync(`${places.database}-shm`, { force: true });
  renameSync(fresh.database, places.database);
  syncDirectoryOf(places.database);
  return aside;
}

/**
 * Does something while no node can have the database open. What it had not written to its main file yet is in it
 * afterwards, and nothing lies beside it.
 * @throws `store_in_use`
 */
async function whileNobodyHas<T>(database: string, work: () => T): Promise<T> {
  if (!existsSync(database)) return work();
  let reached = false;
  try {
    return await withDatabase(database, (db) => {
      lock(db);
      reached = true;
      return work();
    });
  } catch (error) {
    // A damaged file locks nobody out, and nobody can have it open: restoring is what helps.
    if (reached || !isBellError(error, "store_corrupt")) throw error;
    return work();
  }
}

/** So that closing it later touches no journal, which would be the new database's by then: this mode has none for a reader. */
function lock(db: Database.Database): void {
  db.pragma("journal_mode = DELETE");
  // In the exclusive mode an emptied journal stays until the end. A node that starts just now is noticed below.
  db.pragma("locking_mode = NORMAL");
  db.prepare("SELECT count(*) FROM sqlite_schema").get();
  db.exec("BEGIN EXCLUSIVE");
}
