// Reads the configuration file: syntax, schema, rules, conversion, in this order, collecting every problem.
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { Value } from "@sinclair/typebox/value";
import { BellError } from "../errors.ts";
import { besidePairFiles, convert, defaultPairFiles } from "./convert.ts";
import { crossFindings, type Incomplete, type RuleInput, weakSettings } from "./cross-rules.ts";
import type { Environment } from "./paths.ts";
import {
  byPosition,
  ConfigError,
  type ConfigProblem,
  FILE_START,
  type Finding,
  finding,
  formatProblem,
  type Position,
} from "./problems.ts";
import { ConfigSchema, type RawConfig } from "./schema.ts";
import type { Config } from "./types.ts";
import { type FileMention, type Walked, walk } from "./walk.ts";
import { readYaml } from "./yaml-tree.ts";

/** All that can be said about a configuration file without opening the files that it names. */
export interface ConfigReading {
  /** The file, as the administrator named it. */
  readonly file: string;
  /** Null when there is any problem. */
  readonly config: Config | null;
  /** In the order of the file. */
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  /** Files named by options that are right, or by default, whatever else is wrong. */
  readonly files: readonly FileMention[];
  /** This node's name. */
  readonly node: string;
  /** What clients call the two listeners by, where that is right. */
  readonly hosts: PublicHosts;
  /** Where a key stands, or the nearest mapping around it that is in the file. */
  place(keyPath: string): Position;
}

/** Host names or addresses of the public URLs; null where one is wrong or missing. */
export interface PublicHosts {
  readonly registration: string | null;
  readonly exchange: string | null;
}

const NO_HOSTS: PublicHosts = { registration: null, exchange: null };

/** A configuration is a few kilobytes; more is another file named by mistake. */
const MAX_CONFIG_BYTES = 1_048_576;

/**
 * Reads and checks the configuration.
 * @param path of the file, relative to the working directory or absolute
 * @param env environment variables, for `${CREDENTIALS_DIRECTORY}`
 * @throws BellError `config_unreadable`, or ConfigError (`config_invalid`) with all problems
 */
export function loadConfig(path: string, env: Environment): Config {
  const { config, problems } = readConfig(path, env);
  if (config !== null) return config;
  const unreadable = problems.find(({ code }) => code === "config_unreadable");
  if (unreadable !== undefined) throw new BellError("config_unreadable", formatProblem(unreadable));
  throw new ConfigError(path, problems);
}

/** As `loadConfig`, but returns the problems, be it that the file cannot be read. Never throws. */
export function readConfig(path: string, env: Environment): ConfigReading {
  const text = readText(path);
  return text instanceof Uint8Array ? readConfigText(text, path, env) : failed(path, [text]);
}

/** As `readConfig`, of a text that was read already. Never throws. */
export function readConfigText(text: string | Uint8Array, path: string, env: Environment): ConfigReading {
  const configFile = resolve(path);
  const { root, findings } = readYaml(decode(text));
  if (typeof text !== "string" && !isUtf8(text)) {
    return failed(path, [finding("config_invalid", FILE_START, "", "expected a text file in UTF-8")]);
  }
  if (root === null) return failed(path, findings);
  if (root.kind === "scalar" && root.value === null && findings.length === 0) {
    return failed(path, [finding("config_invalid", FILE_START, "", "the file is empty")]);
  }
  const walked = walk(ConfigSchema, root, { configFile, env });
  const input = ruleInput(walked.value, walked.findings, walked.places);
  const all = [...findings, ...walked.findings, ...crossFindings(input)];
  const config =
    all.length > 0 ? null : convert(complete(input.raw), { configFile, env, hostname: hostname() });
  return {
    file: path,
    config,
    problems: named(path, all),
    warnings: named(path, weakSettings(input)),
    files: [...walked.files, ...defaultFiles(walked, input), ...filesOfPair(walked, input, configFile, env)],
    node: input.raw.node ?? hostname(),
    hosts: {
      registration: hostOf("public.registration_url", input.raw.public?.registration_url, input),
      exchange: hostOf("public.exchange_url", input.raw.public?.exchange_url, input),
    },
    place: input.place,
  };
}

