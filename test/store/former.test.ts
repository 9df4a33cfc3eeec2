// Rows of feeds no longer in use: each restore leaves a feed behind, and its rows go once they are of no use, without a
// ring more or less.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import Database from "better-sqlite3";
import { needlessRows } from "../../src/store/former.ts";
import type { OwedRow } from "../../src/store/owed-rule.ts";
import { UNPACED } from "../../src/store/pace.ts";
import type { DeliveryRow } from "../../src/store/records.ts";
import { markRestored } from "../../src/store/restored.ts";
import type { Registration, Settlement } from "../../src/store/types.ts";
import { badge, begin, change, id, openTestStore, register, settlement } from "./helpers.ts";

type Opened = Awaited<ReturnType<typeof openTestStore>>;
// Longer than any allowance takes to be whole again, milliseconds.
const LONG = 2 * 3_600_000;
const single = { seq: Number.MAX_SAFE_INTEGER, peerFeed: null };
let f: Opened;
let other: Opened;
beforeEach(async () => {
  [f, other] = await Promise.all([openTestStore(), openTestStore()]);
});
afterEach(async () => {
  await Promise.all([f.close(), other.close()]);
});

/** As `restore` and the first start after it do. */
async function restore(opened: Opened): Promise<void> {
  await opened.store.stop();
  const db = new Database(opened.path);
  markRestored(db, opened.time.now);
  db.close();
  opened.time.now += LONG;
  await opened.reopen();
}

/** Rings a phone until nothing is owed; gives the badges. */
async function ringAll({ store, time }: Opened, n = 1, end: Settlement["kind"] = "done") {
  const badges: (number | null)[] = [];
  for (;;) {
    const ring = await begin(store, n);
    if (ring === undefined) return badges;
    badges.push(ring.badge);
    await store.settle([settlement(ring, end, time.now, end === "dead" ? { ends: true } : {})]);
    time.now += LONG;
  }
}

/** Which feeds have rows; in a copy, since the store has the file for itself. */
async function feedsOf({ store, directory }: Opened, table: "owed" | "delivery"): Promise<unknown[]> {
  const path = join(directory, `copy-${randomUUID()}.db`);
  await store.copyTo(path);
  const db = new Database(path, { readonly: true });
  const feeds = db.prepare(`SELECT DISTINCT feed FROM ${table} ORDER BY feed`).pluck().all();
  db.close();
  return feeds;
}

const present = async ({ store }: Opened) => (await store.position()).feed;
const deadOf = async ({ store }: Opened) => {
  const { state } = await store.inspect(id(1));
  return state.kind === "present" ? state.dead : state.kind;
};
async function send(from: Opened, to: Opened, after = 0): Promise<number> {
  const { rows, upTo } = await from.store.page(after, 1_000);
  await to.store.merge(rows, upTo);
  return upTo.seq;
}

test("of a database that was restored twice only the rows of its present feed are left, and nobody is rung for that", async () => {
  await register(f.store, 1, "aa01", f.time.now);
  for (const count of [1, 2, 3]) {
    await badge(f.store, 1, count, f.time.now);
    await ringAll(f);
    if (count < 3) await restore(f);
  }
  expect((await feedsOf(f, "owed")).length).toBe(3);
  expect((await feedsOf(f, "delivery")).length).toBe(3);
  const before = await f.store.inspect(id(1));
  expect(await f.store.removeFormer(single)).toBe(4);
  expect(await feedsOf(f, "owed")).toEqual([await present(f)]);
  expect(await feedsOf(f, "delivery")).toEqual([await present(f)]);
  expect(await f.store.inspect(id(1))).toEqual({ ...before, accepted: 1 });
  expect(await ringAll(f)).toEqual([]);
  expect(await f.store.removeFormer(single)).toBe(0);
  await f.reopen();
  await badge(f.store, 1, 4, f.time.now);
  expect(await ringAll(f)).toEqual([4]);
});

test("a phone that no badge was ever heard for keeps one ring of each restore only until the next", async () => {
  await register(f.store, 1, "aa01", f.time.now);
  await restore(f);
  await restore(f);
  expect((await feedsOf(f, "delivery")).length).toBe(2);
  expect(await f.store.removeFormer(single)).toBe(1);
  expect(await feedsOf(f, "delivery")).toEqual([await present(f)]);
});

