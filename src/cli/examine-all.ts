// What can be found wrong with the configuration and the files that it names, all at once, for `check`, `doctor` and `setup`.
import { existsSync } from "node:fs";
import { examineFiles } from "../config/examine.ts";
import { readConfig } from "../config/load.ts";
import type { Environment } from "../config/paths.ts";
import { byPosition, type ConfigProblem, type Finding, finding } from "../config/problems.ts";
import type { FileMention } from "../config/walk.ts";
import { isBellError } from "../errors.ts";
import { type KeyFile, readKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import { foreignKeys, readKeyMark } from "../store/key-mark.ts";
import { examineAccess, exposedToOthers, serviceUser } from "./service-access.ts";
import type { Owner } from "./setup/owner.ts";

export interface Report {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** The configuration and every file that it names. @param now epoch milliseconds */
export function examineAll(path: string, env: Environment, now: number): Report {
  const reading = readConfig(path, env);
  const examined = examineFiles(reading, env, now);
  const keys = keyFileFinding(reading.files, examined.problems);
  const service = serviceUser(reading.files);
  const access = examineAccess(reading, env, service);
  const own = examined.problems.map((problem) => withCommand(problem, reading.files, service));
  const named = (findings: readonly Finding[]) =>
    findings.map((found): ConfigProblem => ({ file: reading.file, ...found }));
  return {
    problems: [...reading.problems, ...named([...own, ...keys, ...access.problems])].sort(byPosition),
    warnings: [...reading.warnings, ...named([...examined.warnings, ...access.warnings])].sort(byPosition),
  };
}

/** A file that is open to others is closed by a command that leaves it to the service's very user. */
function withCommand(problem: Finding, files: readonly FileMention[], service: Owner | null): Finding {
  const file = files.find(({ keyPath }) => keyPath === problem.keyPath);
  if (service === null || problem.code !== "secret_exposed" || file === undefined) return problem;
  // It is told with the certificate, whose path this is.
  if (file.role === "pair_certificate") return problem;
  return { ...problem, message: exposedToOthers(file.path, file.role, service) };
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
