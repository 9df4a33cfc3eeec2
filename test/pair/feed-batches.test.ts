// Filling a node keeps neither of the two from other work for long, and costs no more memory than a few pages.
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { createBatchSize } from "../../src/pair/batch-size.ts";
import { badge, register } from "../store/helpers.ts";
import { createPair, type TestPair, until, untilEqual } from "./helpers.ts";
import { meetAsStranger } from "./stranger.ts";

let pair: TestPair | null = null;
afterEach(async () => {
  await pair?.close();
  pair = null;
});

async function fill(store: TestPair["a"]["store"], count: number): Promise<void> {
  const all: Promise<void>[] = [];
  for (let n = 1; n <= count; n += 1) {
    all.push(register(store, n, `token-${n}`, Date.now()), badge(store, n, n, Date.now()));
  }
  await Promise.all(all);
}

describe("the number of rows in a batch", () => {
  const size = () => createBatchSize({ least: 8, most: 256, targetMs: 5 });

  test("falls at once to what fits where a batch took long, and never below the least", () => {
    const made = size();
    for (let n = 0; n < 20; n += 1) made.took(made.rows, 1);
    expect(made.rows).toBeGreaterThan(150);
    const before = made.rows;
    made.took(before, 20);
    expect(made.rows).toBe(Math.floor(before / 4));
    made.took(made.rows, 10_000);
    expect(made.rows).toBe(8);
  });

  test("grows step by step up to the most, and not by what a few rows took", () => {
    const made = size();
    const first = made.rows;
    made.took(2, 0.01);
    expect(made.rows).toBe(first);
    made.took(first, 0.01);
    expect(made.rows).toBe(Math.floor(first * 1.5));
    for (let n = 0; n < 20; n += 1) made.took(made.rows, 0.01);
    expect(made.rows).toBe(256);
  });

  test("stays within a most that is below the least", () => {
    const made = createBatchSize({ least: 48, most: 3, targetMs: 5 });
    made.took(3, 1_000);
    expect(made.rows).toBe(3);
  });
});

test("where reading takes long, pages become short; others have their turn between any two", async () => {
  const limits: number[] = [];
  const turns: number[] = [];
  let turn = 0;
  pair = await createPair({
    a: {
      between: (store) => ({
        ...store,
        async page(seq, limit) {
          limits.push(limit);
          turns.push(turn);
          // A cold disk, a third of a millisecond for each row: as in the store, nothing else runs meanwhile.
          Bun.sleepSync(limit / 3);
          return store.page(seq, limit);
        },
      }),
    },
  });
  const { a, b } = pair;
  await a.start();
  await fill(a.store, 400);
  const beat = setInterval(() => {}, 1);
  let isCounting = true;
  const count = () => {
    turn += 1;
    if (isCounting) setImmediate(count);
  };
  count();
  await b.start();
  await untilEqual(pair);
  isCounting = false;
  clearInterval(beat);
  expect(limits.length).toBeGreaterThan(20);
  expect(Math.max(...limits)).toBeLessThanOrEqual(48);
  // One that an acknowledgement asks for may follow on one before within a turn: others were served in between too.
  expect(turns.filter((at, index) => turns[index + 2] === at)).toEqual([]);
}, 30_000);

test("what is written again while a node is filled is there before the node counts as filled", async () => {
  const count = 200;
  let isWritten = false;
  const held: unknown[] = [];
  const look = (path: string) => {
    const db = new Database(path, { readonly: true });
    held.push(db.query("SELECT count(*) AS count FROM registration").get());
    db.close();
  };
  pair = await createPair({
    a: {
      between: (store) => ({
        ...store,
        async page(seq, limit) {
          const page = await store.page(seq, Math.min(limit, 10));
          if (isWritten) return page;
          isWritten = true;
          // Not sent yet: these move to the end of the feed, past where that was at the hello.
          const again = Array.from({ length: count / 2 }, (_, n) => count - n);
          await Promise.all(again.map((n) => register(store, n, `token-${n}`, Date.now(), 2)));
          return page;
        },
      }),
    },
    b: { replicator: { events: { caughtUp: () => look(pair?.b.path ?? "") } } },
  });
  const { a, b } = pair;
  await a.start();
  await fill(a.store, count);
  await b.start();
  await untilEqual(pair);
  expect(held).toEqual([{ count }]);
}, 30_000);

test("where merging takes long, a page is merged in parts; each says up to where it came", async () => {
  const parts: { readonly rows: number; readonly seq: number }[] = [];
  pair = await createPair({
    b: {
      between: (store) => ({
        ...store,
        async merge(rows, upTo) {
          if (rows.length > 0) parts.push({ rows: rows.length, seq: upTo?.seq ?? -1 });
          Bun.sleepSync(rows.length);
          await store.merge(rows, upTo);
        },
      }),
    },
  });
  const { a, b } = pair;
  await a.start();
  await fill(a.store, 500);
  await b.start();
  await untilEqual(pair);
  expect(parts.reduce((sum, { rows }) => sum + rows, 0)).toBe(1_500);
  expect(Math.max(...parts.map(({ rows }) => rows))).toBeLessThanOrEqual(64);
  // In order, without gap or overlap: what is noted with a part is where its last row stands.
  expect(parts.map(({ seq }) => seq)).toEqual(
    parts.map((_, at) => parts.slice(0, at + 1).reduce((sum, { rows }) => sum + rows, 0)),
  );
}, 30_000);

test("a node that is stopped within a page goes on behind the part that it had merged", async () => {
  let isHeld = false;
  let merged = 0;
  pair = await createPair({
    b: {
      between: (store) => ({
        ...store,
        async merge(rows, upTo) {
          if (isHeld) throw new Error("disk full");
          await store.merge(rows, upTo);
          merged += rows.length;
          isHeld = merged >= 100;
        },
      }),
    },
  });
  const { a, b } = pair;
  await a.start();
  await fill(a.store, 500);
  await b.start();
  await until(() => isHeld, "a part is merged");
  const { cursor } = await b.store.peerKnowledge();
  expect(cursor?.seq).toBe(merged);
  expect(a.replicator.status.lagRows).toBeGreaterThan(0);
  pair.cut();
  await until(() => b.link.state.kind === "down", "the link is down");
  isHeld = false;
  merged = Number.NEGATIVE_INFINITY;
  pair.heal();
  await untilEqual(pair);
  expect(a.newFeeds.concat(b.newFeeds)).toEqual([]);
}, 30_000);

test("a node that acknowledges nothing is sent a few pages and no more", async () => {
  pair = await createPair();
  const { a, wires } = pair;
  await a.start();
  await fill(a.store, 700);
  const peer = await meetAsStranger(wires.b.target, pair.identities["bell-b"]);
  const pages = () => peer.frames.filter((frame) => frame.kind === "rows").length;
  await until(() => pages() >= 4, "pages come");
  await badge(a.store, 1, 77, Date.now());
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(pages()).toBe(4);
  expect(a.replicator.status.lagRows).toBeGreaterThan(1_000);
}, 30_000);
