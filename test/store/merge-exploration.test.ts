// Whatever happens to two databases that share their rows, the phone ends with the newest badge that Exchange was told
// OK for, no deletion is undone, and both say the same. Each rule is needed: without it some schedule goes wrong.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createStore } from "../../src/store/sqlite-store.ts";
import { explore, type Habits, type StoreCode } from "./explore.ts";

const ROOT = join(import.meta.dir, "..", "..");
// A rule that is needed shows within a few dozen schedules, most within ten.
const MOST_TRIES = 400;
const SEEDS = Number(process.env.INBOXBELL_EXPLORE ?? 120);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-mutants-"));
  symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test(`the rules hold over ${SEEDS} random schedules`, async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { wrong, log } = await explore({ createStore }, seed);
    expect(wrong, `seed ${seed}: ${log.join(" | ")}`).toBeNull();
  }
}, 3_600_000);

/** The store's code with one place changed. */
async function mutant(
  name: string,
  changes: readonly (readonly [file: string, from: string, to: string])[],
): Promise<StoreCode> {
  const copy = join(directory, name);
  cpSync(join(ROOT, "src"), join(copy, "src"), { recursive: true });
  for (const [file, from, to] of changes) {
    const path = join(copy, "src", "store", file);
    const text = readFileSync(path, "utf8");
    expect(text, "the place to change is there").toContain(from);
    writeFileSync(path, text.replace(from, to));
  }
  return (await import(join(copy, "src", "store", "sqlite-store.ts"))) as StoreCode;
}

// So rare that random schedules would take long to meet them: found by exploring a model of the rules.
const RARE = [
  "badge b | cut | ring b | heal | cut | badge a | begin a | end a | restore a",
  "snap a | badge b | ring a | badge b | ring a | cut | badge a | ring a | restore a | heal | switch",
  "badge a | cut | begin a | badge b | ring b | end a | heal | lose a | tidy a | tidy b",
].map((text) => text.split(" | "));

test.each(RARE)("the rules hold where it is hard for them: %s", async (...steps) => {
  const { wrong, log } = await explore({ createStore }, steps);
  expect(wrong, log.join(" | ")).toBeNull();
});

async function goesWrong(code: StoreCode, habits?: Habits): Promise<string | null> {
  const seeds = Array.from({ length: MOST_TRIES }, (_, at) => at + 1);
  for (const schedule of [...RARE, ...seeds]) {
    const { wrong } = await explore(code, schedule, habits);
    if (wrong !== null) return wrong;
  }
  return null;
}

describe("some schedule goes wrong where", () => {
  test("a restored database goes on under its old feed", async () => {
    expect(await goesWrong({ createStore }, { newFeed: false })).not.toBeNull();
  }, 120_000);

  const mutants: readonly (readonly [what: string, ...changes: (readonly [string, string, string])[]])[] = [
    [
      "any ring that carried the badge settles it",
      [
        "owed-rule.ts",
        "carriesNewest(ring) &&\n      rings.every(",
        "carriesNewest(ring) &&\n      [].every(",
      ],
    ],
    [
      "a restored database forgets that it may have rung",
      [
        "new-feed.ts",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the source
        "@version, @seq + place\n    FROM (${next})`)",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the source
        "@version, @seq + place\n    FROM (${next}) WHERE 0`)",
      ],
    ],
    [
      "rings are kept by node instead of by feed",
      [
        "session.ts",
        "createRingBook(rows, ledger, keyring, feed,",
        "createRingBook(rows, ledger, keyring, options.path,",
      ],
      ["new-feed.ts", "INSERT INTO delivery", "INSERT OR REPLACE INTO delivery"],
      [
        "new-feed.ts",
        "SELECT id, @feed, 1, 1,",
        `SELECT id, @feed,
          1 + coalesce((SELECT d.count FROM delivery d WHERE d.registration = id AND d.feed = @feed), 0),
          1 + coalesce((SELECT d.badge_count FROM delivery d WHERE d.registration = id AND d.feed = @feed), 0),`,
      ],
      ["new-feed.ts", "{ ...page, feed, now,", "{ ...page, feed: db.name, now,"],
    ],
    [
      "the other node's badge replaces this one's whatever its mark",
      [
        "merge.ts",
        'num(theirs, "badge_mark") > num(mine, "badge_mark")',
        'num(theirs, "badge_mark") !== num(mine, "badge_mark")',
      ],
    ],
    [
      "a later renewal brings a deleted registration back",
      ["merge.ts", 'if (isSet(mine, "deleted_at") !== isSet(theirs, "deleted_at")) {', "if (false) {"],
    ],
    [
      "the other node's renewal is taken although it is older",
      ["merge.ts", 'return pick(mine, theirs, [...order, "version"]);', "return theirs;"],
    ],
    [
      "a former feed's newest badge goes",
      ["former.ts", "(row.badge === null || isNewer(other, row))", "true"],
    ],
    ["what a former feed still owes goes", ["former.ts", "openReasons([row], now).size === 0", "true"]],
    [
      "a former feed's ring goes that the present ones had not seen",
      ["former.ts", "(seen[row.feed] ?? 0) >= row.count", "true"],
    ],
    ["what was seen is forgotten with the row", ["seen.ts", "Object.entries(seen)", "Object.entries({})"]],
    [
      "the other node's reasons are not taken",
      [
        "merge.ts",
        "reasons[key] = [Math.max(mark, otherMark), Math.max(done, otherDone), later];",
        "reasons[key] = [mark, Math.max(done, otherDone), later];",
      ],
    ],
  ];
  for (const [what, ...changes] of mutants) {
    test(what, async () => {
      const code = await mutant(what.replaceAll(/\W+/g, "-"), changes);
      expect(await goesWrong(code)).not.toBeNull();
    }, 180_000);
  }
});
