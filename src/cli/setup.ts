// `setup`: from a few answers to a configuration that `check` finds good and `serve` starts with. It asks on a terminal
// and takes flags without one; run again it shows what is there, changes what is asked, and overwrites nothing unasked.
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Document } from "yaml";
import { isLoopbackAddress } from "../config/addresses.ts";
import { isDelivered } from "../config/delivered.ts";
import { readConfigText } from "../config/load.ts";
import { isCredential } from "../config/paths.ts";
import { formatProblem } from "../config/problems.ts";
import { readPublicFile } from "../config/secret-files.ts";
import type { Config } from "../config/types.ts";
import { BellError } from "../errors.ts";
import { generateKeys, writeKeyFile } from "../keys/key-file.ts";
import { removeLeftovers } from "../ops/files.ts";
import { DEFAULT_CONFIG } from "./defaults.ts";
import { print } from "./output.ts";
import { examineForService, serviceEnvironment } from "./service-credentials.ts";
import { type Composition, compose } from "./setup/compose.ts";
import { changes, type Edit, edited, fresh, pathText, readDocument, valueAt } from "./setup/document.ts";
import { makeDirectory, type PlannedFile, secure, stateOf, writeFile } from "./setup/files.ts";
import { interview } from "./setup/interview.ts";
import { nextSteps } from "./setup/next-steps.ts";
import { type Answers, FLAGS, type SetupOptions } from "./setup/options.ts";
import { type Owner, ownerOf } from "./setup/owner.ts";
import { brokenOff, createPrompt, type Prompt } from "./setup/prompt.ts";

const CONFIG_MODE = 0o640;
const DIRECTORY_MODE = 0o750;
const STATE_MODE = 0o700;

/**
 * Writes the configuration and what it names.
 * @returns the exit code: 0 when `check` finds the result good
 * @throws BellError `usage` for missing answers, `setup_answer`, `setup_exists`, `setup_unwritable`, or that of a file
 */
export async function setup(options: SetupOptions): Promise<number> {
  const configFile = resolve(options.config);
  const owner = ownerOf(options.user);
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const prompt = options.input && isTerminal ? createPrompt() : null;
  try {
    return await run(options, configFile, owner, prompt);
  } finally {
    prompt?.close();
  }
}

async function run(
  options: SetupOptions,
  configFile: string,
  owner: Owner | null,
  prompt: Prompt | null,
): Promise<number> {
  const now = Date.now();
  const given = answersIn(options);
  const existing = existingDocument(configFile);
  tellWhatIsThere(configFile, existing);
  const answers =
    prompt === null ? given : await interview({ prompt, given, existing, configFile, owner, now });
  const stdin = await standardInput(answers, prompt);
  const composed = await compose({ answers, existing, configFile, owner, stdin, now });
  const edits = existing === null ? composed.edits : changes(existing, composed.edits);
  const text = existing === null ? fresh(edits) : edited(existing, edits);
  const config = checkedText(text, configFile);
  const files = [...composed.files];
  if (existing === null || edits.length > 0) files.push(configurationFile(configFile, text, owner));
  for (const note of composed.notes) print(`Note: ${note}`);

  await settleReplacements(files, existing, edits, configFile, options.force, prompt);
  // Somebody who broke off while a certificate was made wants nothing written either.
  if (prompt?.over.aborted) throw brokenOff();
  const wrote = write(files, configFile, config, owner, now);
  if (wrote === 0) print("Nothing had to be changed.");
  return finish(options, composed, config, configFile);
}

function answersIn(options: SetupOptions): Answers {
  const answers: Answers = {};
  for (const [name] of FLAGS) {
    const value = options[name];
    if (value !== undefined && value !== false) Object.assign(answers, { [name]: value });
  }
  return answers;
}

/** Null where there is none, or the delivered one with its examples. */
function existingDocument(configFile: string): Document | null {
  if (!existsSync(configFile)) return null;
  let text: string;
  try {
    text = readPublicFile(configFile).toString("utf8");
  } catch (cause) {
    throw new BellError("config_unreadable", `${configFile} cannot be read.`, cause);
  }
  const document = readDocument(text, configFile);
  return document.contents === null || isDelivered(document.toJS()) ? null : document;
}

function tellWhatIsThere(configFile: string, existing: Document | null): void {
  if (existing === null) return;
  const shown = [
    ["phones reach", ["public", "registration_url"]],
    ["Exchange reaches", ["public", "exchange_url"]],
    ["app", ["apps", 0, "id"]],
    ["Apple", ["apps", 0, "apns", "environment"]],
    ["Google", ["apps", 0, "fcm", "service_account"]],
    ["proxy", ["egress", "proxy"]],
  ] as const;
  print(`${configFile} is there:`);
  for (const [name, path] of shown) {
    print(`  ${name.padEnd(16)}  ${String(valueAt(existing, path) ?? "none")}`);
  }
}

/** Read only where an answer asks for it, and once: there is one standard input. */
async function standardInput(answers: Answers, prompt: Prompt | null): Promise<Buffer | null> {
  const asking = FLAGS.filter(([name]) => answers[name] === "-").map(([, flag]) => flag.split(" ")[0]);
  if (asking.length === 0) return null;
  if (asking.length > 1) {
    throw new BellError("usage", `Only one of ${asking.join(", ")} can read standard input.`);
  }
  if (prompt !== null)
    throw new BellError("usage", `${asking[0]} -: standard input is the terminal; name a file.`);
  return Buffer.from(await Bun.stdin.arrayBuffer());
}

