// Two whole nodes in one process: which of them is active, what they answer, and what they remember.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { epochFilePath } from "../../src/pair/epoch-file.ts";
import type { Durability } from "../../src/store/types.ts";
import { createAuthority, nodeCertificate } from "./certificates.ts";
import { until } from "./helpers.ts";
import { createTwoNodes, type NodeUnderTest, TAKEOVER_MS, type TwoNodes } from "./nodes.ts";

let nodes: TwoNodes;

beforeEach(async () => {
  nodes = await createTwoNodes();
});
afterEach(() => nodes.close());

const roleOf = ({ pair }: NodeUnderTest) => pair.standing().role;
const ID = "11111111-1111-4111-8111-111111111111";

/** A commit that an answer rests on, and on how many nodes it is. */
async function commit({ pair }: NodeUnderTest): Promise<Durability | null> {
  let word: Durability | null = null;
  await pair.store.submit({
    registrationId: ID,
    decide: () => ({ change: { reasons: [{ reason: "mail" }] }, result: null }),
    onDurable: (durability) => {
      word = durability;
    },
  });
  return word;
}

describe("a new pair", () => {
  test("answers nothing and has no active node until one of the empty databases is said to be the first", async () => {
    await nodes.a.start();
    await nodes.b.start();
    await until(() => nodes.b.pair.status().link?.up === true, "the link is up");
    await Bun.sleep(2 * TAKEOVER_MS);
    for (const { pair } of [nodes.a, nodes.b]) {
      expect(pair.standing()).toMatchObject({
        role: "passive",
        serving: false,
        primary: false,
        rings: false,
      });
      expect(pair.status().alarms).toEqual(["no_active"]);
    }
    expect(await nodes.a.pair.wish("first")).toBe("done");
    await until(() => nodes.b.pair.standing().serving, "the other one has its rows, of which there are none");
    // Although the other one's name goes first.
    expect([roleOf(nodes.a), roleOf(nodes.b)]).toEqual(["active", "passive"]);
    expect([nodes.a.takeovers, nodes.b.takeovers]).toEqual([1, 0]);
    const noted = () => [nodes.a, nodes.b].map(({ file }) => file.current.seeding);
    expect(noted()[0]).toBe("seeded");
    await until(() => noted()[1] === "seeded", "the other one notes it");
  });

  test("begins with the database that is there: the other node takes its rows and is passive", async () => {
    await nodes.a.start();
    await nodes.a.pair.wish("first");
    await until(() => roleOf(nodes.a) === "active", "the first node is active alone");
    expect(nodes.a.pair.status().lastTakeover).toMatchObject({ by: "bell-a", why: "peer_absent" });
    await commit(nodes.a);
    await nodes.b.start();
    await until(() => nodes.b.pair.standing().serving, "the second node serves");
    expect(roleOf(nodes.b)).toBe("passive");
    expect((await nodes.b.store.inspect(ID)).state.kind).toBe((await nodes.a.store.inspect(ID)).state.kind);
    await until(() => nodes.a.pair.status().lagRows === 0, "the first one knows it");
  });
});

test("a commit is on both nodes before its answer, on either node, and says so", async () => {
  const { active, passive } = await nodes.begin();
  for (const [one, other] of [
    [active, passive],
    [passive, active],
  ] as const) {
    expect(await commit(one)).toBe("pair");
    expect((await other.store.rowsAfter(0, 100)).length).toBeGreaterThan(0);
  }
  // Only the active one may end a subscription.
  expect([active.pair.mayEnd(), passive.pair.mayEnd()]).toEqual([true, false]);
  await passive.stop();
  expect(await commit(active)).toBe("node");
  expect(active.pair.mayEnd()).toBe(false);
});

describe("a node may lack rows that the other one has answered for", () => {
  const may = (...these: NodeUnderTest[]) => these.map(({ pair }) => pair.mayLackRows());

  test("while it has yet to get them, and while it cannot reach the other one, until that is forgotten", async () => {
    const { active, passive } = await nodes.begin();
    await until(() => !may(active, passive).includes(true), "each knows that it has everything");
    await passive.stop();
    await until(() => active.pair.standing().alone, "it is alone");
    expect(may(active)).toEqual([true]);
    await commit(active);
    await passive.start();
    // Before the other one waits for it again, what it answers for may still be on its way.
    await until(() => passive.pair.status().behindRows === 0, "it has caught up");
    await until(() => may(active)[0] === false, "so has the other one, whose answers are waited for");
    expect(may(passive)).toEqual([true]);
    await until(() => active.pair.status().protected, "the other one waits for it", 20_000);
    await until(() => !may(active, passive).includes(true), "each knows that it has everything again");
    nodes.cut();
    await until(() => !may(active, passive).includes(false), "neither can know", 5_000);
    expect(await active.pair.wish("forget")).toBe("done");
    expect(may(active)).toEqual([false]);
  }, 30_000);

  test("when its disk is full and the other one goes on without it", async () => {
    const { active, passive } = await nodes.begin();
    await until(() => !may(active, passive).includes(true), "each knows that it has everything");
    const { merge } = passive.store;
    Object.assign(passive.store, { merge: () => Promise.reject(new Error("disk full")) });
    expect(await commit(active)).toBe("node");
    await until(() => may(passive)[0] === true, "it is told", 500);
    expect(passive.pair.status().link?.up).toBe(true);
    Object.assign(passive.store, { merge });
  });
});

