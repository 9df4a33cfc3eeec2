// What is on every node that there is, and so may be forgotten on each: everything while both are together, nothing while
// one is away, and everything again once there is no other node any more.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { change, id, register } from "../store/helpers.ts";
import { until } from "./helpers.ts";
import { createTwoNodes, type NodeUnderTest, type TwoNodes } from "./nodes.ts";

let nodes: TwoNodes;
beforeEach(async () => {
  nodes = await createTwoNodes();
});
afterEach(() => nodes.close());

const removable = ({ pair, store }: NodeUnderTest) =>
  store.removeSpent({ until: Date.now() + 1, seq: pair.onAllNodesSeq() });
const kind = async ({ store }: NodeUnderTest) => (await store.inspect(id(1))).state.kind;

test("a tombstone is removed on neither node before the other one has it", async () => {
  const { active, passive } = await nodes.begin();
  await register(active.pair.store, 1, "aa01", Date.now());
  await until(() => active.pair.onAllNodesSeq() >= active.store.committedSeq(), "both have it");
  await passive.stop();
  await until(() => active.pair.onAllNodesSeq() === 0, "the other one is away");
  await change(active.pair.store, id(1), { delete: { at: Date.now() } });
  expect([await removable(active), await kind(active)]).toEqual([0, "deleted"]);
  await passive.start();
  const both = [active, passive];
  await until(
    () => both.every(({ pair, store }) => pair.onAllNodesSeq() >= store.committedSeq()),
    "both have it",
  );
  for (const node of both) expect([await removable(node), await kind(node)]).toEqual([1, "missing"]);
}, 40_000);

test("a node whose other one was forgotten removes by itself", async () => {
  const { active, passive } = await nodes.begin();
  await register(active.pair.store, 1, "aa01", Date.now());
  await passive.stop();
  await until(() => active.pair.onAllNodesSeq() === 0, "the other one is away");
  await change(active.pair.store, id(1), { delete: { at: Date.now() } });
  await active.pair.wish("forget");
  expect(await removable(active)).toBe(1);
});
