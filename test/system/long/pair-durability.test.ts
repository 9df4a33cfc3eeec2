// A notification is on the disks of both nodes before Exchange is answered, as a trace of their system calls shows; and
// the trace would show it if it were not.
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freshDirectory, run, testBinary } from "../helpers.ts";
import { NODES, type NodeName } from "./pair/evidence.ts";
import { makeNetwork, networkLacks } from "./pair/network.ts";
import { resultFile } from "./pair/scene.ts";
import type { Traced, TraceOptions } from "./pair/trace.ts";

const LIMIT_MS = 120_000;
const lacks = networkLacks() ?? (Bun.which("strace") === null ? "strace" : null);
const needs = lacks === null ? "" : ` (needs ${lacks})`;
const endings: (() => void)[] = [];

afterEach(() => {
  for (const end of endings.splice(0).reverse()) end();
});

async function trace(careless: NodeName | null): Promise<Traced> {
  const directory = freshDirectory("trace");
  endings.push(() => directory.remove());
  const network = makeNetwork();
  endings.push(() => network.remove());
  const options: TraceOptions = {
    directory: directory.path,
    network: network.name,
    binary: testBinary,
    careless,
  };
  const program = [process.execPath, join(import.meta.dir, "pair", "trace.ts"), JSON.stringify(options)];
  const ended = await run(network.inside("clients", program), { limitMs: LIMIT_MS });
  const file = resultFile(directory.path);
  if (!existsSync(file)) throw new Error(`the program ended with ${ended.code}: ${ended.err}`);
  return JSON.parse(readFileSync(file, "utf8")) as Traced;
}

describe("a notification at a pair", () => {
  test.skipIf(lacks !== null)(
    `is synced into the WAL of both nodes before Exchange is answered${needs}`,
    async () => {
      const { syncs } = await trace(null);
      for (const node of NODES) expect(syncs[node].length).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );

  for (const careless of NODES) {
    test.skipIf(lacks !== null)(
      `would not be on ${careless} without synchronous=FULL there, and the trace shows that${needs}`,
      async () => {
        const { syncs } = await trace(careless);
        expect(syncs[careless]).toEqual([]);
      },
      LIMIT_MS,
    );
  }
});
