// The order in which the fault tests break things: the same for the same seed, and nothing left out.
import { expect, test } from "bun:test";
import {
  ALL_KINDS,
  CLOCK_KINDS,
  deck,
  type Fault,
  type FaultKind,
  plan,
  takeoverWithinMs,
} from "../system/long/pair/plan.ts";
import { createRandom } from "../system/long/pair/random.ts";
import { createResting } from "../system/long/pair/resting.ts";

const SEEDS = Array.from({ length: 50 }, (_, n) => n);
// They strike the active or the passive node, as it is drawn; all others do both.
const DRAWN: readonly FaultKind[] = ["twice", "one_returns", "clock_cut"];

/** What tells a fault from the others of its deck. */
function shape(fault: Fault): string {
  if (fault.kind === "twice") return `twice ${fault.second}`;
  if (fault.kind === "cut") return `cut ${fault.from}`;
  return "who" in fault && !DRAWN.includes(fault.kind) ? `${fault.kind} ${fault.who}` : fault.kind;
}

function only<Kind extends FaultKind>(kind: Kind, faults: readonly Fault[]) {
  return faults.filter((fault): fault is Extract<Fault, { kind: Kind }> => fault.kind === kind);
}

test("a seed gives the same faults again, another one gives others", () => {
  const played = SEEDS.map((seed) => JSON.stringify(plan(createRandom(seed), 30, ALL_KINDS)));
  expect(SEEDS.map((seed) => JSON.stringify(plan(createRandom(seed), 30, ALL_KINDS)))).toEqual(played);
  expect(new Set(played).size).toBe(SEEDS.length);
});

test("every fault comes before any comes again", () => {
  for (const seed of SEEDS) {
    const { length } = deck(createRandom(seed));
    const steps = plan(createRandom(seed), 2 * length, ALL_KINDS);
    const shapes = (from: number) => steps.slice(from, from + length).map(({ fault }) => shape(fault));
    expect(shapes(0).sort()).toEqual(shapes(length).sort());
    expect(new Set(shapes(0)).size).toBe(length);
    expect(new Set(steps.map(({ fault }) => fault.kind)).size).toBe(ALL_KINDS.length);
  }
});

test("about half of the faults strike while both nodes wait for each other, a lost disk always", () => {
  const steps = SEEDS.flatMap((seed) => plan(createRandom(seed), deck(createRandom(seed)).length, ALL_KINDS));
  const waiting = steps.filter(({ waitsForProtection }) => waitsForProtection);
  expect(waiting.length / steps.length).toBeGreaterThan(0.45);
  expect(waiting.length / steps.length).toBeLessThan(0.6);
  const lost = steps.filter(({ fault }) => fault.kind === "disk_lost");
  expect(lost.every(({ waitsForProtection }) => waitsForProtection)).toBe(true);
});

test("somebody has to be active again soon after whatever leaves a node that can be", () => {
  expect(takeoverWithinMs({ kind: "kill", who: "active", forMs: 500 })).toBe(1_500);
  expect(takeoverWithinMs({ kind: "kill", who: "both", forMs: 500 })).toBeNull();
  expect(takeoverWithinMs({ kind: "freeze", who: "active", forMs: 5_000 })).toBe(4_500);
  expect(takeoverWithinMs({ kind: "isolate", who: "passive", forMs: 5_000 })).toBe(1_500);
  expect(takeoverWithinMs({ kind: "replaced", who: "active", times: 1 })).toBe(1_500);
  expect(takeoverWithinMs({ kind: "switch_kill", who: "active", afterMs: 100, forMs: 500 })).toBe(1_500);
  expect(takeoverWithinMs({ kind: "one_returns", who: "active", goneMs: 500, aloneMs: 5_000 })).toBe(4_500);
  const twice = { kind: "twice", first: "kill", who: "active", afterMs: 100, forMs: 5_000 } as const;
  expect(takeoverWithinMs({ ...twice, second: "kill_it" })).toBe(1_500);
  expect(takeoverWithinMs({ ...twice, second: "kill_other" })).toBe(4_500);
});

test("around a fault a third of the phones rest from its strike and a third from its end", () => {
  const names = Array.from({ length: 30 }, (_, n) => `mailbox-${n}`);
  const resting = createResting(() => names);
  resting.choose(createRandom(1));
  const { early, late } = resting;
  expect([early.length, late.length, new Set([...early, ...late]).size]).toEqual([10, 10, 20]);
  expect(names.filter(resting.has)).toEqual([]);
  resting.hush(early);
  expect(names.filter(resting.has).sort()).toEqual([...early].sort());
  resting.release();
  expect([names.filter(resting.has), resting.early]).toEqual([[], []]);
});

test("kinds that a machine cannot make are left out", () => {
  const kinds = new Set(plan(createRandom(1), 40, ["kill", "cut"]).map(({ fault }) => fault.kind));
  expect([...kinds].sort()).toEqual(["cut", "kill"]);
  expect(plan(createRandom(1), 40, [])).toEqual([]);
});

test("of two strikes, each of the first ones comes with each of the second ones in some deck", () => {
  const pairs = SEEDS.flatMap((seed) => {
    const twice = only("twice", deck(createRandom(seed)));
    expect(twice.map(({ first }) => first).sort()).toEqual(["kill", "replaced", "stale"]);
    expect(twice.map(({ second }) => second).sort()).toEqual(["cut", "kill_it", "kill_other"]);
    return twice.map(({ first, who, second }) => `${first} ${who} ${second}`);
  });
  expect(new Set(pairs).size).toBe(3 * 2 * 3);
});

test("disks are replaced once for one node and twice for the other one, whichever that is", () => {
  const replaced = SEEDS.map((seed) => only("replaced", deck(createRandom(seed))));
  for (const both of replaced) {
    expect(both.map(({ who }) => who)).toEqual(["active", "passive"]);
    expect(both.map(({ times }) => times).sort()).toEqual([1, 2]);
  }
  expect(new Set(replaced.map(([active]) => active?.times))).toEqual(new Set([1, 2]));
});

test("a node that returns alone is so for longer than it may take to become active", () => {
  for (const seed of SEEDS) {
    for (const fault of only("one_returns", deck(createRandom(seed)))) {
      expect(fault.aloneMs).toBeGreaterThan(takeoverWithinMs(fault) ?? Number.POSITIVE_INFINITY);
    }
  }
});

test("kinds that set a clock are known as such", () => {
  const faults = deck(createRandom(1));
  const setting: readonly FaultKind[] = faults.flatMap((fault) => ("seconds" in fault ? [fault.kind] : []));
  expect([...new Set(setting)].sort()).toEqual([...CLOCK_KINDS].sort());
});

test("freezes and cuts outlast a takeover, and a stall before a lost disk does not outlast alone_after", () => {
  for (const seed of SEEDS) {
    for (const fault of deck(createRandom(seed))) {
      if (fault.kind === "freeze" || fault.kind === "cut") expect(fault.forMs).toBeGreaterThan(3_000);
      if (fault.kind === "clock_cut") expect(fault.forMs).toBeGreaterThan(3_000);
      if (fault.kind === "twice" && fault.second !== "kill_it") expect(fault.forMs).toBeGreaterThan(3_000);
      if (fault.kind === "disk_lost") expect(fault.stallMs).toBeLessThan(2_000);
    }
  }
});
