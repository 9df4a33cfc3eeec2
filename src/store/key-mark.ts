// Which keys a database belongs to: a mark of the keyring in `meta`. A foreign key file beside a database would make
// every stored token unreadable and every phone unknown, which nobody must find out by silence.
import { constants, Database as ReadOnly } from "bun:sqlite";
import { pathToFileURL } from "node:url";
import type Database from "better-sqlite3";
import { BellError } from "../errors.ts";
import type { Keyring } from "../keys/types.ts";
import { idText } from "./rows.ts";

const KEY = "keys";
// Of a database that has no mark yet so many tokens are tried: one may be damaged, not all of them.
const TRIED_TOKENS = 20;

export interface KeyFiles {
  /** The database's path, for the message. */
  readonly database: string;
  /** The key file's path, for the message; null where the keys come from none. */
  readonly keys: string | null;
}

/**
 * Refuses keys that the database was not written with, and notes the present ones. After a rotation the former key must
 * still be in the key file; from then on the new one counts.
 * @throws `keys_invalid`; the database is as before then
 */
export function claimDatabase(db: Database.Database, keyring: Keyring, files: KeyFiles): void {
  const stored = db.prepare("SELECT value FROM meta WHERE key = ?").pluck().get(KEY);
  if (!opensDatabase(db, keyring)) throw new BellError("keys_invalid", foreignKeys(files));
  const mark = keyring.databaseMark();
  if (mark === stored) return;
  db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)").run(KEY, mark);
  // Into the main file, where `readKeyMark` looks.
  db.pragma("wal_checkpoint(TRUNCATE)");
}

/** Whether a database was written with these keys, as far as it tells. */
export function opensDatabase(db: Database.Database, keyring: Keyring): boolean {
  const stored = db.prepare("SELECT value FROM meta WHERE key = ?").pluck().get(KEY);
  return typeof stored === "string" ? keyring.wrote(stored) : opensTokens(db, keyring);
}

export function foreignKeys({ database, keys }: KeyFiles): string {
  const file = keys === null ? "The key file" : `The key file ${keys}`;
  return `${file} does not belong to the database ${database}. Restore the key file that was saved with it.`;
}

/** Whether one of the tokens opens, or there is none whose loss would matter. */
function opensTokens(db: Database.Database, keyring: Keyring): boolean {
  const rows = db
    .prepare("SELECT id, token FROM registration WHERE token IS NOT NULL ORDER BY renewed_at DESC LIMIT ?")
    .all(TRIED_TOKENS) as { readonly id: Buffer; readonly token: Buffer }[];
  const opens = ({ id, token }: (typeof rows)[number]) => {
    try {
      keyring.open(token, idText(id), "token");
      return true;
    } catch (error) {
      if (error instanceof BellError) return false;
      throw error;
    }
  };
  return rows.length === 0 || rows.some(opens);
}

/**
 * The mark of a database that another process may have open, or null if it cannot be told. Neither locks nor makes a
 * file, so that it disturbs no node and leaves nothing behind that belongs to whoever asks. Not for a process that has
 * the database open itself: closing a file gives up the process's locks on it (fcntl(2)).
 */
export function readKeyMark(path: string): string | null {
  try {
    const url = `${pathToFileURL(path).href}?immutable=1`;
    const db = new ReadOnly(url, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
    try {
      const row = db.query("SELECT value FROM meta WHERE key = ?").get(KEY) as {
        readonly value: unknown;
      } | null;
      return typeof row?.value === "string" ? row.value : null;
    } finally {
      db.close();
    }
  } catch {
    // No database, an older one, or a page that was written just now.
    return null;
  }
}