describe("the passive node takes over", () => {
  test("at once when the other one's process is gone", async () => {
    const { active, passive } = await nodes.begin();
    const before = passive.pair.status().here.epoch;
    const stoppedAt = performance.now();
    await active.stop();
    await until(() => roleOf(passive) === "active", "the other one is active");
    expect(performance.now() - stoppedAt).toBeLessThan(TAKEOVER_MS);
    expect(passive.pair.standing()).toMatchObject({ why: "peer_gone", rings: true, alone: true });
    expect(passive.file.current.epoch).toBeGreaterThan(before);
    // It stays so when the other one is back.
    await active.start();
    await until(() => passive.pair.status().link?.up === true, "it is back");
    await Bun.sleep(TAKEOVER_MS);
    expect([roleOf(active), roleOf(passive)]).toEqual(["passive", "active"]);
    expect(active.pair.status().lastTakeover).toMatchObject({ by: passive.name, why: "peer_gone" });
  });

  test("when the link is silent; both are active then, and when it is back one of them yields", async () => {
    const { active, passive } = await nodes.begin();
    nodes.cut();
    await until(() => roleOf(passive) === "active", "the passive one took over");
    expect(passive.pair.standing().why).toBe("peer_silent");
    await until(() => active.pair.standing().alone, "the other one knows that it is alone");
    expect([roleOf(active), active.pair.standing().rings]).toEqual(["active", true]);
    for (const node of [active, passive]) {
      expect(node.pair.mayEnd()).toBe(false);
      expect(await commit(node)).toBe("node");
    }
    nodes.heal();
    await until(() => roleOf(active) === "passive", "the one with the lower epoch yields");
    expect(active.pair.standing().why).toBe("peer_outranks");
    await until(
      () => [active, passive].every(({ pair }) => pair.status().lagRows === 0),
      "both have everything",
    );
    expect(roleOf(passive)).toBe("active");
  });
});

describe("handing over", () => {
  test("waits for rings that are on their way, and no other begins meanwhile", async () => {
    const { active, passive } = await nodes.begin();
    active.drains = [];
    const done = active.pair.wish("switch_away");
    await until(() => active.drains?.length === 1, "it drains");
    expect(active.pair.standing()).toMatchObject({ role: "active", primary: true, rings: false });
    await Bun.sleep(100);
    expect(roleOf(passive)).toBe("passive");
    active.drains[0]!();
    expect(await done).toBe("done");
    expect([roleOf(active), roleOf(passive)]).toEqual(["passive", "active"]);
    const rang = [...active.standings, ...passive.standings].filter(({ rings }) => rings);
    // Only ever one at a time: the last word of each says so.
    expect([active.standings.at(-1)?.rings, passive.standings.at(-1)?.rings]).toEqual([false, true]);
    expect(rang.length).toBeGreaterThan(1);
  });

  test("is asked of either node, and of nobody who cannot", async () => {
    const { active, passive } = await nodes.begin();
    expect(await passive.pair.wish("switch_away")).toBe("already");
    expect(await passive.pair.wish("switch_here")).toBe("done");
    expect(await passive.pair.wish("switch_here")).toBe("already");
    await until(() => roleOf(active) === "passive", "the other one heard it");
    await active.stop();
    expect(await passive.pair.wish("switch_away")).toBe("peer_silent");
  });

  test("comes before a stop, and a stop does not wait for a node that is not there", async () => {
    const { active, passive } = await nodes.begin();
    await active.pair.handOver(5_000);
    expect([roleOf(active), roleOf(passive)]).toEqual(["passive", "active"]);
    await active.pair.handOver(5_000);
    await active.stop();
    await passive.pair.handOver(5_000);
    expect(roleOf(passive)).toBe("active");
  });

  test("is owed by an active node that cannot write its database for a while", async () => {
    const { active, passive } = await nodes.begin();
    active.pair.commitsFail(true);
    await until(() => roleOf(passive) === "active", "the other one took over", 8_000);
    expect(active.pair.standing().why).toBe("cannot_commit");
    expect(passive.pair.standing().why).toBe("cannot_commit");
    expect(await passive.pair.wish("switch_away")).toBe("not_ready");
    active.pair.commitsFail(false);
    await until(() => passive.pair.status().peer?.ready === true, "it can again");
    expect(await passive.pair.wish("switch_away")).toBe("done");
  }, 20_000);
});