test("what a former feed owes stays until it is rung, and its newest badge until a newer one comes", async () => {
  await register(f.store, 1, "aa01", f.time.now);
  await change(f.store, id(1), {
    badge: { count: 5, eventAt: f.time.now },
    reasons: [{ reason: "mail" }, { reason: "calendar" }],
  });
  const former = await present(f);
  await restore(f);
  expect(await f.store.removeFormer(single)).toBe(0);
  expect(await ringAll(f)).toEqual([5, null]);
  expect(await f.store.removeFormer(single)).toBe(0);
  expect(await feedsOf(f, "owed")).toEqual([former]);
  await badge(f.store, 1, 6, f.time.now);
  expect(await f.store.removeFormer(single)).toBe(1);
  expect(await feedsOf(f, "owed")).toEqual([await present(f)]);
  expect(await ringAll(f)).toEqual([6]);
});

test("what the provider said of a phone's token stays until the phone has another one", async () => {
  await register(f.store, 1, "aa01", f.time.now);
  await badge(f.store, 1, 1, f.time.now);
  const ring = await begin(f.store, 1);
  await f.store.settle([settlement(ring!, "dead", f.time.now, { ends: true })]);
  await restore(f);
  expect([await f.store.removeFormer(single), await deadOf(f)]).toEqual([0, "stopped"]);
  await register(f.store, 1, "aa02", f.time.now, 2);
  expect([await f.store.removeFormer(single), await deadOf(f)]).toEqual([1, "no"]);
});

test("an allowance that rings of a former feed have used up stays used up", async () => {
  await register(f.store, 1, "aa01", f.time.now);
  for (let n = 0; n < 3; n += 1) {
    await change(f.store, id(1), { reasons: [{ reason: "calendar" }] });
    await f.store.settle([settlement((await begin(f.store, 1))!, "done", f.time.now)]);
  }
  const rungAt = f.time.now;
  await restore(f);
  // The clock was set back, or the restore was quick.
  f.time.now = rungAt + 1;
  await f.reopen();
  expect(await f.store.removeFormer(single)).toBe(0);
  await change(f.store, id(1), { reasons: [{ reason: "calendar" }] });
  expect(await begin(f.store, 1)).toBeUndefined();
  f.time.now = rungAt + LONG;
  // The reasons that it settled, and its rings.
  expect(await f.store.removeFormer(single)).toBe(2);
});

describe("of rows that a present feed had seen", () => {
  const NOW = 1_760_000_000_000;
  const mark = (ms: number) => (NOW + ms) * 1024;
  const old: OwedRow = {
    feed: "old",
    badge: 1,
    badgeMark: mark(1),
    badgeEventAt: NOW + 1,
    badgeSeen: {},
    reasons: { mail: [mark(1), mark(1), NOW] },
  };
  const newer: OwedRow = {
    feed: "new",
    badge: 2,
    badgeMark: mark(2),
    badgeEventAt: NOW + 2,
    badgeSeen: { old: mark(1) },
    reasons: {},
  };
  const oldRing: DeliveryRow = {
    feed: "old",
    rings: 3,
    count: 2,
    ref: { feed: "old", mark: mark(1) },
    tokenMac: null,
    seen: {},
    last: { at: NOW + 3, reason: "mail", outcome: "accepted", attempts: 1 },
    apnsId: null,
    accepted: 3,
    pace: UNPACED,
    dead: null,
  };
  const newRing: DeliveryRow = {
    ...oldRing,
    feed: "new",
    seen: { old: 2 },
    last: { ...oldRing.last, at: NOW + 4 },
  };
  const needless = (owed: readonly OwedRow[], deliveries: readonly DeliveryRow[], now = NOW + 5) =>
    needlessRows(
      { registration: { renewedAt: NOW } as Registration, owed, deliveries },
      new Set(["new", "peer"]),
      now,
    );

  test("all are needless", () => {
    expect(needless([old, newer], [oldRing, newRing])).toEqual({ owed: ["old"], delivery: ["old"] });
    const wake = { ...old, badge: null, badgeMark: 0 };
    expect(needless([wake, { ...newer, badgeSeen: {} }], []).owed).toEqual(["old"]);
  });

  const keptOwed: readonly (readonly [string, Partial<OwedRow>, Partial<OwedRow>])[] = [
    ["whose badge it had not seen", {}, { badgeSeen: { old: mark(1) - 1 } }],
    ["whose badge is of a later event", { badgeEventAt: NOW + 3 }, {}],
    ["for which there is no newer badge", {}, { badge: null }],
    ["that owes a reason", { reasons: { mail: [mark(1), mark(0), NOW] } }, {}],
    ["with the last news of all", { reasons: { mail: [mark(3), mark(3), NOW] } }, {}],
  ];
  test.each(keptOwed)("an owed row stays %s", (_, mine, present) => {
    expect(
      needless(
        [
          { ...old, ...mine },
          { ...newer, ...present },
        ],
        [],
      ).owed,
    ).toEqual([]);
  });

  test("a test ring that nobody waits for any more is not owed", () => {
    const tested = { ...old, reasons: { test: [mark(1), 0, NOW] } as const };
    expect(needless([tested, newer], []).owed).toEqual([]);
    expect(needless([tested, newer], [], NOW + 11 * 60_000).owed).toEqual(["old"]);
  });

  const keptRings: readonly (readonly [string, Partial<DeliveryRow>, Partial<DeliveryRow>])[] = [
    ["that it had not seen", {}, { seen: { old: 1 } }],
    ["that only another former feed had seen", {}, { feed: "older" }],
    ["that was the last of all", { last: { ...oldRing.last, at: NOW + 5 } }, {}],
  ];
  test.each(keptRings)("a ring stays %s", (_, mine, present) => {
    expect(
      needless(
        [],
        [
          { ...oldRing, ...mine },
          { ...newRing, ...present },
        ],
      ).delivery,
    ).toEqual([]);
  });
});

