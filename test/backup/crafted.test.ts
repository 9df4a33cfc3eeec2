// Backups that somebody made by hand, with a passphrase that fits: whatever is in them, nothing is touched, and nothing
// of them runs.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Database from "better-sqlite3";
import { readBackup } from "../../src/backup/archive.ts";
import { createSealer } from "../../src/backup/envelope.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { openDatabase } from "../../src/store/database.ts";
import { claimDatabase } from "../../src/store/key-mark.ts";
import { examineCopy } from "../../src/store/snapshot.ts";

const PASSPHRASE = "correct horse battery";
const CHEAP = { logN: 10, r: 8, p: 1 };
const NOW = Date.UTC(2026, 0, 15, 12);
let directory: string;
const at = (name: string) => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-crafted-"));
  writeKeyFile(at("a.keys"), generateKeys(NOW));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The bytes of a database as this version makes it, changed by `change`. */
function database(change: (db: Database.Database) => void = () => {}): Buffer {
  const path = at("made.db");
  rmSync(path, { force: true });
  const db = openDatabase(path, "OFF");
  claimDatabase(db, createKeyring(readKeyFile(at("a.keys"))), { database: path, keys: null });
  db.pragma("journal_mode = DELETE");
  change(db);
  db.close();
  return readFileSync(path);
}

interface Wish {
  readonly database?: Buffer;
  readonly keys?: Buffer;
  /** Instead of what the manifest would say. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Instead of everything. */
  readonly plain?: Buffer;
}

async function craft({ database: db = database(), keys, manifest, plain }: Wish): Promise<void> {
  const keyBytes = keys ?? readFileSync(at("a.keys"));
  writeFileSync(at("looked-at.db"), db);
  const contents = await examineCopy(at("looked-at.db")).catch(() => ({ schema: 1, rows: {} }));
  const text = Buffer.from(
    JSON.stringify({
      ...{ version: "1", commit: "c", node: "a", madeAt: new Date(NOW).toISOString(), ...contents },
      ...{ keysBytes: keyBytes.length, databaseBytes: db.length },
      ...manifest,
    }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  const out: Buffer[] = [];
  const sealer = createSealer(PASSPHRASE, randomBytes, (bytes) => out.push(bytes), CHEAP);
  sealer.write(plain ?? Buffer.concat([length, text, keyBytes, db]));
  sealer.end();
  writeFileSync(at("crafted.backup"), Buffer.concat(out));
}

const restore = () =>
  restoreBackup({
    backup: at("crafted.backup"),
    passphrase: PASSPHRASE,
    database: at("b.db"),
    keys: at("b.keys"),
    now: NOW,
  });

const told = (work: Promise<unknown>) =>
  work.then(
    () => "restored",
    (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
  );

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

const HUGE = 2 ** 50;
const CRAFTED: readonly (readonly [string, () => Wish])[] = [
  ["with nothing in it", () => ({ plain: Buffer.alloc(0) })],
  [
    "with a manifest longer than itself",
    () => ({ plain: Buffer.concat([uint32(60_000), Buffer.from("{}")]) }),
  ],
  ["with a manifest of four gigabytes", () => ({ plain: uint32(0xffff_ffff) })],
  ["with a manifest that is no JSON", () => ({ plain: Buffer.concat([uint32(2), Buffer.from("}{")]) })],
  ["with a manifest that is null", () => ({ plain: Buffer.concat([uint32(4), Buffer.from("null")]) })],
  ["with more keys than any", () => ({ manifest: { keysBytes: HUGE } })],
  ["with fewer than no keys", () => ({ manifest: { keysBytes: -1 } })],
  ["with half a byte of keys", () => ({ manifest: { keysBytes: 0.5 } })],
  ["with a database larger than it", () => ({ manifest: { databaseBytes: HUGE } })],
  ["with a database smaller than it", () => ({ manifest: { databaseBytes: 4096 } })],
  ["with a database of no size", () => ({ manifest: { databaseBytes: null } })],
  ["of no time", () => ({ manifest: { madeAt: "yesterday" } })],
  ["of a schema before the first", () => ({ manifest: { schema: -1 } })],
  ["of another schema than its database", () => ({ manifest: { schema: 1 } })],
  ["with other rows than its database", () => ({ manifest: { rows: { registration: 7 } } })],
  ["with an empty database", () => ({ database: Buffer.alloc(0) })],
  ["with no database but text", () => ({ database: Buffer.from("no database ".repeat(1000)) })],
  ["with half a database", () => ({ database: database().subarray(0, 8192) })],
  ["with keys that are none", () => ({ keys: Buffer.from("{}") })],
  ["with keys in another file", () => ({ keys: Buffer.from('{"file": "../../etc/passwd"}') })],
  [
    "with a newer schema than it says",
    () => ({ database: database((db) => db.pragma("user_version = 999")), manifest: { schema: 1 } }),
  ],
  [
    "with another program's database",
    () => ({ database: database((db) => db.pragma("application_id = 252006673")) }),
  ],
  [
    "with a trigger in its database",
    () => ({
      database: database((db) =>
        db.exec("CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM registration; END"),
      ),
    }),
  ],
  [
    "with a view that never ends in its database",
    () => ({
      database: database((db) =>
        db.exec(
          "DROP TABLE owed; CREATE VIEW owed AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        ),
      ),
    }),
  ],
  [
    "with a table of a name that is SQL",
    () => ({ database: database((db) => db.exec('CREATE TABLE "x""; DELETE FROM meta; --" (a)')) }),
  ],
  [
    "with a column that is computed",
    () => ({
      database: database((db) =>
        db.exec("ALTER TABLE meta ADD COLUMN c ANY AS (hex(zeroblob(1000))) VIRTUAL"),
      ),
    }),
  ],
];

test.each(CRAFTED)("a backup %s is refused, and nothing of it stays", async (_, wish) => {
  await craft(wish());
  const before = readdirSync(directory).sort();
  const answer = await told(restore());
  expect(answer).toMatch(/^backup_invalid: .*crafted\.backup /);
  // The names under which its parts lay while they were looked at help nobody.
  expect(answer).not.toContain(".restoring");
  expect(readdirSync(directory).sort()).toEqual(before);
});

test("a database larger than its backup says does not get onto the disk", async () => {
  const db = database();
  await craft({
    database: Buffer.concat([db, Buffer.alloc(4_000_000)]),
    manifest: { databaseBytes: db.length },
  });
  const reading = async () => readBackup(at("crafted.backup"), PASSPHRASE, at("x.keys"), at("x.db"));
  expect(await told(reading())).toStartWith("backup_invalid");
  // What was read of it, which a restore removes.
  expect(statSync(at("x.db")).size).toBeLessThan(1_000_000);
});

test("keys that its database was not written with are refused", async () => {
  const other = generateKeys(NOW);
  writeKeyFile(at("other.keys"), other);
  await craft({ keys: readFileSync(at("other.keys")) });
  expect(await told(restore())).toMatch(/^backup_invalid: .*keys that its database was not written with/);
});

test("a time in the manifest is taken as a time, whatever else its text says", async () => {
  await craft({ manifest: { madeAt: "Thu, 15 Jan 2026 12:00:00 GMT (\u001b[31mred)" } });
  const { manifest } = await restore();
  expect(manifest.madeAt).toBe("2026-01-15T12:00:00.000Z");
});

test("a good one made by hand is restored, so the others fail for the right reason", async () => {
  await craft({});
  expect(await told(restore())).toBe("restored");
});
