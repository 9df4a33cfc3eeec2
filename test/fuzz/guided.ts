// Coverage-guided fuzzing on Node.js: what reaches code that no input reached before is kept and changed further. V8's
// own precise coverage tells; it is asked once for a batch, since asking costs more than a run. Started by
// scripts/fuzz.mjs with a JSON of RunOptions, after the targets were bundled for Node.js.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { countCoverage } from "./coverage.ts";
import { minimise } from "./minimise.ts";
import { mutate, seededPick, swell } from "./mutate.ts";
import { readingMs, type Target } from "./target.ts";

interface RunOptions {
  /** The bundle that exports TARGETS. */
  readonly bundle: string;
  readonly samples: string;
  readonly corpus: string;
  /** Where crashes go, and the inputs of the moment, for the case that one of them never ends. */
  readonly out: string;
  /** For each target. */
  readonly seconds: number;
  readonly seed: string;
}

const BATCH = 16;
// So many batches to one look at the times.
const TIMED = 20;
const COVERAGE_COSTS = 3;
// No input is so short that it has to be quicker.
const LEAST_MS = 20;
const MOST_CRASHES = 20;

const options = JSON.parse(process.argv[2] ?? "") as RunOptions;
const takeCoverage = countCoverage(options.bundle);
const nameOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

class Fuzzing {
  readonly crashes = new Map<string, Buffer>();
  runs = 0;
  private readonly target: Target;

  constructor(target: Target) {
    this.target = target;
  }

  /** Runs an input; what its target said of it, and a crash is noted. */
  run(bytes: Buffer): readonly string[] {
    this.runs += 1;
    try {
      return this.target.run(bytes);
    } catch (error) {
      this.crash(error instanceof Error ? `${error.name}: ${error.message}` : String(error), bytes);
      return [];
    }
  }

  /** Whether reading takes longer than it may, with coverage counted. */
  private checkTime(bytes: Buffer): void {
    const { most } = this.target;
    const mayMs = COVERAGE_COSTS * Math.max(LEAST_MS, (most.ms * bytes.length) / most.bytes);
    if (readingMs(this.target, bytes, 1) > mayMs && readingMs(this.target, bytes) > mayMs) {
      this.crash(`more than ${mayMs.toFixed(0)} ms for ${bytes.length} bytes`, bytes);
    }
  }

  private crash(what: string, bytes: Buffer): void {
    const known = this.crashes.get(what);
    if (known !== undefined && known.length <= bytes.length) return;
    this.crashes.set(what, bytes);
    writeFileSync(join(options.out, `crash-${this.target.name}-${nameOf(Buffer.from(what))}`), bytes);
    if (known === undefined) process.stdout.write(`${this.target.name}: ${what}\n`);
  }

  /** Everything that one input reaches. */
  reach(bytes: Buffer): readonly string[] {
    takeCoverage();
    const words = this.run(bytes);
    return [...takeCoverage(), ...words];
  }

  /** The inputs that reach anything new, in the end. */
  search(seeds: readonly Buffer[]): Buffer[] {
    const seen = new Set<string>();
    const kept: Buffer[] = [];
    const keepIfNew = (bytes: Buffer) => {
      const fresh = this.reach(bytes).filter((feature) => !seen.has(feature));
      if (fresh.length > 0) kept.push(bytes);
      for (const feature of fresh) seen.add(feature);
    };
    for (const seed of seeds) keepIfNew(seed);
    const pick = seededPick(`${options.seed} ${this.target.name}`);
    const endsAt = performance.now() + options.seconds * 1000;
    for (let round = 0; performance.now() < endsAt && this.crashes.size < MOST_CRASHES; round += 1) {
      const batch = Array.from({ length: BATCH }, () =>
        mutate(kept, this.target.words, this.target.mostBytes, pick),
      );
      writeFileSync(
        join(options.out, "running.json"),
        JSON.stringify(batch.map((bytes) => bytes.toString("base64"))),
      );
      takeCoverage();
      const words = batch.map((bytes) => this.run(bytes));
      const isNewCode = takeCoverage().some((feature) => !seen.has(feature));
      const [first] = batch;
      if (round % TIMED === 0 && first !== undefined) {
        this.checkTime(first);
        this.checkTime(swell(first, this.target.most.bytes, pick));
      }
      for (const [n, bytes] of batch.entries()) {
        if (isNewCode || words[n]?.some((word) => !seen.has(word)) === true) keepIfNew(bytes);
      }
    }
    process.stdout.write(
      `${this.target.name}: ${this.runs} runs, ${seen.size} places and words, ${kept.length} inputs\n`,
    );
    return kept;
  }
}

const filesOf = (directory: string, name: RegExp) =>
  readdirSync(directory)
    .filter((file) => name.test(file))
    .map((file) => readFileSync(join(directory, file)));

const { TARGETS } = (await import(options.bundle)) as { TARGETS: readonly Target[] };
let crashes = 0;
for (const target of TARGETS) {
  const folder = join(options.corpus, target.name);
  mkdirSync(folder, { recursive: true });
  const fuzzing = new Fuzzing(target);
  const seeds = [
    ...filesOf(folder, /\.bin$/),
    ...filesOf(options.samples, target.samples),
    ...target.examples.map((text) => Buffer.from(text, "latin1")),
  ];
  const found = fuzzing.search(seeds.filter(({ length }) => length <= target.mostBytes));
  const kept = minimise(found, (bytes) => fuzzing.reach(bytes));
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  for (const bytes of kept) writeFileSync(join(folder, `${nameOf(bytes)}.bin`), bytes);
  process.stdout.write(`${target.name}: ${kept.length} files, ${fuzzing.crashes.size} crashes\n`);
  crashes += fuzzing.crashes.size;
}
rmSync(join(options.out, "running.json"), { force: true });
process.exitCode = crashes === 0 ? 0 : 1;
