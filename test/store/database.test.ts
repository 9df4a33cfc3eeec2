import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { isBellError } from "../../src/errors.ts";
import { newestSchema, openDatabase } from "../../src/store/database.ts";
import { createReserve } from "../../src/store/reserve.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import { badge, keyring, openTestStore, register } from "./helpers.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-db-"));
  path = join(directory, "inboxbell.db");
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function refusal(file: string): { code: string; message: string } | null {
  try {
    openDatabase(file, "FULL").close();
    return null;
  } catch (error) {
    return isBellError(error)
      ? { code: error.code, message: error.message }
      : { code: "?", message: String(error) };
  }
}

test("a fresh database is durable, exclusive and of the newest schema", () => {
  const db = openDatabase(path, "FULL");
  expect(db.pragma("journal_mode", { simple: true })).toBe("wal");
  expect(db.pragma("synchronous", { simple: true })).toBe(2);
  expect(db.pragma("user_version", { simple: true })).toBe(newestSchema());
  expect(refusal(path)?.code).toBe("store_in_use");
  db.close();
  expect(refusal(path)).toBeNull();
});

test("a missing directory, a folder in its place and a foreign database are named and left alone", () => {
  expect(refusal(join(directory, "nowhere", "x.db"))).toMatchObject({ code: "store_path" });
  expect(refusal(directory)).toMatchObject({ code: "store_path" });
  const foreign = join(directory, "foreign.db");
  new Database(foreign).exec("CREATE TABLE theirs (x)").close();
  expect(refusal(foreign)?.message).toContain(foreign);
  const db = new Database(foreign, { readonly: true });
  expect(db.prepare("SELECT name FROM sqlite_schema").pluck().all()).toEqual(["theirs"]);
  db.close();
});

test("a newer schema is refused and says which one it is", () => {
  const db = openDatabase(path, "FULL");
  db.pragma("user_version = 999");
  db.close();
  expect(refusal(path)).toMatchObject({ code: "store_newer_schema" });
  expect(refusal(path)?.message).toContain("999");
});

test("a file that is not a database is refused as damaged and not overwritten", () => {
  writeFileSync(
    path,
    "this is not a database, and it is long enough to be looked at as if it were one".repeat(20),
  );
  const before = readFileSync(path);
  expect(refusal(path)?.code).toBe("store_corrupt");
  expect(readFileSync(path).equals(before)).toBe(true);
});

test("a database with a damaged page is refused as damaged", async () => {
  const store = createStore({ path, keyring, now: () => 1_760_000_000_000 });
  await store.start();
  for (let n = 1; n <= 200; n++) await register(store, n, "aa".repeat(32), 1_760_000_000_000);
  await store.stop();
  const fd = openSync(path, "r+");
  const garbage = Buffer.alloc(4096, 0x5a);
  for (let offset = 8 * 4096; offset < statSync(path).size; offset += 2 * 4096)
    writeSync(fd, garbage, 0, 4096, offset);
  closeSync(fd);
  expect(refusal(path)?.code).toBe("store_corrupt");
});

test("tokens and secrets do not lie readable in the files", async () => {
  const f = await openTestStore();
  const token = "feedfacecafebeef".repeat(4);
  await register(f.store, 1, token, f.time.now);
  await badge(f.store, 1, 1, f.time.now);
  await f.store.probe();
  for (const file of [f.path, `${f.path}-wal`]) {
    if (!existsSync(file)) continue;
    const bytes = readFileSync(file);
    expect(bytes.includes(Buffer.from(token))).toBe(false);
    expect(bytes.includes(Buffer.from(token, "hex"))).toBe(false);
    expect(bytes.includes(Buffer.from("secret-1"))).toBe(false);
  }
  await f.close();
});

test("the reserve file takes its room, is given up once, and is filled again", () => {
  const reserve = createReserve(join(directory, "reserve"), 3_000_000);
  expect(reserve.fill()).toBe(true);
  expect(statSync(join(directory, "reserve")).size).toBe(3_000_000);
  expect(statSync(join(directory, "reserve")).blocks * 512).toBeGreaterThanOrEqual(3_000_000);
  expect(reserve.giveUp()).toBe(true);
  expect(reserve.held).toBe(false);
  expect(reserve.giveUp()).toBe(false);
  expect(reserve.fill()).toBe(true);
});