/** The files that are used because the configuration does not name others. */
function defaultFiles({ places }: Walked, { raw, isWrong }: RuleInput): FileMention[] {
  const defaults = [
    { role: "store", keyPath: "store.path", path: raw.store?.path },
    { role: "keys", keyPath: "keys.file", path: raw.keys?.file },
    { role: "socket", keyPath: "control.socket", path: raw.control?.socket },
  ] as const;
  return defaults.flatMap(({ role, keyPath, path }) =>
    // The defaults are absolute.
    path === undefined || places.has(keyPath) || isWrong(keyPath) ? [] : [{ role, keyPath, path, at: null }],
  );
}

/** Those of the link, where there is a pair. */
function filesOfPair(
  { places }: Walked,
  { raw, isWrong }: RuleInput,
  configFile: string,
  env: Environment,
): FileMention[] {
  const [keys, store] = [raw.keys?.file, raw.store?.path];
  if (raw.pair === undefined || keys === undefined || store === undefined) return [];
  if (isWrong("keys.file") || isWrong("store.path")) return [];
  const files = defaultPairFiles(
    besidePairFiles({ keys: { file: keys }, store: { path: store } }, configFile, env),
  );
  return (["ca", "certificate", "key"] as const).flatMap((name) => {
    const keyPath = `pair.tls.${name}`;
    if (places.has(keyPath) || isWrong(keyPath)) return [];
    return [{ role: `pair_${name}` as const, keyPath, path: files[name], at: null }];
  });
}

/** As certificates name it: without an IPv6 address's brackets. */
function hostOf(keyPath: string, url: string | undefined, { isWrong }: RuleInput): string | null {
  if (url === undefined || isWrong(keyPath)) return null;
  return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
}

function failed(file: string, findings: readonly Finding[]): ConfigReading {
  const problems = named(file, findings);
  const nothing = { config: null, warnings: [], files: [], node: hostname(), hosts: NO_HOSTS };
  return { ...nothing, file, problems, place: () => FILE_START };
}

function named(file: string, findings: readonly Finding[]): ConfigProblem[] {
  return findings.map((one) => ({ file, ...one })).sort(byPosition);
}

function ruleInput(
  value: unknown,
  findings: readonly Finding[],
  places: ReadonlyMap<string, Position>,
): RuleInput {
  // Fills defaults in where something is missing; what the walk left out as wrong is guarded by isWrong.
  const raw = Value.Default(ConfigSchema, value) as Incomplete<RawConfig>;
  const within = (path: string, key: string) => path === key || /^[.[]/.test(path.slice(key.length));
  return {
    raw: typeof raw === "object" && raw !== null ? raw : {},
    hostname: hostname(),
    isWrong: (key) => findings.some(({ keyPath }) => keyPath.startsWith(key) && within(keyPath, key)),
    place(keyPath) {
      let path = keyPath;
      while (path !== "" && !places.has(path)) path = path.replace(/(^|\.)[^.[\]]+$|\[\d+\]$/, "");
      return places.get(path) ?? FILE_START;
    },
  };
}

/** Asserts with TypeBox itself that the walk overlooked nothing. */
function complete(raw: Incomplete<RawConfig>): RawConfig {
  if (Value.Check(ConfigSchema, raw)) return raw;
  const first = Value.Errors(ConfigSchema, raw).First();
  throw new BellError(
    "internal",
    `the configuration's schema and its reader disagree at ${first?.path ?? "?"}`,
  );
}

/** The file's bytes, or why it cannot be read. */
function readText(path: string): Uint8Array | Finding {
  const unreadable = (message: string, hint?: string) =>
    finding("config_unreadable", null, "", message, hint);
  try {
    // Non-blocking, so that a named pipe in its place cannot hold up a node that reloads.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(file);
      if (stat.isDirectory()) return unreadable("it is a directory");
      if (!stat.isFile()) return unreadable("it is not a regular file");
      if (stat.size <= MAX_CONFIG_BYTES) return readFileSync(file);
      return unreadable("larger than 1 MiB, which no configuration is");
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "there is no such file",
      EACCES: "this user may not read it",
      EISDIR: "it is a directory",
    };
    return unreadable(
      reasons[code] ?? `it cannot be read (${code})`,
      code === "ENOENT"
        ? "run `inboxbell setup`, which writes one, or name another file with --config"
        : undefined,
    );
  }
}

function decode(text: string | Uint8Array): string {
  return typeof text === "string" ? text : new TextDecoder().decode(text);
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
