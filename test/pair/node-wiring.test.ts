// What holds a whole node together: that a hand-over, the end of a subscription and a role wait for the rows they rest
// on, and how soon a node that is lost is replaced.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { until } from "./helpers.ts";
import { createTwoNodes, type NodesWish, type NodeUnderTest, TAKEOVER_MS, type TwoNodes } from "./nodes.ts";

// The nodes' time stands still while this process does: a machine under load makes nothing late.
const STEP_MS = 50;
let passedMs = 0;
let passing: ReturnType<typeof setTimeout>;
function pass(): void {
  passedMs += STEP_MS;
  passing = setTimeout(pass, STEP_MS);
}

let nodes: TwoNodes | null = null;
beforeEach(() => {
  passedMs = 0;
  passing = setTimeout(pass, STEP_MS);
});
afterEach(async () => {
  clearTimeout(passing);
  await nodes?.close();
  nodes = null;
});

async function twoNodes(wish: NodesWish = {}): Promise<TwoNodes> {
  nodes = await createTwoNodes({ clock: () => passedMs, ...wish });
  return nodes;
}

const roleOf = ({ pair }: NodeUnderTest) => pair.standing().role;
const id = (n: number) => `11111111-1111-4111-8111-${String(n).padStart(12, "0")}`;
// Longer than a test holds up what is on its way, so that nobody counts as gone for that.
const PATIENT = { aloneAfterMs: 20_000 };

/** A row of this node; resolves once it is committed here, wherever else it is. */
async function commit({ store }: NodeUnderTest, n: number): Promise<void> {
  await store.submit({
    registrationId: id(n),
    decide: () => ({ change: { reasons: [{ reason: "mail" }] }, result: null }),
    onDurable: () => {},
  });
}

async function has({ store }: NodeUnderTest, n: number): Promise<boolean> {
  const stored = await store.rowsAfter(0, 1_000);
  const wanted = id(n).replaceAll("-", "");
  return stored.some(({ row }) => Object.values(row).some((cell) => hex(cell) === wanted));
}
const hex = (cell: unknown): string | null => (Buffer.isBuffer(cell) ? cell.toString("hex") : null);

/** From now on this node stores nothing of the other one, until the function that is given back is called. */
function holdUp({ store }: NodeUnderTest): () => void {
  const { merge } = store;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  Object.assign(store, {
    async merge(...given: Parameters<typeof merge>) {
      await released;
      return await merge(...given);
    },
  });
  return release;
}

test("a hand-over waits until what the last rings settled is on both nodes", async () => {
  const { active, passive } = await (await twoNodes(PATIENT)).begin();
  active.drains = [];
  const done = active.pair.wish("switch_away");
  await until(() => active.drains?.length === 1, "it drains");
  const release = holdUp(passive);
  await commit(active, 1);
  active.drains[0]!();
  await Bun.sleep(300);
  expect([roleOf(active), roleOf(passive), await has(passive, 1)]).toEqual(["active", "passive", false]);
  release();
  expect(await done).toBe("done");
  expect([roleOf(active), roleOf(passive), await has(passive, 1)]).toEqual(["passive", "active", true]);
});

test("an active node whose database the link finds rolled back hands over, although its epoch is the higher one", async () => {
  const { active, passive } = await (await twoNodes()).begin();
  await commit(active, 1);
  await active.stop();
  copyFileSync(active.database, `${active.database}.copy`);
  await active.start();
  await commit(active, 2);
  await until(() => has(passive, 2), "the other one has the row that the copy lacks");
  await until(() => {
    const [one, other] = [active, passive].map(({ pair }) => pair.status());
    const isSettled = one?.here.role !== other?.here.role && one?.here.role === other?.peer?.role;
    return isSettled && one?.here.epoch === other?.here.epoch;
  }, "one of them is active, and both know its epoch");
  for (const node of [passive, active]) await node.stop();
  active.wipe();
  copyFileSync(`${active.database}.copy`, active.database);
  await active.start();
  await until(() => roleOf(active) === "active", "it is active alone");
  expect(active.pair.status().here.seeding).toBe("seeded");
  expect(active.pair.status().here.epoch).toBeGreaterThan(passive.file.current.epoch);
  await passive.start();
  await until(() => roleOf(passive) === "active", "the other one is active");
  await until(() => roleOf(active) === "passive", "it has yielded");
  expect(active.pair.standing().why).toBe("reseeding");
  await until(() => active.pair.status().here.seeding === "seeded", "it has everything again");
  expect(await has(active, 2)).toBe(true);
}, 30_000);

