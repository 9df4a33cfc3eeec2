// A pair under faults for any length: bun pair.ts [minutes] [seed]. One run after another, each with a new pair and the
// next seed; ends with 1 at the first one in which something was lost.
import { existsSync } from "node:fs";
import { testBinary } from "../system/helpers.ts";
import { networkLacks } from "../system/long/pair/network.ts";
import { FAKETIME } from "../system/long/pair/node.ts";
import { ALL_KINDS } from "../system/long/pair/plan.ts";
import { describePlayed, playPair } from "../system/long/pair/run.ts";

const DEFAULT_MINUTES = 30;
// A run is so long that what goes wrong slowly shows, and so short that its log can be read.
const RUN_SECONDS = 600;
const MANY = 10_000;
const ENDING_MS = 300_000;
const PHONES = 60;
const PATIENCE_MS = 90_000;

const [, , given = String(DEFAULT_MINUTES), firstSeed = String(Date.now() % 1_000_000)] = process.argv;
const minutes = Number(given);
const lacks = networkLacks() ?? (existsSync(FAKETIME) ? null : "libfaketime of the Debian package faketime");
if (!Number.isFinite(minutes) || minutes <= 0 || lacks !== null) {
  process.stderr.write(
    lacks === null ? "How many minutes? npm run soak -- pair 30\n" : `A pair under faults needs ${lacks}.\n`,
  );
  process.exit(2);
}
const until = performance.now() + minutes * 60_000;
let seed = Number(firstSeed);
process.stdout.write(`A pair under faults for ${minutes} minutes, from seed ${seed}.\n`);
while (performance.now() < until) {
  const seconds = Math.ceil(Math.min(RUN_SECONDS, (until - performance.now()) / 1000));
  const run = {
    seed,
    binary: testBinary,
    skip: 0,
    kinds: ALL_KINDS,
    phones: PHONES,
    seconds,
    patienceMs: PATIENCE_MS,
    defect: null,
  };
  const played = await playPair({ ...run, faults: MANY }, seconds * 1000 + ENDING_MS);
  if (played.violations.length > 0) {
    process.stdout.write(`${describePlayed(played)}\n`);
    process.exit(1);
  }
  for (const bound of played.unjudged) process.stdout.write(`not judged: ${bound}\n`);
  const faults = played.timeline.filter(({ what }) => what.includes("(active:")).length;
  process.stdout.write(`seed ${seed}: ${faults} faults, nothing lost. ${JSON.stringify(played.counts)}\n`);
  seed += 1;
}
