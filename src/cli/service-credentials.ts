// What systemd hands to the service as credentials, seen from a shell: where they lie while the service runs, which ones
// its unit has, and the command that runs a verb with the same ones.
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { readConfig } from "../config/load.ts";
import { type Environment, isCredential } from "../config/paths.ts";
import type { ConfigProblem } from "../config/problems.ts";
import type { FileMention } from "../config/walk.ts";
import { examineAll } from "./examine-all.ts";

const UNIT = "inboxbell.service";
/** systemd.exec(5), "Credentials": there while the service runs, and only root and the service may look. */
const DIRECTORY = `/run/credentials/${UNIT}`;
// Properties of a unit on the bus, org.freedesktop.systemd1(5); systemctl does not print what is in them.
const FROM_FILES = ["LoadCredential", "LoadCredentialEncrypted"] as const;
const FROM_UNIT = ["SetCredential", "SetCredentialEncrypted"] as const;
const OBJECT = "/org/freedesktop/systemd1/unit/inboxbell_2eservice";

/** The environment with the directory of the service's credentials, for a verb that is run in a shell. */
export function serviceEnvironment(env: Environment): Environment {
  return env.CREDENTIALS_DIRECTORY ? env : { ...env, CREDENTIALS_DIRECTORY: DIRECTORY };
}

/** A credential that the unit names. */
export interface UnitCredential {
  readonly name: string;
  /** As a drop-in has it, `LoadCredential=keys:/etc/…`; null where its content is in the unit itself. */
  readonly setting: string | null;
}

/** Those of the unit on this machine; null where nobody can say. */
export function unitCredentials(): readonly UnitCredential[] | null {
  if (Bun.which("busctl") === null || !existsSync("/run/systemd/system")) return null;
  const { exitCode, stdout } = Bun.spawnSync(
    [
      ...["busctl", "--json=short", "get-property", "org.freedesktop.systemd1", OBJECT],
      ...["org.freedesktop.systemd1.Service", ...FROM_FILES, ...FROM_UNIT],
    ],
    { stderr: "ignore" },
  );
  return exitCode === 0 ? readProperties(stdout.toString()) : null;
}

/** Reads what busctl prints: one line of JSON for each property. Null if it is anything else. */
export function readProperties(text: string): readonly UnitCredential[] | null {
  const properties = [...FROM_FILES, ...FROM_UNIT];
  const lines = text.trim().split("\n");
  if (lines.length !== properties.length) return null;
  const found: UnitCredential[] = [];
  for (const [index, property] of properties.entries()) {
    const entries = entriesOf(lines[index] ?? "");
    if (entries === null) return null;
    for (const [name, value] of entries) {
      const isFile = typeof value === "string";
      found.push({ name, setting: isFile ? `${property}=${name}:${value}` : null });
    }
  }
  return found;
}

function entriesOf(line: string): readonly (readonly [name: string, value: unknown])[] | null {
  try {
    const answer: unknown = JSON.parse(line);
    const data = typeof answer === "object" && answer !== null && "data" in answer ? answer.data : null;
    if (!Array.isArray(data)) return null;
    const entries = data.filter(
      (entry): entry is [string, unknown] => Array.isArray(entry) && typeof entry[0] === "string",
    );
    return entries.length === data.length ? entries : null;
  } catch {
    return null;
  }
}

/** Names of the credentials that a configuration takes its files from. */
export function credentialNames(files: readonly FileMention[], env: Environment): readonly string[] {
  return [...new Set(files.filter(({ path }) => isCredential(path, env)).map(({ path }) => basename(path)))];
}

/** What can be said of a configuration from a shell. */
export interface Examined {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  /** What to do about credentials, in words; null where there is nothing to do. */
  readonly advice: string | null;
  /** Credentials that the configuration names and the unit has not. */
  readonly lacking: readonly string[];
}

/**
 * Examines a configuration as the service will meet it. A credential that nobody can look at because the service does not
 * run is no problem; one that the unit does not name is.
 * @param now epoch milliseconds
 */
export function examineForService(config: string, given: Environment, now: number): Examined {
  const env = serviceEnvironment(given);
  const { problems, warnings } = examineAll(config, env, now);
  const files = readConfig(config, env).files;
  const named = credentialNames(files, env);
  if (given.CREDENTIALS_DIRECTORY || named.length === 0 || existsSync(DIRECTORY)) {
    return { problems, warnings, advice: null, lacking: [] };
  }
  const hidden = new Set(files.flatMap(({ keyPath, path }) => (isCredential(path, env) ? [keyPath] : [])));
  const unit = unitCredentials();
  const lacking = unit === null ? [] : lackingIn(unit, named);
  return {
    problems: problems.filter(({ keyPath }) => !hidden.has(keyPath)),
    warnings,
    lacking,
    advice: lacking.length > 0 ? lackingText(lacking) : checkText(unit ?? [], config),
  };
}

/** Which of the names a unit does not have. */
export function lackingIn(unit: readonly UnitCredential[], names: readonly string[]): readonly string[] {
  return names.filter((name) => !unit.some((each) => each.name === name));
}

/** How a unit comes to have them. */
export function lackingText(names: readonly string[]): string {
  const lines = names.map((name) => `  LoadCredential=${name}:/etc/inboxbell/credentials/${name}`);
  return [
    `The service has no credential ${names.join(", ")} here, and will not start without. Put the files to`,
    "/etc/inboxbell/credentials (owner root, mode 0600), run `systemctl edit inboxbell`, and enter",
    "  [Service]",
    ...lines,
  ].join("\n");
}

/** The command that checks a configuration with the credentials, which only the service sees otherwise. */
function checkText(unit: readonly UnitCredential[], config: string): string {
  const settings = unit.flatMap(({ setting }) => (setting === null ? [] : [`-p ${quoted(setting)}`]));
  return [
    "systemd hands its credentials over when the service starts. To check the configuration with them now:",
    `  ${["systemd-run --quiet --wait --pipe --collect -p User=inboxbell", ...settings].join(" ")} inboxbell check --config ${quoted(config)}`,
  ].join("\n");
}

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
