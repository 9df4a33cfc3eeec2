// Databases of every earlier schema, made by the numbered migrations themselves: they open, keep what they held, and
// ring what they owed.
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { newestSchema, openDatabase, pendingMigrations } from "../../src/store/database.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../src/store/migrations.ts";
import { contentsOf } from "../../src/store/snapshot.ts";
import { badge, begin, id, keyring, openTestStore, register } from "./helpers.ts";

const TOKEN = "ab".repeat(32);

/** A database as a version with that schema left it: the rows of today, in the columns of then. */
function databaseOf(schema: number, path: string, from: string): void {
  const db = new Database(path);
  for (const migration of MIGRATIONS) {
    if (migration.number <= schema) db.exec(migration.sql);
  }
  db.prepare("ATTACH ? AS today").run(from);
  const tables = db
    .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
    .pluck()
    .all() as string[];
  for (const table of tables) {
    const columns = (db.pragma(`main.table_info(${table})`) as { name: string }[])
      .map(({ name }) => name)
      .join(", ");
    db.exec(`INSERT INTO main.${table} (${columns}) SELECT ${columns} FROM today.${table}`);
  }
  db.exec("DETACH today");
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.pragma(`user_version = ${schema}`);
  db.close();
}

test("each migration has a number of its own, in order, and words for an administrator", () => {
  expect(MIGRATIONS.map(({ number }) => number)).toEqual(MIGRATIONS.map((_, at) => at + 1));
  for (const { what } of MIGRATIONS) expect(what.length).toBeGreaterThan(10);
  expect(pendingMigrations(newestSchema())).toEqual([]);
  expect(pendingMigrations(0)).toEqual(MIGRATIONS);
});

test("no migration was edited: databases that it made already would differ from new ones", () => {
  // A new migration adds its hash here. A hash that differs means a new number, not a new hash.
  expect(MIGRATIONS.map(({ sql }) => createHash("sha256").update(sql).digest("hex"))).toEqual([
    "2bfd021a5fd306afeb857f4798797b0ee085fa7240b0d49479e091916e1ccfe1",
    "00c2a5c5ff084bef0d262585834e2e61c636323e9bc156667dab8926d0b3f723",
    "8c0b4dadad3dd0ebbd04d897db006917d589ff400c4f02153aeb058f0392d0ac",
    "dd0ed70a013b610b1834a39800fb135399a06b4f90026637bac80b3aa5af1516",
  ]);
});

test.each(MIGRATIONS.map(({ number }) => number))("a database of schema %d goes on", async (schema) => {
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-upgrade-"));
  const today = await openTestStore({ path: join(directory, "today.db") });
  await register(today.store, 1, TOKEN, today.time.now);
  await badge(today.store, 1, 7, today.time.now);
  await register(today.store, 2, TOKEN, today.time.now);
  await today.store.stop();
  const path = join(directory, "old.db");
  databaseOf(schema, path, today.path);
  const old = new Database(path);
  const before = contentsOf(old);
  old.close();
  openDatabase(path, "OFF").close();
  const migrated = new Database(path);
  expect(contentsOf(migrated)).toEqual({ schema: newestSchema(), rows: before.rows });
  expect(migrated.pragma("integrity_check", { simple: true })).toBe("ok");
  migrated.close();
  const opened = await openTestStore({ path });
  expect(await begin(opened.store, 1)).toMatchObject({ badge: 7, reason: "mail", token: TOKEN });
  expect(await opened.store.findToken(keyring.mac("token", TOKEN))).toEqual([id(1), id(2)]);
  await opened.close();
  rmSync(directory, { recursive: true });
  rmSync(today.directory, { recursive: true });
});