test("no row goes that the other node may not have, and none of its present feed", async () => {
  await register(f.store, 1, "aa01", f.time.now);
  await badge(f.store, 1, 1, f.time.now);
  await ringAll(f);
  await restore(f);
  await badge(f.store, 1, 2, f.time.now);
  await ringAll(f);
  await send(f, other);
  const feed = await present(f);
  const rows = await f.store.rowsAfter(0, 100);
  const [first] = rows.filter(({ row }) => row.feed !== undefined && row.feed !== feed).map((row) => row.seq);
  const removed = (limit: number) => f.store.removeFormer({ seq: limit, peerFeed: null });
  expect([await removed(0), await removed(first! - 1), await removed(first!)]).toEqual([0, 0, 1]);
  const { seq } = await other.store.position();
  other.time.now = f.time.now;
  expect((await feedsOf(other, "owed")).length).toBe(2);
  expect(await other.store.removeFormer({ seq, peerFeed: feed })).toBe(2);
  expect(await feedsOf(other, "owed")).toEqual([feed]);
  expect(await feedsOf(other, "delivery")).toEqual([feed]);
});

test("rows that come back, from a node that has them still or out of a backup, ring nobody and go again", async () => {
  await register(f.store, 1, "aa01", f.time.now);
  await badge(f.store, 1, 1, f.time.now);
  await ringAll(f);
  const read = await send(f, other);
  await restore(f);
  await badge(f.store, 1, 2, f.time.now);
  await ringAll(f);
  expect(await f.store.removeFormer(single)).toBe(2);
  // News that has seen nothing of the former feed but what was handed on.
  await badge(f.store, 1, 3, f.time.now);
  expect(await ringAll(f)).toEqual([3]);
  // The other node never heard of the removal.
  await send(f, other, read);
  other.time.now = f.time.now;
  const shown = await f.store.inspect(id(1));
  expect((await other.store.inspect(id(1))).badge).toEqual(shown.badge);
  expect(await begin(other.store, 1)).toBeUndefined();
  await send(other, f);
  expect((await feedsOf(f, "delivery")).length).toBe(2);
  expect((await f.store.inspect(id(1))).badge).toEqual(shown.badge);
  expect(await ringAll(f)).toEqual([]);
  expect(await f.store.removeFormer(single)).toBe(2);
});

test("more phones than are looked at together are all seen, and others have their turn in between", async () => {
  const many = 450;
  const phones = Array.from({ length: many }, (_, n) => n);
  await Promise.all(phones.map((n) => register(f.store, n, `bb${n}`, f.time.now)));
  await restore(f);
  await restore(f);
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 0);
  expect(await f.store.removeFormer(single)).toBe(many);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(1);
  expect(await feedsOf(f, "delivery")).toEqual([await present(f)]);
});
