// A backup takes the place of database and keys only if everything about it is right, and what was there stays.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { readWhole, writeBackup } from "../../src/backup/archive.ts";
import { finishRestore } from "../../src/backup/broken-off.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { readPassphrase } from "../../src/cli/passphrase.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { examineCopy } from "../../src/store/snapshot.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import { id, register } from "../store/helpers.ts";

const PASSPHRASE = "correct horse battery";
const NOW = Date.UTC(2026, 0, 15, 12);
const TOKEN = "ab".repeat(32);
let directory: string;
const at = (name: string) => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-restore-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function storeOn(name: string, keys: string) {
  const keyring = createKeyring(readKeyFile(at(keys)));
  return createStore({ path: at(name), keyring, now: () => NOW, synchronous: "OFF" });
}

/** A database with one phone and its keys, and a backup of both. */
async function madeBackup(backup = "bell.backup", change: (db: Database.Database) => void = () => {}) {
  writeKeyFile(at("a.keys"), generateKeys(NOW));
  const store = storeOn("a.db", "a.keys");
  await store.start();
  await register(store, 1, TOKEN, NOW);
  await store.copyTo(at("copy.db"));
  await store.stop();
  const db = new Database(at("copy.db"));
  change(db);
  db.close();
  const contents = await examineCopy(at("copy.db"));
  const about = { version: "1", commit: "c", node: "a", madeAt: new Date(NOW).toISOString(), ...contents };
  writeBackup(at(backup), PASSPHRASE, about, readWhole(at("a.keys")), at("copy.db"));
}

const restore = (more: Partial<Parameters<typeof restoreBackup>[0]> = {}) =>
  restoreBackup({
    backup: at("bell.backup"),
    passphrase: PASSPHRASE,
    database: at("b.db"),
    keys: at("b.keys"),
    now: NOW,
    ...more,
  });

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "none",
    (error: { code?: string }) => error.code ?? String(error),
  );

/** Another node's files in the place to be restored to. */
async function otherNode(): Promise<void> {
  writeKeyFile(at("b.keys"), generateKeys(NOW));
  const store = storeOn("b.db", "b.keys");
  await store.start();
  await register(store, 2, TOKEN, NOW);
  await store.stop();
}

test("an empty place gets database and keys, for their owner only, and nothing else", async () => {
  await madeBackup();
  const { aside, manifest } = await restore();
  expect([aside, manifest.node]).toEqual([[], "a"]);
  expect(
    readdirSync(directory)
      .filter((name) => name.startsWith("b."))
      .sort(),
  ).toEqual(["b.db", "b.keys"]);
  for (const name of ["b.db", "b.keys"]) expect(statSync(at(name)).mode & 0o777).toBe(0o600);
  const store = storeOn("b.db", "b.keys");
  await store.start();
  expect((await store.inspect(id(1))).state.kind).toBe("present");
  await store.stop();
}, 30_000);

test("what was there before stays beside it, and can be opened", async () => {
  await madeBackup();
  await otherNode();
  const { aside } = await restore();
  expect(aside).toEqual([
    at("b.db.before-restore-20260115T120000Z"),
    at("b.keys.before-restore-20260115T120000Z"),
  ]);
  const old = storeOn("b.db.before-restore-20260115T120000Z", "b.keys.before-restore-20260115T120000Z");
  await old.start();
  expect((await old.inspect(id(2))).state.kind).toBe("present");
  await old.stop();
}, 30_000);

test("what a killed node had not folded into its database stays with the old one, and never reaches the new", async () => {
  await madeBackup();
  await otherNode();
  // As after a kill: the last rows are in the write-ahead log only.
  const db = new Database(at("b.db"));
  db.pragma("journal_mode = WAL");
  db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('late', 1)").run();
  const [main, wal] = [readFileSync(at("b.db")), readFileSync(at("b.db-wal"))];
  db.close();
  writeFileSync(at("b.db"), main);
  writeFileSync(at("b.db-wal"), wal);
  const { aside } = await restore();
  expect(readdirSync(directory).filter((name) => /^b\.db-/.test(name))).toEqual([]);
  const late = (path: string) => {
    const opened = new Database(path);
    const value: unknown = opened.prepare("SELECT value FROM meta WHERE key = 'late'").pluck().get();
    opened.close();
    return value;
  };
  expect([late(aside[0]!), late(at("b.db"))]).toEqual([1, undefined]);
}, 30_000);

test("a damaged database gives way, and is kept", async () => {
  await madeBackup();
  writeFileSync(at("b.db"), "no database at all, but some bytes ".repeat(50));
  const { aside } = await restore();
  expect(aside.map((path) => readFileSync(path, "utf8").slice(0, 3))).toEqual(["no "]);
}, 30_000);