test("a node without its database serves only once it has stored what the other one had when they met", async () => {
  const { active, passive } = await (await twoNodes(PATIENT)).begin();
  await commit(active, 1);
  await until(() => has(passive, 1), "both have the row");
  await active.stop();
  await until(() => roleOf(passive) === "active", "the other one took over");
  active.wipe();
  let release = (): void => {};
  active.opened = () => {
    release = holdUp(active);
  };
  await active.start();
  await until(() => active.pair.status().peer?.role === "active", "it has heard of the other one");
  await Bun.sleep(300);
  expect(active.pair.status().here).toMatchObject({ seeding: "unseeded", serving: false });
  release();
  await until(() => active.pair.standing().serving, "it serves");
  expect(await has(active, 1)).toBe(true);
});

test("no subscription ends and no row is on all nodes before a node has what the other one had when they met", async () => {
  const made = await twoNodes(PATIENT);
  const { active, passive } = await made.begin();
  const both = [active, passive];
  await commit(active, 1);
  await commit(passive, 2);
  await until(() => both.every(({ pair }) => pair.onAllNodesSeq() > 0), "both have something");
  for (const wire of made.wires) {
    wire.mode = "cut";
    wire.sever();
  }
  await until(() => both.every(({ pair }) => pair.status().link?.up === false), "the link is down");
  await commit(active, 3);
  await commit(passive, 4);
  const releases = both.map(holdUp);
  for (const wire of made.wires) wire.mode = "open";
  // Which of them that is depends on how long it took.
  const rings = () => both.filter(({ pair }) => pair.standing().rings && !pair.standing().alone);
  const isUp = () => both.every(({ pair }) => pair.status().link?.up === true);
  await until(() => isUp() && rings().length === 1, "the link is up and one of them is active");
  for (const { pair } of both) {
    expect([pair.mayEnd(), pair.onAllNodesSeq(), pair.mayLackRows()]).toEqual([false, 0, true]);
  }
  for (const release of releases) release();
  await until(() => both.every(({ pair }) => pair.onAllNodesSeq() > 0), "both have what the other one had");
  expect(both.map(({ pair }) => pair.mayEnd())).toEqual(both.map((node) => roleOf(node) === "active"));
});

describe("clocks", () => {
  test("that are seconds apart are an alarm on both nodes", async () => {
    const made = await twoNodes();
    made.b.aheadMs = 5_000;
    await made.begin();
    const alarms = ({ pair }: NodeUnderTest) => pair.status().alarms;
    await until(() => [made.a, made.b].every((node) => alarms(node).length > 0), "both say so");
    expect([alarms(made.a), alarms(made.b)]).toEqual([["clock_skew"], ["clock_skew"]]);
  });

  test("that agree are none", async () => {
    const made = await twoNodes();
    await made.begin();
    const skews = () => [made.a, made.b].map(({ pair }) => pair.status().clockSkewMs);
    await until(() => !skews().includes(null), "both know");
    expect([made.a, made.b].map(({ pair }) => pair.status().alarms)).toEqual([[], []]);
  });
});

describe("a host that is lost is replaced within a second after takeover_after, not before", () => {
  test.each(["dead", "cut"] as const)("where the wire is %s", async (mode) => {
    const made = await twoNodes();
    const { active, passive } = await made.begin();
    const lostAt = passedMs;
    for (const wire of made.wires) {
      wire.mode = mode;
      if (mode === "cut") wire.sever();
    }
    await until(() => roleOf(passive) === "active", "it is replaced", 60_000);
    const tookMs = passedMs - lostAt;
    expect(passive.pair.standing()).toMatchObject({ why: "peer_silent", rings: true });
    // The last word that came was up to a beat old.
    expect(tookMs).toBeGreaterThanOrEqual(TAKEOVER_MS - 250 - 2 * STEP_MS);
    expect(tookMs).toBeLessThan(TAKEOVER_MS + 1_000);
    await until(() => active.pair.standing().alone, "the other one counts it as gone", 60_000);
    expect(passedMs - lostAt).toBeLessThan(TAKEOVER_MS + 1_000);
  });
});
