// How long a pair is without an active node when it loses it, in three ways: in network namespaces, with the compiled
// binary, asked for its role fifty times a second.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freshDirectory, run } from "../system/helpers.ts";
import { makeNetwork, networkLacks } from "../system/long/pair/network.ts";
import { resultFile } from "../system/long/pair/scene.ts";
import type { Gaps, TrialsOptions } from "../system/long/pair/trials.ts";

// Far longer than a trial takes with its way back, milliseconds.
const TRIAL_LIMIT_MS = 60_000;
const PROGRAM = join(import.meta.dir, "..", "system", "long", "pair", "trials.ts");

/** @throws if this machine cannot make the namespaces, or if a pair did not come together again */
export async function measureGaps(binary: string, trials: number): Promise<Gaps> {
  const lacks = networkLacks();
  if (lacks !== null) throw new Error(`a pair in network namespaces needs ${lacks}.`);
  const directory = freshDirectory("trials");
  const network = makeNetwork();
  try {
    const options: TrialsOptions = {
      directory: directory.path,
      network: network.name,
      binary,
      trials,
      seed: 1,
    };
    // The benchmark keeps to one core; a pair of hosts does not.
    const command = ["taskset", "-c", "0,1", process.execPath, PROGRAM, JSON.stringify(options)];
    const ended = await run(network.inside("clients", command), {
      limitMs: (3 * trials + 2) * TRIAL_LIMIT_MS,
    });
    const file = resultFile(directory.path);
    if (!existsSync(file)) throw new Error(`the trials ended with ${ended.code}: ${ended.err.slice(-2_000)}`);
    return JSON.parse(readFileSync(file, "utf8")) as Gaps;
  } finally {
    network.remove();
    directory.remove();
  }
}