describe("nothing is touched", () => {
  const untouched = async (code: string, work: () => Promise<unknown>) => {
    const before = readdirSync(directory).sort();
    const bytes = readFileSync(at("b.db"));
    expect(await codeOf(work())).toBe(code);
    expect(readdirSync(directory).sort()).toEqual(before);
    expect(readFileSync(at("b.db")).equals(bytes)).toBe(true);
  };

  test("while a node has the database", async () => {
    await madeBackup();
    await otherNode();
    const store = storeOn("b.db", "b.keys");
    await store.start();
    expect(await codeOf(restore())).toBe("store_in_use");
    await register(store, 3, TOKEN, NOW);
    await store.stop();
    expect(readdirSync(directory).filter((name) => /restor/.test(name))).toEqual([]);
  }, 30_000);

  test("by a wrong passphrase, a damaged backup, or a file that is none", async () => {
    await madeBackup();
    await otherNode();
    await untouched("backup_passphrase", () => restore({ passphrase: "wrong horse battery" }));
    const bytes = readFileSync(at("bell.backup"));
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
    writeFileSync(at("bad.backup"), bytes);
    await untouched("backup_invalid", () => restore({ backup: at("bad.backup") }));
    await untouched("backup_invalid", () => restore({ backup: at("a.keys") }));
    await untouched("backup_unreadable", () => restore({ backup: at("nowhere") }));
    await untouched("backup_unreadable", () => restore({ backup: directory }));
  }, 30_000);

  test("by a backup of a newer version", async () => {
    await madeBackup("bell.backup", (db) => db.pragma("user_version = 999"));
    await otherNode();
    await untouched("store_newer_schema", () => restore());
  }, 30_000);

  test("by a backup whose keys are another database's", async () => {
    await madeBackup("bell.backup", (db) => {
      db.prepare("UPDATE meta SET value = '00000000:AAAA' WHERE key = 'keys'").run();
    });
    await otherNode();
    await untouched("backup_invalid", () => restore());
  }, 30_000);
});

test("a backup is never written over a file, and a failed one leaves nothing behind", async () => {
  await madeBackup();
  const bytes = readFileSync(at("bell.backup"));
  const about = { version: "1", commit: "c", node: "a", madeAt: "2026-01-15T12:00:00Z", schema: 1, rows: {} };
  const write = (file: string, passphrase: string) => async () =>
    writeBackup(at(file), passphrase, about, Buffer.from("k"), at("copy.db"));
  expect(await codeOf(Promise.resolve().then(write("bell.backup", PASSPHRASE)))).toBe("backup_path");
  expect(await codeOf(Promise.resolve().then(write("new.backup", "short")))).toBe("passphrase_unfit");
  expect(readFileSync(at("bell.backup")).equals(bytes)).toBe(true);
  expect(readdirSync(directory).filter((name) => /new|partial/.test(name))).toEqual([]);
  // What a killed one left is for somebody to look at, and said in words.
  writeFileSync(at("new.backup.partial"), "half");
  await expect(write("new.backup", PASSPHRASE)()).rejects.toThrow(
    /one was broken off. If none runs, remove it/,
  );
}, 30_000);

test("a new backup's passphrase file has to be text: random bytes would all be read alike", async () => {
  const file = at("random.passphrase");
  writeFileSync(file, Buffer.alloc(40, 0xf1), { mode: 0o600 });
  expect(await codeOf(readPassphrase(file, true))).toBe("secret_invalid");
  // One that was taken before still opens its backup.
  expect(await readPassphrase(file, false)).toHaveLength(40);
});

describe("a start after a restore that was killed between its two steps", () => {
  const opened = () => finishRestore(at("b.db"), at("b.keys"));

  test("puts the restored database's keys in their place, where others or none are", async () => {
    await madeBackup();
    for (const isThere of [true, false]) {
      await otherNode();
      const theirs = readFileSync(at("b.keys"));
      await restore();
      const ours = readFileSync(at("b.keys"));
      writeFileSync(at("b.keys.restoring"), ours, { mode: 0o600 });
      if (isThere) writeFileSync(at("b.keys"), theirs);
      else rmSync(at("b.keys"));
      expect([opened(), opened()]).toEqual([true, false]);
      expect(readFileSync(at("b.keys")).equals(ours)).toBe(true);
      expect(readdirSync(directory).filter((name) => name.endsWith(".restoring"))).toEqual([]);
      for (const name of ["b.db", "b.keys"]) rmSync(at(name));
    }
  }, 30_000);

  test("leaves everything alone where the old database is still in its place, or nothing was restored", async () => {
    expect(opened()).toBe(false);
    await madeBackup();
    await otherNode();
    const before = readFileSync(at("b.keys"));
    expect(opened()).toBe(false);
    for (const waiting of [readFileSync(at("a.keys")), Buffer.from("half a key fi")]) {
      writeFileSync(at("b.keys.restoring"), waiting, { mode: 0o600 });
      expect(opened()).toBe(false);
      expect(readFileSync(at("b.keys")).equals(before)).toBe(true);
    }
  });
});
