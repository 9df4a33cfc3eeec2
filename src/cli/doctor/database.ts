// The database at rest: whose it is, its schema, whether it is whole. It takes no lock and makes no file beside it, so
// that a node may start at any moment. A node that runs has checked it at its start and proves itself by its self-check.
import { constants, Database } from "bun:sqlite";
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { newestSchema } from "../../store/database.ts";
import { APPLICATION_ID } from "../../store/migrations.ts";
import { found, good, type Result } from "./findings.ts";

/** @param running whether a node has it open now */
export function examineDatabase(path: string, running: boolean): Result[] {
  if (!existsSync(path)) {
    return [good("database", path, "not there yet; the first start makes it")];
  }
  if (running) return [good("database", path, "in use by the running node, which checked it at its start")];
  const before = stamp(path);
  const results = hasWal(path) ? examineCopy(path) : examineFile(path, path);
  // Somebody wrote meanwhile: what was read may be half of one state and half of another.
  return stamp(path) === before
    ? results
    : [good("database", path, "in use; it was written during the look")];
}

/** With a write-ahead log beside it the file alone may be half of a checkpoint: both are read, from a private copy. */
function examineCopy(path: string): Result[] {
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-doctor-"));
  try {
    const copy = join(directory, "copy.db");
    copyFileSync(path, copy);
    copyFileSync(`${path}-wal`, `${copy}-wal`);
    return examineFile(copy, path);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function examineFile(file: string, path: string): Result[] {
  let db: Database | null = null;
  try {
    db =
      file === path
        ? new Database(
            `${pathToFileURL(file).href}?immutable=1`,
            constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI,
          )
        : new Database(file);
    const number = (pragma: string) => {
      const row = db?.query(`PRAGMA ${pragma}`).get() as Readonly<Record<string, number>> | null | undefined;
      return Object.values(row ?? {})[0] ?? 0;
    };
    const version = number("user_version");
    if (number("application_id") !== APPLICATION_ID) {
      return [found("database_foreign", path, "it does not carry Inboxbell's mark")];
    }
    if (version > newestSchema()) {
      const seen = `its schema is ${version}; this version knows schemas up to ${newestSchema()}`;
      return [found("database_newer", path, seen)];
    }
    const check = Object.values(
      (db.query("PRAGMA quick_check(1)").get() ?? {}) as Record<string, unknown>,
    )[0];
    if (check !== "ok") return [found("database_corrupt", path, `quick_check says: ${String(check)}`)];
    const upgrade = version < newestSchema() ? `, which the next start raises to ${newestSchema()}` : "";
    return [good("database", path, `whole; schema ${version}${upgrade}`)];
  } catch (error) {
    const { code } = (error ?? {}) as { readonly code?: unknown };
    const word = typeof code === "string" ? code : "it cannot be opened";
    if (word === "SQLITE_NOTADB") return [found("database_foreign", path, "it is no database")];
    if (word.startsWith("SQLITE_CANTOPEN")) return [found("secret_unreadable", path, word)];
    return [found("database_corrupt", path, word)];
  } finally {
    db?.close();
  }
}

function hasWal(path: string): boolean {
  return existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0;
}

function stamp(path: string): string {
  return [path, `${path}-wal`]
    .map((file) => (existsSync(file) ? statSync(file) : null))
    .map((stat) => (stat === null ? "none" : `${stat.ino} ${stat.size} ${stat.mtimeMs}`))
    .join(" ");
}
