// The shell commands of the documents, run as they are written. What takes a package or systemd is run by the long tests
// (system/long/docs-commands*.test.ts); what cannot be run says why, in a marker that readers do not see: see
// docs-commands/blocks.ts.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, freshDirectory, run } from "../system/helpers.ts";
import { type Block, shellBlocks, strayCommands } from "./docs-commands/blocks.ts";
import type { PlayInput, PlayOutput } from "./docs-commands/play.ts";

const root = join(import.meta.dir, "..", "..");
const LIMIT_MS = 120_000;
// The shell is the first process there: it takes in those whose parents have ended.
const INIT = ["sh", "-c", '"$@"; exit $?', "init"];
const NAMESPACES = [
  "unshare",
  "--mount",
  "--net",
  "--pid",
  "--fork",
  "--kill-child",
  "--mount-proc",
  ...INIT,
];

interface Page {
  readonly name: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

const documents = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
const pages: readonly Page[] = ["README.md", ...documents.map((name) => join("docs", name)).sort()].map(
  (name) => {
    const text = readFileSync(join(root, name), "utf8");
    return { name, text, blocks: shellBlocks(text) };
  },
);
const isRun = ({ marker }: Block) => marker?.kind === "run";

/** Why commands cannot be run here, or null. */
function playLacks(): string | null {
  if (process.getuid?.() !== 0) return "root";
  for (const program of ["unshare", "script", "ip", "curl", "openssl"]) {
    if (Bun.which(program) === null) return program;
  }
  return Bun.spawnSync([...NAMESPACES, "true"]).exitCode === 0 ? null : "namespaces";
}
const lacks = playLacks();
const needs = lacks === null ? "" : ` (needs ${lacks})`;

async function play(blocks: readonly Block[]): Promise<PlayOutput> {
  const directory = freshDirectory("page");
  try {
    const input: PlayInput = { blocks: blocks.map(({ text }) => text), scratch: directory.path };
    const file = join(directory.path, "input");
    writeFileSync(file, JSON.stringify(input));
    const script = join(import.meta.dir, "docs-commands", "play.ts");
    const ended = await run([...NAMESPACES, process.execPath, script, file], {
      env: { INBOXBELL_BINARY: binary },
      limitMs: LIMIT_MS,
    });
    if (ended.code !== 0)
      throw new Error(`the page was not played: ${ended.code} ${ended.err.slice(-3_000)}`);
    return JSON.parse(readFileSync(`${file}.result`, "utf8")) as PlayOutput;
  } finally {
    directory.remove();
  }
}

describe("shell commands of the documents", () => {
  test("each block says whether it is run: <!-- run -->, <!-- run: exits 1 -->, <!-- run on a booted machine --> or <!-- not run: why --> above it", () => {
    const unmarked = pages.flatMap(({ name, blocks }) =>
      blocks.filter(({ marker }) => marker === null).map(({ line }) => `${name}:${line}`),
    );
    expect(unmarked).toEqual([]);
  });

  const all = pages.flatMap(({ blocks }) => blocks);
  const here = all.filter(isRun).length;
  const booted = all.filter(({ marker }) => marker?.kind === "booted").length;
  test(`nearly all blocks are run: ${here} here and ${booted} on a booted machine, of ${all.length}`, () => {
    expect(here + booted).toBeGreaterThan(all.length * 0.75);
  });

  test("stand in blocks that say what they are", () => {
    const stray = pages.flatMap(({ name, text }) => strayCommands(text).map((line) => `${name}: ${line}`));
    expect(stray).toEqual([]);
  });

  for (const { name, blocks } of pages.filter((page) => page.blocks.some(isRun))) {
    test.skipIf(lacks !== null)(
      `those of ${name} end as they say${needs}`,
      async () => {
        const chosen = blocks.filter(isRun);
        const { blocks: played, terminal, log } = await play(chosen);
        const wrong = chosen.flatMap(({ line, marker }, at) => {
          const expected = marker?.kind === "run" ? marker.exitCode : 0;
          const { exitCode, failures } = played[at] ?? { exitCode: -1, failures: [] };
          const asSaid = exitCode === expected && (expected !== 0 || failures.length === 0);
          return asSaid ? [] : [`${name}:${line} ended with ${exitCode}: ${failures.join("; ")}`];
        });
        if (wrong.length > 0) process.stderr.write(`${terminal}\n${log.slice(-4_000)}\n`);
        expect(wrong).toEqual([]);
      },
      LIMIT_MS + 10_000,
    );
  }
});
