// What is left of deleted and idle registrations: it outlives them by a year, goes once every node has it, and no
// registration comes back because one node forgot before the other did.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import Database from "better-sqlite3";
import { spentKeptMs } from "../../src/store/spent.ts";
import { badge, change, id, openTestStore, register } from "./helpers.ts";

const DAY_MS = 24 * 3_600_000;
const all = Number.MAX_SAFE_INTEGER;
type Opened = Awaited<ReturnType<typeof openTestStore>>;
let f: Opened;
let other: Opened;
beforeEach(async () => {
  [f, other] = await Promise.all([openTestStore(), openTestStore()]);
});
afterEach(async () => {
  await Promise.all([f.close(), other.close()]);
});

const forget = ({ store, time }: Opened, n: number) => change(store, id(n), { delete: { at: time.now } });
const kind = async ({ store }: Opened, n: number) => (await store.inspect(id(n))).state.kind;
/** Everything from one database to the other one, as a link that has read nothing yet does. */
async function send(from: Opened, to: Opened, after = 0): Promise<number> {
  const { rows, upTo } = await from.store.page(after, 1_000);
  await to.store.merge(rows, upTo);
  return upTo.seq;
}
/** How many rows a table has: in a copy, since the store has the file for itself. */
async function rowsOf({ store, directory }: Opened, ...tables: readonly string[]): Promise<number[]> {
  const path = join(directory, `copy-${randomUUID()}.db`);
  await store.copyTo(path);
  const db = new Database(path, { readonly: true });
  const counts = tables.map((table) => Number(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get()));
  db.close();
  return counts;
}

test("a tombstone is kept for a year, or for twice the time after which registrations fall idle", () => {
  expect([spentKeptMs(60 * DAY_MS), spentKeptMs(DAY_MS), spentKeptMs(400 * DAY_MS)]).toEqual([
    365 * DAY_MS,
    365 * DAY_MS,
    800 * DAY_MS,
  ]);
});

test("those of long ago go, with whatever came for them since; younger ones and live registrations stay", async () => {
  const { store, time } = f;
  const begun = time.now;
  for (const n of [1, 2, 3, 4]) await register(store, n, `aa0${n}`, time.now);
  await forget(f, 1);
  time.now += 60 * DAY_MS;
  await register(store, 4, "aa04", time.now, 2);
  // The second and third fall idle; Exchange still posts for the second.
  expect(await store.sweep(time.now, 60 * DAY_MS)).toBe(2);
  await badge(store, 2, 5, time.now);
  await register(store, 5, "aa05", time.now);
  await forget(f, 5);
  expect(await store.removeSpent({ until: begun - 1, seq: all })).toBe(0);
  expect(await store.removeSpent({ until: begun, seq: all })).toBe(1);
  expect([await kind(f, 1), await kind(f, 5), await kind(f, 4)]).toEqual(["missing", "deleted", "present"]);
  expect(await rowsOf(f, "registration")).toEqual([4]);
  expect(await store.removeSpent({ until: time.now, seq: all })).toBe(3);
  expect(await rowsOf(f, "registration", "folder", "owed")).toEqual([1, 1, 0]);
  expect(await kind(f, 4)).toBe("present");
  await f.reopen();
  expect([await kind(f, 1), await kind(f, 4)]).toEqual(["missing", "present"]);
});

test("none goes that the other node may not have", async () => {
  const { store, time } = f;
  for (const n of [1, 2]) {
    await register(store, n, `aa0${n}`, time.now);
    await forget(f, n);
  }
  const [first] = (await store.rowsAfter(0, 10)).filter(({ table }) => table === "registration");
  expect(await store.removeSpent({ until: time.now, seq: first!.seq - 1 })).toBe(0);
  expect(await store.removeSpent({ until: time.now, seq: first!.seq })).toBe(1);
  expect([await kind(f, 1), await kind(f, 2)]).toEqual(["missing", "deleted"]);
});

test("more of them than are looked at together all go", async () => {
  const { store, time } = f;
  const many = 2_300;
  await Promise.all(
    Array.from({ length: many }, async (_, n) => {
      await register(store, n, `bb${n}`, time.now);
      if (n % 2 === 0) await forget(f, n);
    }),
  );
  expect(await store.removeSpent({ until: time.now, seq: all })).toBe(many / 2);
  expect(await rowsOf(f, "registration")).toEqual([many / 2]);
});

test("a deleted registration that returns at a node that forgot first is deleted there by the other one's memory", async () => {
  const { time } = f;
  await register(f.store, 1, "aa01", time.now);
  await forget(f, 1);
  const read = await send(f, other);
  const told = await send(other, f);
  await f.store.removeSpent({ until: time.now, seq: all });
  // A backup of before the deletion, say; or the app, which should know better.
  await register(f.store, 1, "aa01", time.now, 9);
  await send(f, other, read);
  expect(await kind(other, 1)).toBe("deleted");
  await send(other, f, told);
  expect(await kind(f, 1)).toBe("deleted");
  expect(await rowsOf(f, "folder")).toEqual([0]);
});
