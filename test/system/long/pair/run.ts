// Plays a pair under faults in a network of its own, and removes everything afterwards, however it ended.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freshDirectory, run } from "../../helpers.ts";
import type { Finding } from "./checker.ts";
import type { NodeName } from "./evidence.ts";
import type { TimelineEntry } from "./ledger.ts";
import { makeNetwork } from "./network.ts";
import type { FaultKind, Step } from "./plan.ts";
import { resultFile } from "./scene.ts";

export interface PairRun {
  readonly seed: number;
  readonly binary: string;
  /** How many faults, from the beginning of the seed's order; `skip` leaves out the first of them. */
  readonly faults: number;
  readonly skip: number;
  readonly kinds: readonly FaultKind[];
  /** These instead of the seed's. */
  readonly order?: readonly Step[];
  readonly phones: number;
  /** No fault begins after so long; null: all of them. */
  readonly seconds: number | null;
  /** How long everything may take to become quiet at the end, milliseconds. */
  readonly patienceMs: number;
  /** A known defect of the build with test hooks. */
  readonly defect: string | null;
}

export interface PlayOptions extends PairRun {
  readonly directory: string;
  /** Name of the network. */
  readonly network: string;
}

export interface Played {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Bounds that could not be judged, and why. */
  readonly unjudged: readonly string[];
  /** Null if the run could not be ended. */
  readonly counts: Finding["counts"] | null;
  readonly timeline: readonly TimelineEntry[];
  /** The last log lines of each node. */
  readonly logs: Readonly<Record<NodeName, readonly string[]>>;
}

export async function playPair(options: PairRun, limitMs: number): Promise<Played> {
  const directory = freshDirectory("pair");
  const network = makeNetwork();
  try {
    const input: PlayOptions = { ...options, directory: directory.path, network: network.name };
    const command = [process.execPath, join(import.meta.dir, "play.ts"), JSON.stringify(input)];
    const ended = await run(network.inside("clients", command), { limitMs });
    const file = resultFile(directory.path);
    if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as Played;
    const words = `the run ended with ${ended.code}: ${ended.err.slice(-4_000)}`;
    return {
      seed: options.seed,
      violations: [words],
      unjudged: [],
      counts: null,
      timeline: [],
      logs: { "bell-a": [], "bell-b": [] },
    };
  } finally {
    network.remove();
    directory.remove();
  }
}

/** What somebody who looks into a failure needs. */
export function describePlayed({ seed, violations, unjudged, counts, timeline, logs }: Played): string {
  return [
    `seed ${seed}`,
    ...violations.map((violation) => `BROKEN: ${violation}`),
    ...unjudged.map((bound) => `not judged: ${bound}`),
    ...timeline.map(({ atMs, what }) => `${(atMs / 1000).toFixed(1).padStart(7)} s  ${what}`),
    JSON.stringify(counts),
    ...Object.entries(logs).flatMap(([node, lines]) => lines.map((line) => `${node}: ${line}`)),
  ].join("\n");
}
