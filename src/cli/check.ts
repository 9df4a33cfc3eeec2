// `check`: the configuration and the files it names, with every problem at once. Exit 0 good, 1 not.
import { existsSync } from "node:fs";
import { examineFiles } from "../config/examine.ts";
import { readConfig } from "../config/load.ts";
import type { Environment } from "../config/paths.ts";
import {
  byPosition,
  type ConfigProblem,
  countText,
  type Finding,
  finding,
  formatProblem,
} from "../config/problems.ts";
import type { FileMention } from "../config/walk.ts";
import { isBellError } from "../errors.ts";
import { type KeyFile, readKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import { foreignKeys, readKeyMark } from "../store/key-mark.ts";

/**
 * Prints every problem, then the warnings, then how many problems there are.
 * @returns the exit code: 0 when there is no problem, whatever the warnings
 */
export async function check(options: { readonly config: string; readonly json: boolean }): Promise<number> {
  const { problems, warnings } = examineAll(options.config, process.env, Date.now());
  const ok = problems.length === 0;
  if (options.json) {
    console.log(JSON.stringify({ ok, problems, warnings }, null, 2));
    return ok ? 0 : 1;
  }
  for (const problem of problems) console.log(formatProblem(problem));
  for (const warning of warnings) console.log(`${formatProblem(warning)} (warning)`);
  const count = countText(problems.length, warnings.length);
  console.log(ok ? `The configuration is good${count === "" ? "" : `, with ${count}`}.` : `${count}.`);
  return ok ? 0 : 1;
}

export interface Report {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** The configuration and every file that it names. @param now epoch milliseconds */
export function examineAll(path: string, env: Environment, now: number): Report {
  const reading = readConfig(path, env);
  const examined = examineFiles(reading, env, now);
  const keys = keyFileFinding(reading.files, examined.problems);
  const named = (findings: readonly Finding[]) =>
    findings.map((found): ConfigProblem => ({ file: reading.file, ...found }));
  return {
    problems: [...reading.problems, ...named(examined.problems), ...named(keys)].sort(byPosition),
    warnings: [...reading.warnings, ...named(examined.warnings)].sort(byPosition),
  };
}

/** What `serve` would find wrong with the key file: damaged, another database's, or missing beside a database. */
function keyFileFinding(files: readonly FileMention[], known: readonly Finding[]): Finding[] {
  const keys = files.find(({ role }) => role === "keys");
  if (keys === undefined || known.some(({ keyPath }) => keyPath === keys.keyPath)) return [];
  const store = files.find(({ role }) => role === "store");
  const hasDatabase = store !== undefined && existsSync(store.path);
  if (existsSync(keys.path)) {
    try {
      const file = readKeyFile(keys.path);
      if (!hasDatabase || belongsTo(store.path, file)) return [];
      const message = foreignKeys({ database: store.path, keys: keys.path });
      return [finding("keys_invalid", keys.at, keys.keyPath, message)];
    } catch (error) {
      if (!isBellError(error)) throw error;
      return [finding(error.code, keys.at, keys.keyPath, error.message)];
    }
  }
  if (!hasDatabase) return [];
  const message = `there is a database (${store.path}) but no key file (${keys.path})`;
  return [finding("keys_missing", keys.at, keys.keyPath, message)];
}

/** False only if the database says otherwise. */
function belongsTo(database: string, keys: KeyFile): boolean {
  const mark = readKeyMark(database);
  return mark === null || createKeyring(keys).wrote(mark);
}
