// The counts over all registrations: right however many there are, and taken so that others are served meanwhile.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { badge, begin, change, folder, id, openTestStore, register, settlement } from "./helpers.ts";

let f: Awaited<ReturnType<typeof openTestStore>>;
beforeEach(async () => {
  f = await openTestStore({ synchronous: "OFF" });
});
afterEach(() => f.close());

const registerMany = (count: number) =>
  Promise.all(Array.from({ length: count }, (_, n) => register(f.store, n, `aa${n}`, f.time.now)));

/** Asks for the counts and says how often others had their turn before they came. */
async function countsAndTurns() {
  let turns = 0;
  let isDone = false;
  const counting = f.store.counts(f.time.now).finally(() => {
    isDone = true;
  });
  while (!isDone) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  return { counts: await counting, turns };
}

test.each([999, 1_000, 1_001, 3_500])("%d registrations are each counted once", async (count) => {
  await registerMany(count);
  const { counts } = await countsAndTurns();
  expect(counts.registrations).toEqual([{ app: "com.example.mail", platform: "apns", count }]);
  expect(counts.subscriptions.expected).toBe(count);
});

test("what is deleted, not rung or owed is told apart, wherever among thousands it stands", async () => {
  const { store, time } = f;
  await registerMany(2_500);
  for (const n of [0, 1_000, 2_499]) await change(store, id(n), { delete: { at: time.now } });
  for (const n of [1, 1_001, 2_498]) {
    await badge(store, n, 1, time.now);
    const ring = await begin(store, n);
    if (ring === undefined) throw new Error("nothing is owed");
    await store.settle([settlement(ring, "dead", time.now)]);
  }
  await badge(store, 7, 1, time.now);
  // Exchange posts for registrations that this node does not know yet: one before and one after all others.
  await change(store, "00000000-0000-0000-0000-000000000001", { folders: [folder("inbox", 1)] });
  await change(store, "ffffffff-0000-4000-8000-000000000000", { folders: [folder("inbox", 1)] });
  const { counts } = await countsAndTurns();
  expect(counts).toMatchObject({
    registrations: [{ count: 2_497 }],
    notRung: 3,
    owed: 1,
    owedOldestSince: time.now,
    subscriptions: { expected: 2_499, live: 0, silent: 0, failed: 0, ended: 0 },
  });
});

test("others have their turn after every thousand", async () => {
  await registerMany(5_500);
  const { turns } = await countsAndTurns();
  expect(turns).toBeGreaterThanOrEqual(5);
});

test("a new feed begun while it counts does not disturb it, and a stopped store says no", async () => {
  await registerMany(3_500);
  const counting = f.store.counts(f.time.now);
  await f.store.beginFeed();
  expect((await counting).registrations).toMatchObject([{ count: 3_500 }]);
  const stopped = f.store.counts(f.time.now);
  await f.store.stop();
  await expect(stopped).rejects.toThrow();
  await f.reopen();
});