test("a process that was not running answers and rings nothing until it has heard of the other one", async () => {
  const { active, passive } = await nodes.begin();
  active.stoodStillMs += 10 * TAKEOVER_MS;
  // Asked before any timer of its had a chance.
  expect(active.pair.standing()).toMatchObject({
    role: "active",
    serving: false,
    primary: false,
    rings: false,
  });
  expect(active.pair.status().alarms).toContain("frozen");
  await until(() => active.pair.standing().rings, "it heard that it is still the active one");
  expect(roleOf(passive)).toBe("passive");
  // With nobody to hear of, it waits as long as the other one would have waited.
  await passive.stop();
  active.stoodStillMs += 10 * TAKEOVER_MS;
  const wokenAt = performance.now();
  expect(active.pair.standing().serving).toBe(false);
  await until(() => active.pair.standing().rings, "it goes on alone");
  expect(performance.now() - wokenAt).toBeGreaterThan(TAKEOVER_MS - 50);
});

describe("a restart", () => {
  test("remembers the epoch, so that the next one is higher", async () => {
    const { active, passive } = await nodes.begin();
    await passive.pair.wish("switch_here");
    const { epoch } = passive.pair.status().here;
    await until(() => active.file.current.epoch === epoch, "the other one noted it");
    for (const node of [active, passive]) await node.stop();
    await active.start();
    await until(() => roleOf(active) === "active", "it goes on alone after the other one did not come");
    expect(active.pair.status().here.epoch).toBeGreaterThan(epoch);
  });

  test("without its database makes a node passive and mute until it has the other one's rows", async () => {
    const { active, passive } = await nodes.begin();
    await commit(active);
    await active.stop();
    await until(() => roleOf(passive) === "active", "the other one took over");
    active.wipe();
    await active.start();
    expect(active.pair.standing().serving).toBe(false);
    await until(() => active.pair.standing().serving, "it has the rows");
    expect((await active.store.rowsAfter(0, 100)).length).toBeGreaterThan(0);
    expect(roleOf(passive)).toBe("active");
  });

  test("with a database out of a backup takes what it lacks from the other one", async () => {
    const { active, passive } = await nodes.begin();
    for (const node of [active, passive]) await node.stop();
    await active.start(true);
    expect(active.pair.status().here.seeding).toBe("reseeding");
    await until(() => roleOf(active) === "active", "alone it has to do");
    await passive.start();
    await until(() => active.pair.status().here.seeding === "seeded", "it has everything");
    // However soon that was: what the other one knows, it may not know yet.
    expect([roleOf(active), roleOf(passive)]).toEqual(["passive", "active"]);
    expect(active.pair.standing().why).toBe("reseeding");
    await until(() => active.file.current.seeding === "seeded", "which is noted");
  });
});

describe("a node whose other one was forgotten", () => {
  test("tells it so where it still lives, since it takes over", async () => {
    const { active, passive } = await nodes.begin();
    expect(await active.pair.wish("forget")).toBe("done");
    await until(() => roleOf(passive) === "active", "the other one is active too");
    expect(passive.logged.some((line) => line.includes("forgotten: It was told to forget this node"))).toBe(
      true,
    );
  });

  test("is a single node at once, may end subscriptions, and is one after a restart", async () => {
    const { active, passive } = await nodes.begin();
    await active.stop();
    await until(() => roleOf(passive) === "active", "the other one took over");
    expect(passive.pair.mayEnd()).toBe(false);
    expect(await passive.pair.wish("forget")).toBe("done");
    expect(passive.pair.standing()).toMatchObject({ role: "active", alone: false, serving: true });
    expect(passive.pair.mayEnd()).toBe(true);
    // No word on how many nodes: that of a single one.
    expect(await commit(passive)).toBeNull();
    expect(passive.pair.status()).toMatchObject({ paired: false, peer: null, link: null });
    await passive.stop();
    await passive.start();
    expect(passive.pair.standing()).toMatchObject({ role: "active", serving: true });
    expect(passive.pair.mayEnd()).toBe(true);
  });
});

test("a renewed certificate is used by the next handshake", async () => {
  const { active } = await nodes.begin();
  const foreign = await nodeCertificate(await createAuthority("Another pair"), active.name);
  active.pair.setIdentity({ ...foreign, expiresAt: 1 });
  expect(active.pair.status().link?.certificateExpiresAt).toBe(1);
  for (const wire of nodes.wires) wire.sever();
  await until(() => active.pair.status().link?.up === false, "the link is down");
  await Bun.sleep(300);
  expect(active.pair.status().link?.up).toBe(false);
  active.pair.setIdentity(active.identity);
  await until(() => active.pair.status().link?.up === true, "the link is up");
});

test("what a node has to remember lies beside its database before the database does", async () => {
  await nodes.a.start();
  expect(existsSync(epochFilePath(nodes.a.database))).toBe(true);
  expect(nodes.a.file.current).toEqual({ epoch: 0, seeding: "unseeded", forgotten: null });
});
