// A node of a pair that was restored leaves a feed behind on both: its rows go on both, in either order, and no phone is
// rung for that; nothing goes while one of the two is away.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import Database from "better-sqlite3";
import { markRestored } from "../../src/store/restored.ts";
import { badge, begin, register, settlement } from "../store/helpers.ts";
import { until } from "./helpers.ts";
import { createTwoNodes, type NodeUnderTest, type TwoNodes } from "./nodes.ts";

// Allowances are whole again: an hour for three rings.
const LONG_AGO_MS = 2 * 3_600_000;
let nodes: TwoNodes;
beforeEach(async () => {
  nodes = await createTwoNodes();
});
afterEach(() => nodes.close());

const tidy = ({ pair, store }: NodeUnderTest) =>
  store.removeFormer({ seq: pair.onAllNodesSeq(), peerFeed: pair.peerFeed() });
const feed = async ({ store }: NodeUnderTest) => (await store.position()).feed;

async function feedsOf({ store, database }: NodeUnderTest): Promise<unknown[]> {
  const path = join(database, "..", `copy-${randomUUID()}.db`);
  await store.copyTo(path);
  const db = new Database(path, { readonly: true });
  const feeds = db
    .prepare("SELECT feed FROM owed UNION SELECT feed FROM delivery ORDER BY feed")
    .pluck()
    .all();
  db.close();
  return feeds;
}

const together = () =>
  until(
    () =>
      [nodes.a, nodes.b].every(
        ({ pair, store }) =>
          pair.peerFeed() !== null &&
          pair.onAllNodesSeq() >= store.committedSeq() &&
          store.committedSeq() > 0,
      ),
    "both have everything",
  );

async function ring({ store }: NodeUnderTest): Promise<number | null | undefined> {
  const flight = await begin(store, 1);
  if (flight !== undefined) await store.settle([settlement(flight, "done", Date.now() - LONG_AGO_MS)]);
  return flight?.badge;
}

async function restore(node: NodeUnderTest): Promise<void> {
  await node.stop();
  const db = new Database(node.database);
  markRestored(db, Date.now());
  db.close();
  await node.start(true);
  await together();
}

test("rows of feeds from before two restores go on both nodes, and neither owes a ring for that", async () => {
  const { active, passive } = await nodes.begin();
  await register(active.pair.store, 1, "aa01", Date.now());
  for (const [count, restored] of [
    [1, active],
    [2, passive],
    [3, null],
  ] as const) {
    await badge(active.pair.store, 1, count, Date.now());
    await badge(passive.pair.store, 1, count + 10, Date.now());
    await together();
    expect(await ring(active)).toBe(count + 10);
    await together();
    if (restored !== null) await restore(restored);
  }
  const inUse = [await feed(active), await feed(passive)].sort();
  expect((await feedsOf(active)).length).toBe(4);
  await passive.stop();
  await until(() => active.pair.onAllNodesSeq() === 0, "the other node is away");
  expect([await tidy(active), (await feedsOf(active)).length]).toEqual([0, 4]);
  await passive.start();
  await together();
  expect(await tidy(active)).toBeGreaterThan(0);
  expect(await feedsOf(active)).toEqual(inUse);
  // The passive one has them still, and rings what comes now: with it or without, nothing more is owed.
  expect((await feedsOf(passive)).length).toBe(4);
  await badge(active.pair.store, 1, 20, Date.now());
  await together();
  expect(await ring(passive)).toBe(20);
  await together();
  for (const node of [active, passive]) expect(await ring(node)).toBeUndefined();
  expect(await tidy(passive)).toBeGreaterThan(0);
  await together();
  for (const node of [active, passive]) {
    expect(await feedsOf(node)).toEqual(inUse);
    expect(await ring(node)).toBeUndefined();
    expect(await tidy(node)).toBe(0);
  }
}, 60_000);
