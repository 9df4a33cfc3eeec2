// A registration that changed on both nodes while they were apart: renewed here, fallen idle or judged dead there.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { badge, begin, id, register, settlement } from "./helpers.ts";
import { type Apart, meet, openApart, WAYS } from "./meeting.ts";

const DAY_MS = 86_400_000;
const IDLE_MS = 60 * DAY_MS;

let apart: Apart;
let start: number;
beforeEach(async () => {
  apart = await openApart();
  start = apart.a.time.now;
  await register(apart.a.store, 1, "aa11", start);
  await meet(apart, "a first");
});
afterEach(() => apart.close());

type Node = Apart["a"];

function pass(ms: number): void {
  for (const node of [apart.a, apart.b]) node.time.now += ms;
}

async function stateOf(node: Node) {
  return (await node.store.read([id(1)]))[0]!.state;
}

/** The state, which is the same on both nodes. */
async function common() {
  const [here, there] = [await stateOf(apart.a), await stateOf(apart.b)];
  expect(here).toEqual(there);
  return here;
}

describe.each(WAYS)("nodes that meet, %s:", (way) => {
  describe.each(["a", "b"] as const)("what happened at %s", (name) => {
    const sides = () => (name === "a" ? [apart.a, apart.b] : [apart.b, apart.a]) as [Node, Node];

    test("falling idle loses to a renewal that the other node had", async () => {
      const [sweeping, renewing] = sides();
      pass(IDLE_MS - DAY_MS);
      await register(renewing.store, 1, "aa11", renewing.time.now, 2);
      pass(2 * DAY_MS);
      expect(await sweeping.store.sweep(sweeping.time.now, IDLE_MS)).toBe(1);
      await meet(apart, way);
      expect(await common()).toMatchObject({ kind: "present", registration: { revision: 2 } });
    });

    test("falling idle loses to the same wish, taken later by the other node", async () => {
      const [sweeping, renewing] = sides();
      pass(IDLE_MS - DAY_MS);
      // The app's repeat reached a node that had no such registration: one revision, two times.
      await register(renewing.store, 1, "aa11", renewing.time.now, 1);
      pass(2 * DAY_MS);
      expect(await sweeping.store.sweep(sweeping.time.now, IDLE_MS)).toBe(1);
      await meet(apart, way);
      expect(await common()).toMatchObject({
        kind: "present",
        registration: { renewedAt: start + IDLE_MS - DAY_MS },
      });
    });

    test("falling idle wins over the renewal that it counted from", async () => {
      const [sweeping, slower] = sides();
      pass(IDLE_MS + DAY_MS);
      expect(await sweeping.store.sweep(sweeping.time.now, IDLE_MS)).toBe(1);
      expect(await stateOf(slower)).toMatchObject({ kind: "present" });
      await meet(apart, way);
      expect((await common()).kind).toBe("missing");
      for (const { store } of [apart.a, apart.b]) {
        expect((await store.inspect(id(1))).idleAt).toBe(start + IDLE_MS + DAY_MS);
      }
    });

    test("of two takings of one wish the later counts", async () => {
      const [later, earlier] = sides();
      await register(earlier.store, 1, "bb22", start + 1_000, 2);
      await register(later.store, 1, "bb22", start + 2_000, 2);
      // Written again since, so that its version is the later one.
      earlier.time.now += 60_000;
      await register(earlier.store, 1, "bb22", start + 1_000, 2);
      await meet(apart, way);
      expect(await common()).toMatchObject({ registration: { renewedAt: start + 2_000 } });
    });

    test("a verdict on the old token says nothing of the new one", async () => {
      const [ringing, renewing] = sides();
      await badge(ringing.store, 1, 3, start);
      await register(renewing.store, 1, "bb22", renewing.time.now, 2);
      // Later than the renewal, of which this node has not heard.
      pass(60_000);
      const ring = await begin(ringing.store, 1);
      expect(ring).toMatchObject({ token: "aa11" });
      await ringing.store.settle([settlement(ring!, "dead", ringing.time.now, { ends: true })]);
      expect(await stateOf(ringing)).toMatchObject({ dead: "ended" });
      await meet(apart, way);
      expect(await common()).toMatchObject({ kind: "present", dead: "no" });
      pass(60_000);
      for (const { store } of [apart.a, apart.b]) {
        expect(await begin(store, 1)).toMatchObject({ token: "bb22", badge: 3 });
      }
    });

    test("a verdict on the token that still stands holds on both", async () => {
      const [ringing] = sides();
      await badge(ringing.store, 1, 3, start);
      pass(60_000);
      const ring = await begin(ringing.store, 1);
      await ringing.store.settle([settlement(ring!, "dead", ringing.time.now, { ends: true })]);
      await meet(apart, way);
      expect(await common()).toMatchObject({ kind: "present", dead: "ended" });
      pass(60_000);
      for (const { store } of [apart.a, apart.b]) expect(await begin(store, 1)).toBeUndefined();
    });
  });
});
