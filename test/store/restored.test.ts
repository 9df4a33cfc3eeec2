// A database out of a backup: what its first start makes of it, and what it must not conclude from what it knows.
import { expect, test } from "bun:test";
import Database from "better-sqlite3";
import { markRestored } from "../../src/store/restored.ts";
import type { Store } from "../../src/store/types.ts";
import { badge, begin, id, openTestStore, register, settlement } from "./helpers.ts";

const TOKEN = "ab".repeat(32);
const DAY = 24 * 3_600_000;

/** A store with one phone, whose file is marked as `restore` does and started again. */
async function restored(before: (store: Store, now: number) => Promise<void> = async () => {}) {
  const madeAt: number[] = [];
  const opened = await openTestStore({ events: { restored: (at) => madeAt.push(at) } });
  await register(opened.store, 1, TOKEN, opened.time.now);
  await badge(opened.store, 1, 3, opened.time.now);
  await before(opened.store, opened.time.now);
  const feed = (await opened.store.position()).feed;
  await opened.store.stop();
  const db = new Database(opened.path);
  markRestored(db, opened.time.now);
  db.close();
  opened.time.now += DAY;
  await opened.reopen();
  return { ...opened, opened, store: opened.store, feed, madeAt };
}

async function accepted(store: Store, at: number): Promise<void> {
  await store.settle([settlement((await begin(store, 1))!, "done", at)]);
}

async function dead(store: Store, at: number, ends: boolean): Promise<void> {
  await store.settle([settlement((await begin(store, 1))!, "dead", at, { outcome: "Unregistered", ends })]);
}

const deadOf = async (store: Store) => {
  const { state } = await store.inspect(id(1));
  return state.kind === "present" ? state.dead : state.kind;
};

test("goes on under a new feed and rings each phone once more, with the count that it has", async () => {
  const { store, feed, time, madeAt, opened } = await restored(accepted);
  expect((await store.position()).feed).not.toBe(feed);
  expect(madeAt).toEqual([time.now - DAY]);
  expect(await begin(store, 1)).toMatchObject({ badge: 3, reason: "changed" });
  const second = (await store.position()).feed;
  await opened.reopen();
  expect([(await opened.store.position()).feed, madeAt]).toEqual([second, [time.now - DAY]]);
  await opened.close();
});

test("a verdict of before about a token ends no subscription any more, and the phone is not rung", async () => {
  const { store, opened } = await restored((before, now) => dead(before, now, true));
  expect([await deadOf(store), await begin(store, 1)]).toEqual(["stopped", undefined]);
  await opened.close();
});

test("a verdict about a token out of the backup stops the rings only, one about a renewed token ends", async () => {
  const { store, time, opened } = await restored();
  await dead(store, time.now, true);
  expect(await deadOf(store)).toBe("stopped");
  time.now += 1000;
  await register(store, 1, TOKEN.replace("a", "c"), time.now, 2);
  expect(await deadOf(store)).toBe("no");
  time.now += 1000;
  await dead(store, time.now, true);
  expect(await deadOf(store)).toBe("ended");
  await opened.close();
});

test("no registration falls idle before apps had the whole time to renew since the restore", async () => {
  const { store, time, opened } = await restored();
  time.now += 59 * DAY + 1;
  expect(await store.sweep(time.now, 60 * DAY)).toBe(0);
  time.now += DAY;
  expect(await store.sweep(time.now, 60 * DAY)).toBe(1);
  await opened.close();
});
