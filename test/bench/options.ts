// What the command line asks for: which parts, how long, and where the result goes.
import { parseArgs } from "node:util";

export const PARTS = ["exchange", "memory", "rings", "outage", "pair"] as const;
export type PartName = (typeof PARTS)[number];

/** How much is measured. Times in milliseconds. */
export interface Scale {
  readonly registrations: number;
  /** Times each contender has its turn; the median counts. */
  readonly rounds: number;
  readonly turnMs: number;
  readonly latencyMs: number;
  /** Rings sent by each sender in one turn. */
  readonly rings: number;
  readonly ringRounds: number;
  /** From the moment that everything is owed to the providers' return. */
  readonly outageMs: number;
  /** How long the appliance is left alone before its memory is read. */
  readonly restMs: number;
  /** With which an empty node of a pair is filled. */
  readonly filled: number;
  /** Times that a pair loses its active node, for each way of losing it. */
  readonly trials: number;
}

const FULL: Scale = {
  registrations: 100_000,
  rounds: 5,
  turnMs: 3_000,
  latencyMs: 15_000,
  rings: 30_000,
  ringRounds: 3,
  outageMs: 60_000,
  restMs: 15_000,
  filled: 100_000,
  trials: 30,
};

// Shows that everything works; its figures are no measurement.
const QUICK: Scale = {
  registrations: 5_000,
  rounds: 1,
  turnMs: 1_000,
  latencyMs: 2_000,
  rings: 2_000,
  ringRounds: 1,
  outageMs: 2_000,
  restMs: 1_500,
  filled: 5_000,
  trials: 2,
};

export interface BenchOptions {
  readonly parts: readonly PartName[];
  readonly quick: boolean;
  readonly scale: Scale;
  readonly json: boolean;
  /** Puts the result into docs/benchmarks.md. */
  readonly write: boolean;
  /** The binary to measure, or null for the one just built. */
  readonly binary: string | null;
  readonly keep: boolean;
}

export const USAGE = `Usage: npm run bench [-- PART... OPTIONS]
Parts: ${PARTS.join(", ")}; all of them if none is named.
  --quick          a short run that shows that everything works; its figures are no measurement
  --outage SECONDS how long the providers stay away in the outage part (60)
  --fill COUNT     registrations with which the pair part fills an empty node (100000)
  --json           the result as JSON on standard output, progress on standard error
  --write          put the result into docs/benchmarks.md (all parts, not quick)
  --binary FILE    measure this binary instead of dist/inboxbell
  --keep           keep the working directory`;

/** @throws Error with a sentence for the user */
export function readOptions(args: readonly string[]): BenchOptions | "help" {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      outage: { type: "string" },
      fill: { type: "string" },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      binary: { type: "string" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const unknown = positionals.find((name) => !PARTS.some((part) => part === name));
  if (unknown !== undefined) throw new Error(`There is no part "${unknown}"; parts: ${PARTS.join(", ")}.`);
  const parts = PARTS.filter((part) => positionals.length === 0 || positionals.includes(part));
  if (values.write && (values.quick || parts.length < PARTS.length)) {
    throw new Error("--write takes the figures of a whole run: without --quick and with every part.");
  }
  const base = values.quick ? QUICK : FULL;
  return {
    parts,
    quick: values.quick,
    scale: {
      ...base,
      ...(values.outage === undefined ? {} : { outageMs: seconds(values.outage) * 1000 }),
      ...(values.fill === undefined ? {} : { filled: registrations(values.fill) }),
    },
    json: values.json,
    write: values.write,
    binary: values.binary ?? null,
    keep: values.keep,
  };
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 3600) {
    throw new Error(`--outage ${text}: expected whole seconds from 1 to 3600.`);
  }
  return value;
}

function registrations(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1_000 || value > 2_000_000) {
    throw new Error(`--fill ${text}: expected a number from 1000 to 2000000.`);
  }
  return value;
}
