// Builds executables of other versions: this checkout with some places changed, as a neighbouring version may differ.
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MIGRATIONS } from "../../../../src/store/migrations.ts";
import { run } from "../../helpers.ts";

const root = join(import.meta.dir, "..", "..", "..", "..");
const BUILD_MS = 180_000;

/** A text that is in the file once, and what takes its place. */
export type Change = readonly [file: string, from: string, to: string];

/** Columns that this version does not have, with values in them. */
const NEW_SCHEMA = `  {
    number: ${MIGRATIONS.length + 1},
    what: "columns that nobody reads",
    sql: \`
      ALTER TABLE registration ADD COLUMN shade TEXT;
      ALTER TABLE folder ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;
      CREATE TRIGGER shaded AFTER INSERT ON registration WHEN NEW.shade IS NULL AND NEW.deleted_at IS NULL
      BEGIN UPDATE registration SET shade = 'light' WHERE id = NEW.id; END;
      CREATE TRIGGER weighed AFTER INSERT ON folder WHEN NEW.weight = 0
      BEGIN UPDATE folder SET weight = 7 WHERE registration = NEW.registration AND name = NEW.name; END;
    \`,
  },
];
`;

/** What the next version may do: a newer schema, a newer minor of the link's protocol, and words that this one lacks. */
export const NEWER: readonly Change[] = [
  ["src/store/migrations.ts", "\n];\n", `\n${NEW_SCHEMA}`],
  ["src/pair/frames.ts", "major: 1, minor: 0", "major: 1, minor: 1"],
  ["src/pair/role-rules.ts", "why: state.why,\n    forMs", 'why: state.why,\n    mood: ["new"],\n    forMs'],
];

/** What this version cannot understand. */
export const FOREIGN: readonly Change[] = [
  ["src/pair/frames.ts", "major: 1, minor: 0", "major: 2, minor: 0"],
];

/** @param directory exists; the executable and its sources are in it and go with it */
export async function buildVersion(
  directory: string,
  version: string,
  changes: readonly Change[],
): Promise<string> {
  const tree = join(directory, version);
  mkdirSync(tree);
  for (const each of ["src", "scripts", "package.json", "package-lock.json", "tsconfig.json"]) {
    cpSync(join(root, each), join(tree, each), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  const { version: own } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly version: string;
  };
  const all: readonly Change[] = [
    ["package.json", `"version": "${own}"`, `"version": "${version}"`],
    ...changes,
  ];
  for (const [file, from, to] of all) {
    const path = join(tree, file);
    const text = readFileSync(path, "utf8");
    if (text.split(from).length !== 2) throw new Error(`${file} does not have once: ${from}`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  const binary = join(directory, `inboxbell-${version}`);
  const command = [process.execPath, join(tree, "scripts", "build.ts"), "--outfile", binary];
  const built = await run(command, { cwd: tree, limitMs: BUILD_MS });
  if (built.code !== 0) throw new Error(`building ${version} ended with ${built.code}: ${built.err}`);
  return binary;
}
