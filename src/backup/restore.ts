// Puts a backup in the place of the database and the key file. Everything is examined before anything is touched; what
// was there stays beside it. Killed at any moment, it leaves the old ones, or what the next start makes the new ones of
// (broken-off.ts).
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import type Database from "better-sqlite3";
import { BellError, isBellError } from "../errors.ts";
import { parseKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import type { Keyring } from "../keys/types.ts";
import { syncDirectoryOf } from "../ops/files.ts";
import { newestSchema } from "../store/database.ts";
import { claimDatabase, opensDatabase } from "../store/key-mark.ts";
import { markRestored } from "../store/restored.ts";
import { isOwnShape } from "../store/shape.ts";
import { type Contents, examineCopy, withDatabase } from "../store/snapshot.ts";
import { type Manifest, readBackup, readWhole } from "./archive.ts";
import { restoringName } from "./broken-off.ts";
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
 * @throws `backup_*`, `restore_unwritable`, `store_newer_schema` or `store_in_use`; nothing has changed then
 */
export async function restoreBackup(wish: RestoreWish): Promise<Restored> {
  const { database, keys } = wish;
  const fresh = { database: restoringName(database), keys: restoringName(keys) };
  // Left behind by a restore that was interrupted: nobody else uses these names.
  const sweep = () => {
    for (const path of [fresh.database, fresh.keys, `${fresh.database}-journal`])
      rmSync(path, { force: true });
  };
  sweep();
  try {
    const manifest = readBackup(wish.backup, wish.passphrase, fresh.keys, fresh.database);
    const keyring = await examine(wish.backup, manifest, fresh);
    const madeAt = Date.parse(manifest.madeAt);
    await withDatabase(fresh.database, (db) => {
      // A start knows by this that the keys belong to it, should it come between the two steps below.
      claimDatabase(db, keyring, fresh);
      markRestored(db, madeAt);
    });
    takeOwner(fresh.database, database);
    takeOwner(fresh.keys, keys);
    const aside = await whileNobodyHas(database, () => exchange(fresh, { database, keys }, wish.now));
    return { manifest, aside };
  } catch (cause) {
    if (isBellError(cause)) throw cause;
    const code = (cause as NodeJS.ErrnoException | null)?.code ?? String(cause);
    throw new BellError(
      "restore_unwritable",
      `The backup cannot be put in the place of ${database} (${code}); nothing was changed.`,
      cause,
    );
  } finally {
    sweep();
  }
}

interface Places {
  readonly database: string;
  readonly keys: string;
}

/** Gives the keys of a backup in which everything is right. */
async function examine(backup: string, manifest: Manifest, fresh: Places): Promise<Keyring> {
  if (manifest.schema > newestSchema()) {
    throw new BellError(
      "store_newer_schema",
      `The backup ${backup} was made by version ${manifest.version}: its schema is ${manifest.schema}, this version knows schemas up to ${newestSchema()}.`,
    );
  }
  const invalid = (what: string, cause?: unknown) =>
    new BellError("backup_invalid", `The backup ${backup} ${what}.`, cause);
  const contents = await withDatabase(fresh.database, isOwnShape)
    .then((isOwn) => (isOwn ? examineCopy(fresh.database) : null))
    .catch((error: unknown) => {
      // It names a file that nobody knows, and a remedy that is none.
      throw isBellError(error, "store_corrupt") ? invalid("holds a damaged database", error) : error;
    });
  if (contents === null) throw invalid("holds a database that is none of Inboxbell's");
  if (!isSameContents(contents, manifest)) throw invalid("holds another database than it says");
  const keyFile = parseKeyFile(readWhole(fresh.keys).toString("utf8"));
  if (keyFile === null) throw invalid("holds no keys, or damaged ones");
  const keyring = createKeyring(keyFile);
  if (await withDatabase(fresh.database, (db) => opensDatabase(db, keyring))) return keyring;
  throw invalid("holds keys that its database was not written with");
}

function isSameContents(a: Contents, b: Contents): boolean {
  const [left, right] = [Object.entries(a.rows), Object.entries(b.rows)];
  return (
    a.schema === b.schema &&
    left.length === right.length &&
    left.every(([table, count]) => b.rows[table] === count)
  );
}

/**
 * Each file takes its place in one step, the database first: a start between the two finds its keys (broken-off.ts).
 * @param now epoch milliseconds
 */
function exchange(fresh: Places, places: Places, now: number): string[] {
  const aside: string[] = [];
  const suffix = asideSuffix(places, now);
  const keep = (path: string) => {
    keepAside(path, path + suffix);
    aside.push(path + suffix);
  };
  if (existsSync(places.database)) keep(places.database);
  const isSameKeys = existsSync(places.keys) && readWhole(places.keys).equals(readWhole(fresh.keys));
  if (!isSameKeys && existsSync(places.keys)) keep(places.keys);
  // A journal of the old database would be taken for the new one's.
  for (const ending of ["-wal", "-journal"]) {
    const journal = `${places.database}${ending}`;
    if (existsSync(journal) && statSync(journal).size > 0) keep(journal);
    rmSync(journal, { force: true });
  }
  rmSync(`${places.database}-shm`, { force: true });
  renameSync(fresh.database, places.database);
  // On the disk before the next step, so that no loss of power leaves the second one without the first.
  syncDirectoryOf(places.database);
  if (!isSameKeys) {
    renameSync(fresh.keys, places.keys);
    syncDirectoryOf(places.keys);
  }
  return aside;
}

/** Under which nothing lies beside the files yet: two restores may fall into one second. */
function asideSuffix({ database, keys }: Places, now: number): string {
  const stamp = new Date(now)
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replaceAll(/[-:]/g, "");
  for (let n = 1; ; n += 1) {
    const suffix = `.before-restore-${stamp}${n === 1 ? "" : `-${n}`}`;
    const taken = [database, `${database}-wal`, `${database}-journal`, keys].some((path) =>
      existsSync(path + suffix),
    );
    if (!taken) return suffix;
  }
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
