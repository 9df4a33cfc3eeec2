// Two nodes' roles as they are owned, telling each other what a link would carry: what one that stood still does when it
// goes on, and with the words that have waited for it since.
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Json } from "../../src/pair/frames.ts";
import { readBeat, readPeer } from "../../src/pair/role-beat.ts";
import { createRoleOwner, type RoleOwner } from "../../src/pair/role-owner.ts";
import type { Standing } from "../../src/pair/types.ts";

const TAKEOVER_MS = 3_000;
const TICK_MS = 250;

/** One node: its roles, and the words that have not reached it yet. */
interface Bell {
  readonly name: string;
  readonly owner: RoleOwner;
  readonly told: Standing[];
  readonly waiting: string[];
  isStopped: boolean;
}

let nowMs = 0;
let bells: readonly [Bell, Bell];

beforeEach(() => {
  nowMs = 0;
  bells = [bell("bell-b", 0, 5), bell("bell-a", 1, 4)];
  for (const each of bells) each.owner.start();
  for (const [at, each] of bells.entries()) meet(each, bells[at === 0 ? 1 : 0]);
});
afterEach(() => {
  for (const { owner } of bells) owner.stop();
});

function bell(name: string, at: 0 | 1, epoch: number): Bell {
  const told: Standing[] = [];
  const owner = createRoleOwner({
    facts: {
      name,
      feed: `feed of ${name}`,
      paired: true,
      epoch,
      seeding: "seeded",
      takeoverAfterMs: TAKEOVER_MS,
    },
    clock: () => nowMs,
    persist: () => Promise.resolve(true),
    beat: () => {
      if (!bells[at].isStopped) send(bells[at], bells[at === 0 ? 1 : 0]);
    },
    drain: () => Promise.resolve(),
    role: () => {},
    alarm: () => {},
    changed: (standing) => told.push(standing),
    seeding: () => {},
    forgotten: () => {},
  });
  return { name, owner, told, waiting: [], isStopped: false };
}

function send(from: Bell, to: Bell): void {
  to.waiting.push(JSON.stringify(from.owner.beat()));
}

function meet(one: Bell, other: Bell): void {
  const peer = readPeer({
    kind: "hello",
    major: 1,
    minor: 0,
    node: other.name,
    session: other.name,
    position: { feed: `feed of ${other.name}`, seq: 0, commit: "" },
    cursor: null,
    feeds: [],
    state: JSON.parse(JSON.stringify(other.owner.beat())) as Json,
  });
  if (peer === null) throw new Error("its hello is not understood");
  one.owner.input({ kind: "opened", peer });
}

/** Hands over what waits for a node; gives how much that was. */
function deliver(to: Bell): number {
  const words = to.waiting.splice(0);
  for (const word of words) to.owner.input({ kind: "heard", beat: readBeat(JSON.parse(word)) });
  return words.length;
}

/** Time passes for both nodes, but not for one that stands still. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= TICK_MS) {
    nowMs += TICK_MS;
    for (const { owner } of running()) owner.input({ kind: "tick" });
    await settle();
  }
}

/** What is said is heard, and answered, in no time. */
async function settle(): Promise<void> {
  for (let rounds = 0; rounds < 10; rounds += 1) {
    await Promise.resolve();
    if (running().reduce((sum, each) => sum + deliver(each), 0) === 0) break;
  }
}

const running = () => bells.filter(({ isStopped }) => !isStopped);

const roles = () => bells.map(({ owner }) => owner.standing().role);

test("an active node that stood still acts on none of the words that waited for it, and yields to who replaced it", async () => {
  const [still, other] = bells;
  await pass(2 * TAKEOVER_MS);
  expect(roles()).toEqual(["active", "passive"]);
  still.isStopped = true;
  const before = still.told.length;
  await pass(TAKEOVER_MS - TICK_MS);
  expect(other.owner.standing().role).toBe("passive");
  const old = still.waiting.slice();
  expect(old.length).toBeGreaterThan(5);
  await pass(2 * TICK_MS);
  expect(other.owner.standing()).toMatchObject({ role: "active", why: "peer_silent" });
  // What of it arrived first: the other one was passive still.
  still.waiting.splice(0, still.waiting.length, ...old);
  still.isStopped = false;
  expect(deliver(still)).toBe(old.length);
  expect(still.owner.standing()).toMatchObject({ role: "active", serving: false, rings: false });
  await pass(TICK_MS);
  expect(roles()).toEqual(["passive", "active"]);
  expect(still.owner.standing()).toMatchObject({ why: "peer_outranks", serving: true });
  expect(still.told.slice(before).some(({ rings, primary }) => rings || primary)).toBe(false);
});

test("one that stood still and was not replaced goes on with the first word that answers its own", async () => {
  const [still] = bells;
  await pass(2 * TAKEOVER_MS);
  still.isStopped = true;
  await pass(TAKEOVER_MS - TICK_MS);
  still.isStopped = false;
  deliver(still);
  expect(still.owner.standing()).toMatchObject({ role: "active", serving: false, rings: false });
  await settle();
  expect(still.owner.standing()).toMatchObject({ role: "active", serving: true, rings: true });
  expect(roles()).toEqual(["active", "passive"]);
});

test("one that stood still and hears nobody goes on alone, but not before takeover_after", async () => {
  const [still, other] = bells;
  await pass(2 * TAKEOVER_MS);
  for (const each of bells) each.isStopped = true;
  nowMs += 10 * TAKEOVER_MS;
  expect(still.owner.standing()).toMatchObject({ serving: false, rings: false });
  still.isStopped = false;
  await pass(TAKEOVER_MS - TICK_MS);
  expect(still.owner.standing()).toMatchObject({ role: "active", serving: false, rings: false });
  await pass(TICK_MS);
  expect(still.owner.standing()).toMatchObject({ role: "active", serving: true, rings: true, alone: true });
  expect(other.isStopped).toBe(true);
});
