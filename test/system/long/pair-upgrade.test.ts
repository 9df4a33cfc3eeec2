// A pair is upgraded node by node while Exchange posts and phones register: between two versions of which the newer has
// columns, words and a protocol's minor that the older lacks; back again; and between two that do not understand each other.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { binary, freshDirectory } from "../helpers.ts";
import { buildVersion, FOREIGN, NEWER } from "./pair/neighbours.ts";
import { networkLacks } from "./pair/network.ts";
import { describePlayed } from "./pair/run.ts";
import { playUpgrade, type Upgraded } from "./pair/upgrade.ts";

const SEED = Number(process.env.INBOXBELL_SEED ?? 20_250_301);
const LIMIT_MS = 400_000;
const lacks = networkLacks() ?? (Bun.which("curl") === null ? "curl" : null);
const needs = lacks === null ? "" : ` (needs ${lacks})`;

let directory: ReturnType<typeof freshDirectory>;
beforeAll(() => {
  directory = freshDirectory("versions");
});
afterAll(() => directory.remove());

function unbroken(played: Upgraded): void {
  if (played.violations.length > 0 || played.seen.broken !== undefined) {
    process.stderr.write(`${describePlayed(played)}\n${String(played.seen.broken)}\n`);
  }
  expect([played.violations, played.seen.broken]).toEqual([[], undefined]);
  expect(played.counts?.puts).toBeGreaterThan(50);
  expect(played.counts?.notified).toBeGreaterThan(100);
}

describe.skipIf(lacks !== null)(`between neighbouring versions${needs}`, () => {
  let played: Upgraded;
  beforeAll(async () => {
    const newer = await buildVersion(directory.path, "0.1.90", NEWER);
    played = await playUpgrade({ seed: SEED, kind: "neighbour", older: binary, newer }, LIMIT_MS);
  }, LIMIT_MS + 200_000);

  test("an upgrade loses nothing, doubles no ring and fails no request", () => {
    unbroken(played);
    expect(played.counts).toMatchObject({ failures: 0, dropped: 0 });
    // At the start and by the switch: nothing else changed the roles.
    expect(played.seen.takeovers).toEqual([1, 1]);
    expect(played.counts?.pair).toBeGreaterThan(100);
    expect(played.counts?.node).toBeGreaterThan(10);
  });

  test("what only the newer version knows is on both nodes once both have it", () => {
    const [one, two] = played.seen.columns as readonly [readonly unknown[][], readonly unknown[][]];
    expect(one).toEqual(two);
    const [shades, weights] = one as unknown as readonly [
      readonly { readonly shade: string | null }[],
      readonly { readonly weight: number }[],
    ];
    expect(shades.filter(({ shade }) => shade === "light").length).toBeGreaterThan(10);
    expect(weights.filter(({ weight }) => weight === 7).length).toBeGreaterThan(10);
  });

  test("the older version refuses the newer one's database, and is filled by the other node without it", () => {
    const { code, said } = played.seen.refused as { readonly code: unknown; readonly said: string };
    expect(code).toBe(1);
    expect(said).toContain("store_newer_schema");
  });

  test("both go back with the backup from before", () => {
    const { first, second, kept } = played.seen.back as {
      readonly first: readonly string[];
      readonly second: readonly string[];
      readonly kept: number;
    };
    expect(first).toEqual(second);
    const early = [...new Set(played.seen.early as readonly string[])];
    expect(early.length).toBeGreaterThan(10);
    const rows = first.join("\n");
    expect(early.filter((id) => !rows.includes(`registration id=${id} `))).toEqual([]);
    expect(kept).toBeGreaterThan(0);
  });
});

describe.skipIf(lacks !== null)(`between versions that do not understand each other${needs}`, () => {
  let played: Upgraded;
  beforeAll(async () => {
    const newer = await buildVersion(directory.path, "0.2.0", FOREIGN);
    played = await playUpgrade({ seed: SEED, kind: "foreign", older: binary, newer }, LIMIT_MS);
  }, LIMIT_MS + 200_000);

  test("each goes on alone and says so, and nothing is lost once both have the newer one", () => {
    unbroken(played);
    const words = played.seen.words as readonly unknown[];
    // Nothing rests on the other node; what has ended meanwhile (none is told so) rests on nothing.
    expect(words.filter((word) => word === "node").length).toBeGreaterThan(5);
    expect(words).not.toContain("pair");
  });

  for (const [who, theirs, own] of [
    ["newer", "1.0", "2.0"],
    ["older", "2.0", "1.0"],
  ] as const) {
    test(`the ${who} one says why, in its log, its status and its metrics`, () => {
      const { code, out, log, metrics } = played.seen[who] as Readonly<Record<string, string | number>>;
      const why = `speaks version ${theirs} of the link's protocol, this node ${own}: one of the two has to be updated`;
      expect(log).toContain(why);
      expect(out).toContain(why);
      expect(code).toBe(1);
      for (const line of ["pair_connected 0", "pair_protected 0", "pair_role 1"]) {
        expect(metrics).toContain(`inboxbell_${line}\n`);
      }
    });
  }
});
