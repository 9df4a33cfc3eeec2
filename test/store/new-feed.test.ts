// A restored database rings each phone once more: spread out, so that neither the provider nor the mail server meets
// all phones at once.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { badge, begin, openTestStore, register, settlement } from "./helpers.ts";

const PHONES = 30;
const SPREAD_MS = 30 * 60_000;
const QUEUE = { app: "com.example.mail", platform: "apns" } as const;

let f: Awaited<ReturnType<typeof openTestStore>>;
beforeEach(async () => {
  f = await openTestStore();
});
afterEach(() => f.close());

test("a new feed rings each phone once more, evenly over half an hour", async () => {
  for (let n = 1; n <= PHONES; n += 1) {
    await register(f.store, n, `token-${n}`, f.time.now);
    await badge(f.store, n, n, f.time.now);
  }
  f.time.now += 60_000;
  for (let n = 1; n <= PHONES; n += 1) {
    await f.store.settle([settlement((await begin(f.store, n))!, "done", f.time.now)]);
  }
  f.time.now += 2 * SPREAD_MS;
  expect(await f.store.due(QUEUE, f.time.now + 2 * SPREAD_MS, 100)).toEqual([]);

  await f.store.beginFeed();
  const dueWithin = async (ms: number) => (await f.store.due(QUEUE, f.time.now + ms, 100)).length;
  expect(await dueWithin(0)).toBe(1);
  for (let tenth = 1; tenth <= 10; tenth += 1) {
    // Up to but not including the next tenth's first.
    expect(await dueWithin((SPREAD_MS * tenth) / 10 - 1)).toBe((PHONES * tenth) / 10);
  }
});
