// Two nodes of the compiled binary in namespaces of their own, HAProxy in front, Exchange posting and phones registering
// all the time, while a seed's faults break one thing after another: nothing that was acknowledged is lost.
// INBOXBELL_SEED plays another seed's faults.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { testBinary } from "../helpers.ts";
import { networkLacks } from "./pair/network.ts";
import { FAKETIME } from "./pair/node.ts";
import { ALL_KINDS, deck, type Fault, type FaultKind, type Step } from "./pair/plan.ts";
import { createRandom } from "./pair/random.ts";
import { describePlayed, type PairRun, type Played, playPair } from "./pair/run.ts";

const SEED = Number(process.env.INBOXBELL_SEED ?? 20_240_601);
const LIMIT_MS = 420_000;
// What a defect has lost does not come.
const DEFECT_PATIENCE_MS = 6_000;
const lacks = networkLacks() ?? (existsSync(FAKETIME) ? null : "libfaketime of the Debian package faketime");
const needs = lacks === null ? "" : ` (needs ${lacks})`;

const RUN: PairRun = {
  seed: SEED,
  binary: testBinary,
  faults: deck(createRandom(SEED)).length,
  skip: 0,
  kinds: ALL_KINDS,
  phones: 30,
  seconds: null,
  patienceMs: 90_000,
  defect: null,
};

test.skipIf(lacks !== null)(
  `nothing that was acknowledged is lost, whatever happens to one node at a time${needs}`,
  async () => {
    // Whoever waits for them is told of an error.
    defects().catch(() => {});
    const half = Math.ceil(RUN.faults / 2);
    const halves = await Promise.all([
      playPair({ ...RUN, faults: half }, LIMIT_MS),
      playPair({ ...RUN, skip: half }, LIMIT_MS),
    ]);
    for (const result of halves) {
      if (result.violations.length > 0) process.stderr.write(`${describePlayed(result)}\n`);
      for (const bound of result.unjudged) process.stderr.write(`not judged: ${bound}\n`);
    }
    for (const result of halves) {
      expect(result.violations).toEqual([]);
      expect(result.counts?.puts).toBeGreaterThan(100);
      expect(result.counts?.notified).toBeGreaterThan(100);
      // Both words of the promise were put to the test.
      expect(result.counts?.pair).toBeGreaterThan(100);
      expect(result.counts?.node).toBeGreaterThan(20);
    }
  },
  LIMIT_MS + 30_000,
);

const protectedStep = (fault: Fault): Step => ({ fault, waitsForProtection: true, beforeMs: 800 });
const stepOf = (fault: Fault): Step => ({ fault, waitsForProtection: false, beforeMs: 800 });

const DEFECTS: readonly {
  /** Defects of one build, and by what each is found: none of them shows in what another one does. */
  readonly finds: Readonly<Record<string, RegExp>>;
  readonly kinds?: readonly FaultKind[];
  readonly faults?: number;
  readonly order?: readonly Step[];
}[] = [
  {
    finds: { "merge-nothing": /is lost on|rows are only on|did not come together/ },
    kinds: ["kill"],
    faults: 1,
  },
  { finds: { "ring-while-passive": /while it was passive/ }, kinds: ["switch"], faults: 1 },
  {
    finds: {
      "answer-without-peer": /after disk_lost .*(answered OK|is lost|acknowledged|has returned)/,
      "freeze-unnoticed": /right after it was frozen/,
    },
    order: [
      protectedStep({ kind: "disk_lost", who: "active", stallMs: 1_000 }),
      // What comes afterwards, under traffic, covers the loss: it is found in time or never.
      stepOf({ kind: "kill", who: "passive", forMs: 1_500 }),
      stepOf({ kind: "switch", times: 1 }),
      stepOf({ kind: "freeze", who: "active", forMs: 4_000 }),
      stepOf({ kind: "freeze", who: "active", forMs: 4_000 }),
    ],
  },
  {
    finds: {
      "no-drain": /rings were doubled while roles were switched/,
      "end-while-alone": /live subscription .* was unsubscribed/,
    },
    order: [
      stepOf({ kind: "switch", times: 2 }),
      // Long enough for a phone to get another token on one node, and for the other one to hear of the old one's end.
      // Exchange is told once both wait for each other again: nothing is broken until then.
      stepOf({ kind: "cut", from: "both", forMs: 14_000 }),
    ],
  },
];

// One after the other, beside the runs without a defect: most of their time is waiting.
let played: Promise<readonly Played[]> | null = null;
function defects(): Promise<readonly Played[]> {
  played ??= (async () => {
    const all: Played[] = [];
    for (const { finds, kinds = [], faults = 0, order } of DEFECTS) {
      const run = { ...RUN, kinds, faults, ...(order === undefined ? {} : { order }) };
      const defect = Object.keys(finds).join();
      all.push(await playPair({ ...run, defect, patienceMs: DEFECT_PATIENCE_MS }, LIMIT_MS));
    }
    return all;
  })();
  return played;
}

for (const [at, { finds }] of DEFECTS.entries()) {
  for (const [defect, words] of Object.entries(finds)) {
    test.skipIf(lacks !== null)(
      `a build with the defect ${defect} is found${needs}`,
      async () => {
        const found = (await defects())[at]?.violations ?? [];
        expect(found.join("\n")).toMatch(words);
      },
      LIMIT_MS + 30_000,
    );
  }
}
