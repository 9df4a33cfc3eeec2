// How far the other node's feed was read counts only for the version that read it: another one may have left out rows
// that it did not know.
import { afterEach, expect, test } from "bun:test";
import Database from "better-sqlite3";
import { newestSchema } from "../../src/store/database.ts";
import { badge, register } from "../store/helpers.ts";
import { createPair, rowsOf, type TestPair, untilEqual } from "./helpers.ts";

let pair: TestPair | null = null;
afterEach(async () => {
  await pair?.close();
  pair = null;
});

test("what an older version of a node left out of the other one's rows is there after the upgrade", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  for (const n of [1, 2]) {
    await register(a.store, n, `token-${n}`, Date.now());
    await badge(a.store, n, n, Date.now());
  }
  await untilEqual(pair);
  const whole = (await rowsOf(b.store)).length;
  await b.stop();
  // As if b's version had known nothing of what is owed.
  const db = new Database(b.path);
  db.exec("DELETE FROM owed");
  const get = db.prepare("SELECT value FROM meta WHERE key = 'peer'").pluck();
  const memory = JSON.parse(String(get.get())) as { readonly schema: number };
  expect(memory.schema).toBe(newestSchema());
  const older = JSON.stringify({ ...memory, schema: newestSchema() - 1 });
  db.prepare("UPDATE meta SET value = ? WHERE key = 'peer'").run(older);
  db.close();
  await b.start();
  await untilEqual(pair, 5_000);
  expect((await rowsOf(b.store)).length).toBe(whole);
  expect(a.newFeeds.concat(b.newFeeds)).toEqual([]);
});
