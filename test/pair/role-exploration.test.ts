// Two nodes, their disks and the network between them, over every small schedule of faults and many long ones: never
// two active nodes that know each other for longer than a message's way, always one within the bound, epochs only grow.
// Each rule is needed: with one place of the decisions changed, some schedule goes wrong.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as decisions from "../../src/pair/role.ts";
import * as rules from "../../src/pair/role-rules.ts";
import { exploreAll, exploreOne, play } from "./explore-roles.ts";
import { newWorld, type RoleCode, SEEDINGS, type World } from "./role-scene.ts";

const SOURCE = join(import.meta.dir, "..", "..", "src", "pair");
const PRODUCT: RoleCode = { ...decisions, ...rules };
// Two events take seconds, three take minutes: INBOXBELL_EXPLORE_ROLES=3 before a change of the rules is trusted.
const EVENTS = Number(process.env.INBOXBELL_EXPLORE_ROLES ?? 2);
const GAP = EVENTS > 2 ? 5 : 7;
const LONG_SCHEDULES = EVENTS > 2 ? 100_000 : 1500;
const LONG_STEPS = 120;
// A link whose ends give up a silent peer before it counts as gone, and one whose ends never do.
const DEADLINES = [4, 100] as const;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-roles-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A small generator of its own, so that a seed names a schedule. */
function generator(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A pair at work: both started together, one is active. */
function settled(code: RoleCode, deadline: number, seeding?: number): World {
  return play(code, newWorld([4, 4], deadline, seeding), ["0 start 0", "0 start 1"]);
}

/** A schedule of its own for each seed, from nothing on. */
function long(code: RoleCode, seed: number): ReturnType<typeof exploreOne> {
  const from = newWorld([seed % 3, seed % 5], DEADLINES[seed % 2], SEEDINGS[(seed >> 1) % 2]);
  return exploreOne(code, from, LONG_STEPS, generator(seed));
}

describe("the promises about roles hold", () => {
  for (const [at, deadline] of DEADLINES.entries()) {
    test(`in every schedule of ${EVENTS} events on a pair at work, silent links ending after ${deadline} ticks`, () => {
      const from = settled(PRODUCT, deadline, SEEDINGS[at]);
      expect(from.wrong).toBeNull();
      const { wrong, worlds } = exploreAll(PRODUCT, from, { events: EVENTS, gap: GAP });
      expect(wrong).toBeNull();
      expect(worlds).toBeGreaterThan(10_000);
    }, 3_600_000);
  }

  test("in every way of starting two nodes, with one event more", () => {
    for (const stored of [
      [4, 4],
      [4, 6],
      [6, 4],
    ] as const) {
      const seeding = SEEDINGS[stored[0] === stored[1] ? 0 : 1];
      const { wrong } = exploreAll(PRODUCT, newWorld(stored, undefined, seeding), {
        events: EVENTS,
        gap: GAP - 1,
      });
      expect(wrong).toBeNull();
      const first = play(PRODUCT, newWorld(stored), ["0 start 0"], 0);
      expect(exploreAll(PRODUCT, first, { events: EVENTS, gap: 3 }).wrong).toBeNull();
    }
  }, 3_600_000);

  test(`in ${LONG_SCHEDULES} long schedules`, () => {
    for (let seed = 1; seed <= LONG_SCHEDULES; seed += 1) {
      const wrong = long(PRODUCT, seed);
      expect(wrong === null ? "" : `${wrong.what} (seed ${seed}: ${wrong.events.join(" | ")})`).toBe("");
    }
  }, 3_600_000);
});

/** The decisions with one place changed. */
async function mutant(name: string, changes: readonly Change[]): Promise<RoleCode> {
  const copy = join(directory, name);
  mkdirSync(copy);
  for (const file of ["role.ts", "role-handover.ts", "role-rules.ts", "types.ts"]) {
    let text = readFileSync(join(SOURCE, file), "utf8");
    for (const [where, from, to] of changes) {
      if (where !== file) continue;
      expect(text.split(from).length, `the place to change is there once: ${from}`).toBe(2);
      text = text.replace(from, to);
    }
    writeFileSync(join(copy, file), text);
  }
  const imported = await Promise.all([import(join(copy, "role.ts")), import(join(copy, "role-rules.ts"))]);
  return { ...imported[0], ...imported[1] } as RoleCode;
}

/** What goes wrong first, searched for in schedules of growing length. */
function goesWrong(code: RoleCode): string | null {
  for (const deadline of DEADLINES) {
    const from = settled(code, deadline);
    if (from.wrong !== null) return from.wrong;
    const { wrong } = exploreAll(code, from, { events: 1, gap: 1 });
    if (wrong !== null) return wrong.what;
  }
  for (let seed = 1; seed <= 1500; seed += 1) {
    const wrong = long(code, seed);
    if (wrong !== null) return wrong.what;
  }
  return exploreAll(code, settled(code, 100), { events: 2, gap: 9 }).wrong?.what ?? null;
}

type Change = readonly [file: "role.ts" | "role-handover.ts" | "role-rules.ts", from: string, to: string];

const MUTANTS: readonly (readonly [what: string, ...changes: Change[]])[] = [
  [
    "the lower epoch stays",
    ["role-rules.ts", "return one.epoch > other.epoch;", "return one.epoch < other.epoch;"],
  ],
  [
    "epochs do not count",
    ["role-rules.ts", "if (one.epoch !== other.epoch) return one.epoch > other.epoch;", ""],
  ],
  [
    "names do not decide",
    ["role-rules.ts", "if (one.name !== other.name) return one.name > other.name;", ""],
    ["role-rules.ts", "return one.feed > other.feed;", "return false;"],
  ],
  [
    "with one epoch each gives way",
    ["role-rules.ts", "if (one.name !== other.name) return one.name > other.name;", "return true;"],
  ],
  [
    "a reseeding node goes first like any other",
    ["role-rules.ts", 'if (reseeds !== (other.seeding === "reseeding")) return !reseeds;', ""],
  ],
  [
    "an active node ignores one that goes before it",
    ["role.ts", 'draft.role === "active" && outranks(', "false && outranks("],
  ],
  ["a freeze is not noticed", ["role.ts", 'doubt(draft, "frozen");', ""]],
  [
    "the silence that was slept through counts",
    ["role-rules.ts", "if (isFrozen(state)) return null;", ""],
    [
      "role-rules.ts",
      "state.cannotCommitSince === null && !isFrozen(state)",
      "state.cannotCommitSince === null",
    ],
  ],
  [
    "any word ends a doubt, however old",
    ["role.ts", "input.beat?.heardMark === draft.mark", "input.beat !== null"],
  ],
  [
    "a hello ends a doubt",
    ["role.ts", "draft.wasLinked = true;", "draft.wasLinked = true; draft.doubt = null;"],
  ],
  ["a doubt has no end without the peer", ["role.ts", ">= draft.takeoverAfterMs;", ">= 1e12;"]],
  [
    "a frozen node serves",
    ["role-rules.ts", '(state.seeding !== "unseeded" && !isFrozen(state))', 'state.seeding !== "unseeded"'],
  ],
  [
    "a node acts before its epoch is durable",
    [
      "role.ts",
      '  outputs.push({ kind: "persist", epoch });',
      '  outputs.push({ kind: "persist", epoch });\n  draft.epoch = epoch;\n  if (become) becomeActive(draft, become, outputs);',
    ],
  ],
  ["a takeover raises no epoch", ["role.ts", "write(draft, known + 1, why", "write(draft, known, why"]],
  [
    "a takeover regards only the own epoch",
    ["role.ts", "Math.max(draft.epoch, draft.peer?.beat.epoch ?? 0, asked)", "Math.max(draft.epoch, asked)"],
  ],
  ["a passive node forgets its peer's epoch", ["role.ts", "write(draft, known, null, outputs);", ""]],
  [
    "a takeover that was asked of the disk happens even if the peer is back",
    ["role.ts", "draft.writing = { ...draft.writing, become: null };", ""],
    ["role.ts", "&& isReady(draft) && takeoverReason(draft) !== null", ""],
  ],
  [
    "what the disk has done while the node slept counts at once",
    ["role.ts", "&& isReady(draft) && takeoverReason(draft) !== null", ""],
  ],
  [
    "a broken disk is asked again at once",
    ["role.ts", 'if (input.kind !== "persisted" || input.ok) askForEpoch', "askForEpoch"],
  ],
  [
    "a passive node takes over as soon as the link closes",
    [
      "role-rules.ts",
      'state.link === "closed" && state.refused && state.wasLinked',
      'state.link === "closed"',
    ],
  ],
  [
    "silence is borne for ever",
    [
      "role-rules.ts",
      "return state.now - (state.heardAt ?? state.startedAt) >= state.takeoverAfterMs;",
      "return false;",
    ],
  ],
  [
    "silence is borne for a quarter of the time",
    [
      "role-rules.ts",
      "state.startedAt) >= state.takeoverAfterMs;",
      "state.startedAt) >= state.takeoverAfterMs / 4;",
    ],
  ],
  [
    "a passive node ignores that its peer yields",
    ["role-rules.ts", "return peer.beat.yielding;", "return null;"],
  ],
  [
    "an active peer is no reason to stay passive",
    ["role-rules.ts", "return peer.beat.yielding;", 'return "elected";'],
  ],
  [
    "the old active node is passive before the new one is active",
    [
      "role.ts",
      "      if (draft.handover?.since === input.since) draft.handover = { ...draft.handover, drained: true };",
      '      becomePassive(draft, "switched", outputs);',
    ],
  ],
  [
    "rings go on while a node hands over",
    ["role-rules.ts", "serving && state.handover === null &&", "serving &&"],
  ],
  [
    "the peer is told before rings have ended",
    ["role-handover.ts", 'const drained = why === "cannot_commit";', "const drained = true;"],
  ],
  [
    "what was yielded is rung again at once when it is taken back",
    ["role-handover.ts", 'doubt(draft, "took_back");', ""],
  ],
  [
    "a node without rows is ready",
    ["role-rules.ts", 'state.seeding !== "unseeded" && state.cannotCommitSince', "state.cannotCommitSince"],
  ],
  [
    "a node without rows serves",
    ["role-rules.ts", '(state.seeding !== "unseeded" && !isFrozen(state))', "!isFrozen(state)"],
  ],
  [
    "a node that cannot commit keeps its role",
    ["role-rules.ts", 'if (isCommitHopeless(state)) return "cannot_commit";', ""],
  ],
  [
    "a node whose rows are not complete keeps its role",
    ["role-rules.ts", 'if (state.seeding === "reseeding") return "reseeding";', ""],
  ],
  [
    "a node counts as seeded as soon as it has its peer's rows",
    ["role-rules.ts", 'if (peer.beat.role === "active" || !couldLead(peer)) return true;', "return true;"],
  ],
  [
    "it is handed over to a peer that cannot take over",
    [
      "role-rules.ts",
      ' && peer?.beat.role === "passive" && couldLead(peer);',
      ' && peer?.beat.role === "passive";',
    ],
    [
      "role-rules.ts",
      'return state.seeding !== "unseeded" && state.cannotCommitSince === null',
      "return true",
    ],
  ],
  [
    "a wish that is in vain is not answered",
    [
      "role-handover.ts",
      'if (peer === null) endWant(draft, "peer_silent", outputs);',
      "if (peer === null) return;",
    ],
  ],
  [
    "a wish is not passed on",
    ["role-rules.ts", "wants: state.wantsSince !== null,", "wants: false,"],
    ["role-handover.ts", 'endWant(draft, "not_taken", outputs);', ""],
  ],
  [
    "of two passive nodes none goes first",
    [
      "role-rules.ts",
      '!peer.beat.ready || hasWaited(state) || outranks(state, contender(peer)) ? "elected" : null',
      "null",
    ],
  ],
  [
    "a node is alone beside a peer that it hears",
    ["role-rules.ts", "return isSilent(state) || (", 'return state.role === "active" || ('],
  ],
  [
    "a node does not notice that it is alone",
    ["role-rules.ts", "return isSilent(state) || (state.link", "return (state.link"],
  ],
];

describe("some schedule goes wrong where", () => {
  for (const [what, ...changes] of MUTANTS) {
    test(what, async () => {
      const code = await mutant(what.replaceAll(/\W+/g, "-"), changes);
      expect(goesWrong(code)).not.toBeNull();
    }, 120_000);
  }
});

describe("of two empty nodes", () => {
  for (const first of [0, 1] as const) {
    test(`the one that is said to be the first is the first to be active (${["bell-a", "bell-b"][first]})`, () => {
      for (const seeding of SEEDINGS) {
        for (const more of ["0", "0 slow", `0 disk-slow ${first}`, `0 disk-slow ${1 - first}`]) {
          const begin = ["0 start-empty 0", "0 start-empty 1", more, "9", `0 first ${first}`];
          let world = play(PRODUCT, newWorld([0, 0], 100, seeding), begin, 0);
          for (let at = 0; at < 60; at += 1) {
            world = play(PRODUCT, world, ["1"], 0);
            expect([more, world.nodes[1 - first]?.state?.role]).toEqual([more, "passive"]);
          }
          expect(world.wrong).toBeNull();
          const states = world.nodes.map(({ state }) => [state?.role, state?.seeding]);
          expect(states[first]).toEqual(["active", "seeded"]);
          expect(states[1 - first]).toEqual(["passive", "seeded"]);
        }
      }
    });
  }
});

describe("without an active node, after the active one of a pair at work", () => {
  const from = settled(PRODUCT, 4);
  const lost = (event: string): number => {
    const active = from.nodes.findIndex(({ state }) => state?.role === "active");
    let steps = 0;
    const counted = play(PRODUCT, from, [`0 ${event} ${active}`], 0);
    for (let world = counted; steps < 20; steps += 1) {
      if (world.nodes[1 - active]?.state?.role === "active") break;
      world = play(PRODUCT, world, ["1"], 0);
    }
    return steps;
  };

  test("was killed there is one as soon as the connection's end has arrived", () => {
    expect(lost("kill")).toBeLessThanOrEqual(2);
  });

  test("lost its host there is one after takeover_after", () => {
    expect(lost("power-off")).toBeLessThanOrEqual(7);
  });
});
