// Opens the SQLite file as the store needs it: durable, exclusive, ours, intact, and of the right schema.
import { accessSync, closeSync, constants, existsSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { missingDirectory } from "../config/directories.ts";
import { BellError } from "../errors.ts";
import { APPLICATION_ID, MIGRATIONS, type Migration } from "./migrations.ts";

/** A page cache of 16 MB: enough for the hot rows of 100 000 registrations within the memory aim. */
const CACHE_KIB = 16_384;
/** The WAL is folded into the database at about 16 MB (pages of 4 KiB), which keeps each pause short. */
const CHECKPOINT_PAGES = 4_000;

export type Synchronous = "FULL" | "OFF";

/**
 * Opens, checks and migrates the database.
 * @param path file; created if it does not exist, its directory must
 * @param synchronous `FULL`: a commit is on the disk when it returns (the default of better-sqlite3 may lose it)
 * @throws `store_path`, `store_in_use`, `store_corrupt` or `store_newer_schema`, each naming the file
 */
export function openDatabase(path: string, synchronous: Synchronous): Database.Database {
  const directory = dirname(path);
  const missing = missingDirectory("database", path);
  if (missing !== null) throw new BellError("store_path", missing);
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    if (existsSync(path)) {
      accessSync(path, constants.R_OK | constants.W_OK);
      if (!statSync(path).isFile()) throw new BellError("store_path", `${path} is not a file.`);
    }
  } catch (cause) {
    if (cause instanceof BellError) throw cause;
    throw new BellError("store_path", `The database ${path} or its directory may not be written.`, cause);
  }
  let db: Database.Database | null = null;
  try {
    // Made here, since SQLite would let everybody read it; the files that SQLite puts beside it take its mode.
    closeSync(openSync(path, "a", 0o600));
    db = new Database(path, { timeout: 0 });
    // Exclusive before anything else: a second process fails here instead of halving the speed of both.
    db.pragma("locking_mode = EXCLUSIVE");
    // Before the first write: whatever is not ours stays as it is.
    identify(db, path);
    db.pragma("journal_mode = WAL");
    db.pragma(`synchronous = ${synchronous}`);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.pragma("trusted_schema = OFF");
    db.exec("BEGIN IMMEDIATE; COMMIT");
    const check = db.pragma("quick_check(1)", { simple: true });
    if (check !== "ok")
      throw new BellError("store_corrupt", `The database ${path} is damaged: ${String(check)}`);
    migrate(db);
    return db;
  } catch (error) {
    db?.close();
    throw toStoreError(error, path);
  }
}

/** The schema version of this build. */
export function newestSchema(): number {
  return MIGRATIONS.reduce((highest, migration) => Math.max(highest, migration.number), 0);
}

/** The migrations that bring a database from this schema to this build's. */
export function pendingMigrations(schema: number): readonly Migration[] {
  return MIGRATIONS.filter(({ number }) => number > schema);
}

/** Throws if the database is another program's or a newer version's. */
function identify(db: Database.Database, path: string): void {
  const applicationId = db.pragma("application_id", { simple: true });
  const version = Number(db.pragma("user_version", { simple: true }));
  const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
  if (applicationId !== APPLICATION_ID && tables.n > 0) {
    throw new BellError("store_path", `${path} is a database of another program.`);
  }
  if (version > newestSchema()) {
    throw new BellError(
      "store_newer_schema",
      `The database ${path} has schema ${version}; this version knows schemas up to ${newestSchema()}.`,
    );
  }
}

function migrate(db: Database.Database): void {
  const version = Number(db.pragma("user_version", { simple: true }));
  for (const migration of pendingMigrations(version)) {
    db.transaction(() => {
      db.exec(migration.sql);
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${migration.number}`);
    })();
  }
}

/** Whether an error means that the disk or the file cannot be written now, for every request alike. */
export function isDiskError(error: unknown): boolean {
  const code = sqliteCode(error);
  return (
    code.startsWith("SQLITE_FULL") ||
    code.startsWith("SQLITE_IOERR") ||
    code.startsWith("SQLITE_READONLY") ||
    code.startsWith("SQLITE_BUSY") ||
    code.startsWith("SQLITE_CANTOPEN") ||
    code.startsWith("SQLITE_CORRUPT") ||
    code.startsWith("SQLITE_NOMEM")
  );
}

/** Whether an error means that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  return sqliteCode(error).startsWith("SQLITE_FULL");
}

/** Turns SQLite's error into one of the catalogue; others pass through. */
export function toStoreError(error: unknown, path: string): unknown {
  if (error instanceof BellError) return error;
  if (error instanceof Error && "code" in error && error.code === "ERR_DLOPEN_FAILED") {
    return new BellError("system_libraries", `The database engine cannot be loaded: ${error.message}`, error);
  }
  const code = sqliteCode(error);
  if (code === "") return error;
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB")) {
    return new BellError(
      "store_corrupt",
      `The database ${path} is damaged or not a database (${code}).`,
      error,
    );
  }
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
    return new BellError("store_in_use", `The database ${path} is open in another process.`, error);
  }
  if (code.startsWith("SQLITE_CANTOPEN") || code.startsWith("SQLITE_PERM")) {
    return new BellError("store_path", `The database ${path} cannot be opened (${code}).`, error);
  }
  return new BellError("store_unavailable", `The database ${path} cannot be written (${code}).`, error);
}

function sqliteCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && code.startsWith("SQLITE_") ? code : "";
}
