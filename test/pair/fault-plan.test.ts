// The order in which the fault tests break things: the same for the same seed, and nothing left out.
import { expect, test } from "bun:test";
import { ALL_KINDS, deck, plan } from "../system/long/pair/plan.ts";
import { createRandom } from "../system/long/pair/random.ts";

const SEEDS = Array.from({ length: 50 }, (_, n) => n);

test("a seed gives the same faults again, another one gives others", () => {
  const played = SEEDS.map((seed) => JSON.stringify(plan(createRandom(seed), 30, ALL_KINDS)));
  expect(SEEDS.map((seed) => JSON.stringify(plan(createRandom(seed), 30, ALL_KINDS)))).toEqual(played);
  expect(new Set(played).size).toBe(SEEDS.length);
});

test("every fault comes before any comes again", () => {
  for (const seed of SEEDS) {
    const { length } = deck(createRandom(seed));
    const steps = plan(createRandom(seed), 2 * length, ALL_KINDS);
    const shape = (from: number) =>
      steps.slice(from, from + length).map(({ fault }) => `${fault.kind} ${"who" in fault ? fault.who : ""}`);
    expect(shape(0).sort()).toEqual(shape(length).sort());
    expect(new Set(steps.map(({ fault }) => fault.kind)).size).toBe(ALL_KINDS.length);
  }
});

test("kinds that a machine cannot make are left out", () => {
  const kinds = new Set(plan(createRandom(1), 40, ["kill", "cut"]).map(({ fault }) => fault.kind));
  expect([...kinds].sort()).toEqual(["cut", "kill"]);
  expect(plan(createRandom(1), 40, [])).toEqual([]);
});

test("freezes and cuts outlast a takeover, and a stall before a lost disk does not outlast alone_after", () => {
  for (const seed of SEEDS) {
    for (const fault of deck(createRandom(seed))) {
      if (fault.kind === "freeze" || fault.kind === "cut") expect(fault.forMs).toBeGreaterThan(3_000);
      if (fault.kind === "disk_lost") expect(fault.stallMs).toBeLessThan(2_000);
    }
  }
});
