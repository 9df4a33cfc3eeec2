// Two nodes of the compiled binary in namespaces of their own, HAProxy in front, Exchange posting and phones registering
// all the time, while a seed's faults break one thing after another: nothing that was acknowledged is lost.
// INBOXBELL_SEED plays another seed's faults.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { testBinary } from "../helpers.ts";
import { networkLacks } from "./pair/network.ts";
import { FAKETIME } from "./pair/node.ts";
import { ALL_KINDS, deck, type FaultKind } from "./pair/plan.ts";
import { createRandom } from "./pair/random.ts";
import { describePlayed, type PairRun, type Played, playPair } from "./pair/run.ts";

const SEED = Number(process.env.INBOXBELL_SEED ?? 20_240_601);
const LIMIT_MS = 420_000;
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
    const result = await playPair(RUN, LIMIT_MS);
    if (result.violations.length > 0) process.stderr.write(`${describePlayed(result)}\n`);
    expect(result.violations).toEqual([]);
    expect(result.counts?.puts).toBeGreaterThan(100);
    expect(result.counts?.notified).toBeGreaterThan(100);
    // Both words of the promise were put to the test.
    expect(result.counts?.pair).toBeGreaterThan(100);
    expect(result.counts?.node).toBeGreaterThan(20);
  },
  LIMIT_MS + 30_000,
);

const DEFECTS: readonly {
  readonly defect: string;
  readonly kinds: readonly FaultKind[];
  readonly faults: number;
  readonly finds: RegExp;
}[] = [
  {
    defect: "merge-nothing",
    kinds: ["kill"],
    faults: 1,
    finds: /is lost on|rows are on|did not come together/,
  },
  { defect: "ring-while-passive", kinds: ["switch"], faults: 1, finds: /while it was passive/ },
  {
    defect: "answer-without-peer",
    kinds: ["disk_lost"],
    faults: 3,
    finds: /answered OK|is lost|acknowledged|has returned/,
  },
];

// Side by side, and beside the run without a defect: most of their time is waiting.
let played: Promise<readonly Played[]> | null = null;
function defects(): Promise<readonly Played[]> {
  played ??= Promise.all(
    DEFECTS.map(({ defect, kinds, faults }) =>
      playPair({ ...RUN, defect, kinds, faults, patienceMs: 8_000 }, LIMIT_MS),
    ),
  );
  return played;
}

for (const [at, { defect, finds }] of DEFECTS.entries()) {
  test.skipIf(lacks !== null)(
    `a build with the defect ${defect} is found${needs}`,
    async () => {
      const found = (await defects())[at]?.violations ?? [];
      expect(found.join("\n")).toMatch(finds);
    },
    LIMIT_MS + 30_000,
  );
}
