// Plays an upgrade of a pair in a network of its own, and removes everything afterwards, however it ended.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freshDirectory, run } from "../../helpers.ts";
import { makeNetwork } from "./network.ts";
import type { Played } from "./run.ts";
import { resultFile } from "./scene.ts";

export interface Upgrade {
  readonly seed: number;
  /** `neighbour`: the two versions work together. `foreign`: they do not understand each other. */
  readonly kind: "neighbour" | "foreign";
  /** Executables. */
  readonly older: string;
  readonly newer: string;
}

export interface UpgradeOptions extends Upgrade {
  readonly directory: string;
  readonly network: string;
}

export interface Upgraded extends Played {
  /** What was looked at on the way, by name. */
  readonly seen: Readonly<Record<string, unknown>>;
}

export async function playUpgrade(upgrade: Upgrade, limitMs: number): Promise<Upgraded> {
  const directory = freshDirectory("upgrade");
  const network = makeNetwork();
  try {
    const input: UpgradeOptions = { ...upgrade, directory: directory.path, network: network.name };
    const command = [process.execPath, join(import.meta.dir, "upgrade-play.ts"), JSON.stringify(input)];
    const ended = await run(network.inside("clients", command), { limitMs });
    const file = resultFile(directory.path);
    if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as Upgraded;
    throw new Error(`the upgrade ended with ${ended.code}: ${ended.err.slice(-4_000)}`);
  } finally {
    network.remove();
    directory.remove();
  }
}
