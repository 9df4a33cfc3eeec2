// What is told of one phone, and the list of all of them.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { badge, begin, change, folder, id, keyring, openTestStore, register, settlement } from "./helpers.ts";

let opened: Awaited<ReturnType<typeof openTestStore>>;
const TOKEN = "ab".repeat(32);

beforeAll(async () => {
  opened = await openTestStore();
});
afterAll(() => opened.close());

test("one phone's facts follow what Exchange told and what was rung", async () => {
  const { store, time } = opened;
  expect(await store.inspect(id(1))).toMatchObject({
    state: { kind: "missing" },
    idleAt: null,
    newsAt: null,
  });
  await register(store, 1, TOKEN, time.now);
  expect(await store.inspect(id(1))).toMatchObject({ state: { kind: "present" }, due: null, reasons: [] });
  time.now += 5000;
  await badge(store, 1, 4, time.now);
  const owed = await store.inspect(id(1));
  expect(owed).toMatchObject({
    newsAt: time.now,
    badge: { count: 4, isOwed: true },
    reasons: [{ reason: "mail", folder: null, since: time.now }],
    next: { reason: "mail" },
    due: { since: time.now, attempt: 0 },
  });
  await store.settle([settlement((await begin(store, 1))!, "done", time.now)]);
  const at = time.now;
  time.now += 5000;
  await change(store, id(1), { reasons: [{ reason: "test" }] });
  expect(await store.inspect(id(1))).toMatchObject({
    // A test is no news of Exchange's.
    newsAt: at,
    badge: { isOwed: false },
    reasons: [{ reason: "test" }],
    lastRing: { outcome: "accepted", reason: "mail" },
    accepted: 1,
  });
});

test("what was heard and is not written yet is in it", async () => {
  const { store, time } = opened;
  const heard = folder("inbox", 1, { boundGeneration: 1, lastHeardAt: time.now });
  await change(store, id(1), { folders: [heard], lazy: true });
  expect((await store.inspect(id(1))).state).toMatchObject({ folders: [{ lastHeardAt: time.now }] });
  expect((await store.list({ after: null, limit: 1 }))[0]?.state).toMatchObject({
    folders: [{ lastHeardAt: time.now }],
  });
});

test("a token finds each registration that holds it, but none that is gone", async () => {
  const { store, time } = opened;
  await register(store, 2, TOKEN, time.now);
  await register(store, 3, TOKEN, time.now);
  await change(store, id(3), { delete: { at: time.now } });
  expect(await store.findToken(keyring.mac("token", TOKEN))).toEqual([id(1), id(2)]);
  expect(await store.findToken(keyring.mac("token", "cd".repeat(32)))).toEqual([]);
});

test("the list meets each registration once, in parts of any size, with its own rows", async () => {
  const { store, time } = opened;
  for (let n = 10; n < 30; n++) await register(store, n, `${n}`.repeat(16), time.now);
  await badge(store, 20, 1, time.now);
  for (const limit of [1, 3, 100]) {
    const ids: string[] = [];
    for (let after: string | null = null; ; ) {
      const rows = await store.list({ after, limit });
      ids.push(...rows.map(({ registrationId }) => registrationId));
      after = rows.at(-1)?.registrationId ?? null;
      if (after === null) break;
    }
    expect(ids).toEqual([1, 2, ...Array.from({ length: 20 }, (_, n) => n + 10)].map(id));
  }
  const owed = (await store.list({ after: null, limit: 100 })).filter(({ owedSince }) => owedSince !== null);
  expect(owed.map(({ registrationId }) => registrationId)).toEqual([id(1), id(20)]);
});

test("those that fell idle are a list of their own", async () => {
  const { store, time } = opened;
  time.now += 100 * 24 * 3_600_000;
  await register(store, 1, TOKEN, time.now, 2);
  expect(await store.sweep(time.now, 24 * 3_600_000)).toBe(21);
  expect((await store.list({ after: null, limit: 100 })).map((each) => each.registrationId)).toEqual([id(1)]);
  const idle = await store.list({ after: null, limit: 100, idle: true });
  expect([idle.length, idle[0]]).toMatchObject([21, { registrationId: id(2), app: null }]);
  expect(await store.inspect(id(2))).toMatchObject({ state: { kind: "missing" }, idleAt: time.now });
});