/** @throws BellError `config_invalid` if the whole is not good, although each answer was */
function checkedText(text: string, configFile: string): Config {
  const { config, problems } = readConfigText(text, configFile, serviceEnvironment(process.env));
  if (config !== null) return config;
  const lines = problems.map(formatProblem);
  throw new BellError(
    "config_invalid",
    `Nothing was written, since this would come of it:\n${lines.join("\n")}`,
  );
}

function configurationFile(path: string, text: string, owner: Owner | null): PlannedFile {
  return { path, bytes: Buffer.from(text), mode: CONFIG_MODE, owner: readerOf(owner), what: "configuration" };
}

/** Who writes is whoever runs this, root: a service that was taken over must not change what it is told. */
function readerOf(owner: Owner | null): Owner | null {
  return owner === null ? null : { ...owner, uid: process.getuid?.() ?? owner.uid };
}

/** Nothing is overwritten unless somebody said so. @throws BellError `setup_exists` */
async function settleReplacements(
  files: readonly PlannedFile[],
  existing: Document | null,
  edits: readonly Edit[],
  configFile: string,
  force: boolean,
  prompt: Prompt | null,
): Promise<void> {
  // The delivered configuration is there to be replaced.
  const replaced = files.filter(
    (file) => stateOf(file) === "differs" && (file.path !== configFile || existing !== null),
  );
  if (replaced.length === 0 || force) return;
  const lines = replaced.map(({ path, what }) => `  ${path} (${what})`);
  if (existing !== null) {
    for (const { path, value } of edits) {
      // Values here are names, addresses and paths: secrets stand in files.
      lines.push(`    ${pathText(path)}: ${spoken(valueAt(existing, path))} -> ${spoken(value)}`);
    }
  }
  const list = `These would be replaced:\n${lines.join("\n")}`;
  if (prompt !== null) {
    prompt.say(list);
    if (await prompt.confirm("Replace them? A copy of each is kept.", false)) return;
    throw new BellError("setup_exists", "Nothing was written.");
  }
  throw new BellError("setup_exists", list);
}

function spoken(value: unknown): string {
  return value === undefined ? "(not set)" : typeof value === "string" ? value : JSON.stringify(value);
}

/** Secrets first, the configuration last: what it names is there when it is. @returns how much was written */
function write(
  files: readonly PlannedFile[],
  configFile: string,
  config: Config,
  owner: Owner | null,
  now: number,
): number {
  let wrote = 0;
  const told = (text: string) => {
    wrote += 1;
    print(text);
  };
  const directories = new Set([dirname(configFile), ...files.map(({ path }) => dirname(path))]);
  for (const path of directories) {
    if (makeDirectory({ path, mode: DIRECTORY_MODE, owner: readerOf(owner) })) told(`made   ${path}`);
  }
  // What systemd hands to the service is made elsewhere.
  const ownsKeys = !isCredential(config.keys.file, serviceEnvironment(process.env));
  const state = [config.store.path, ...(ownsKeys ? [config.keys.file] : [])];
  for (const path of new Set(state.map((file) => dirname(file)))) {
    if (makeDirectory({ path, mode: STATE_MODE, owner })) told(`made   ${path}`);
  }
  for (const file of files) {
    if (stateOf(file) === "same") {
      if (secure(file)) told(`closed ${file.path} (mode ${file.mode.toString(8)})`);
      continue;
    }
    const copy = writeFile(file, now);
    told(`wrote  ${file.path} (${file.what})${copy === null ? "" : `; the old one is ${copy}`}`);
  }
  if (ownsKeys && !existsSync(config.keys.file) && !existsSync(config.store.path)) {
    removeLeftovers(config.keys.file);
    writeKeyFile(config.keys.file, generateKeys(now), owner);
    told(`wrote  ${config.keys.file} (keys of the database)`);
  }
  return wrote;
}

function finish(options: SetupOptions, composed: Composition, config: Config, configFile: string): number {
  const { problems, warnings, lacking, advice } = examineForService(configFile, process.env, Date.now());
  for (const problem of problems) print(formatProblem(problem));
  for (const warning of warnings) print(`${formatProblem(warning)} (warning)`);
  if (advice !== null) print(advice);
  if (problems.length > 0 || lacking.length > 0) return 1;
  const { registration, exchange } = config.listen;
  const open = [
    ...(registration.allow.length === 0 ? ["registration"] : []),
    ...(exchange.allow.length === 0 ? ["exchange"] : []),
  ];
  print("");
  print(
    nextSteps({
      configFile,
      isDefaultConfig: options.config === DEFAULT_CONFIG,
      authority: composed.authority,
      secretFile: composed.madeSecret,
      keyFile: config.keys.file,
      exchangeUrl: config.public.exchangeUrl,
      registrationUrl: config.public.registrationUrl,
      openListeners: open,
      ports: [registration, exchange]
        .filter(({ address }) => !isLoopbackAddress(address))
        .map(({ port }) => port),
    }),
  );
  return 0;
}
