// `pair join`: makes this node the second one of a pair. Shows what it will write, asks, writes, and says what is next.
import { existsSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { BUILD } from "../build-info.ts";
import { isDelivered } from "../config/delivered.ts";
import { hostPortText } from "../config/host-port.ts";
import { BellError } from "../errors.ts";
import type { Ownership } from "../ops/files.ts";
import { PAIR_PORT } from "../pair/addresses.ts";
import { plainConfiguration, valueAt } from "../pair/config-edit.ts";
import { askToJoin, readCode } from "../pair/join.ts";
import { planJoin, writePlan } from "../pair/join-plan.ts";
import { compareVersions } from "../pair/versions.ts";
import { print } from "./output.ts";
import { addressOf, nodeName } from "./pair-options.ts";
import { planText, writtenText } from "./pair-text.ts";
import { examineForService, serviceEnvironment } from "./service-credentials.ts";
import { ownerOf } from "./setup/owner.ts";
import { brokenOff, createPrompt, type Prompt } from "./setup/prompt.ts";

export interface JoinOptions {
  readonly config: string;
  readonly node?: string;
  readonly address?: string;
  readonly yes: boolean;
  /** False with `--without-certificates`. */
  readonly withoutCertificates: boolean;
}

// Clocks that differ by more deserve a word before the pair warns of it all the time. Milliseconds.
const CLOCK_MS = 2_000;

/**
 * Joins the pair that the code invites to.
 * @param given the code, or `-` or nothing to read it from standard input
 * @returns the exit code: 1 if `check` finds something wrong with the result
 * @throws BellError `pair_*`, or of a file
 */
export async function pairJoin(given: string | undefined, options: JoinOptions): Promise<number> {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (!isTerminal && !options.yes) {
    throw new BellError(
      "usage",
      "There is no terminal to ask on: add --yes to have the files written unasked.",
    );
  }
  const configFile = resolve(options.config);
  const env = serviceEnvironment(process.env);
  const own = ownFacts(configFile);
  const node = nodeName(options.node ?? own.node ?? hostname());
  const address = options.address === undefined ? null : addressOf("--address", options.address, own.port);
  const prompt = isTerminal ? createPrompt() : null;
  try {
    const invitation = readCode(await codeFrom(given, prompt));
    const withCertificates =
      !options.withoutCertificates && (prompt === null || options.yes || (await wantsCertificates(prompt)));
    const asking = askToJoin({
      invitation,
      node,
      version: BUILD.version,
      address: address === null ? ownAddress(node, own.port) : hostPortText(address),
      certificates: withCertificates,
      ...(prompt === null ? {} : { signal: prompt.over }),
    });
    const joining = await asking.catch((error: unknown) => {
      throw prompt?.over.aborted ? brokenOff(error) : error;
    });
    const { parcel } = joining;
    try {
      if (joining.isOwnMachine && isFirstItself(configFile, parcel.configuration)) {
        throw new BellError(
          "pair_refused",
          "Nothing was written: this is the node that invited. Run `inboxbell pair join` on the other one.",
        );
      }
      const plan = planJoin({
        parcel,
        node,
        key: joining.key,
        listen: { address: "0.0.0.0", port: address?.port ?? own.port },
        configFile,
        withCertificates,
        env,
      });
      const notes = [...plan.notes, ...clockNote(parcel.node, parcel.now), ...versionNote(parcel.version)];
      print(planText({ ...plan, notes, first: parcel.node, node, address: parcel.yours }));
      if (!(await isAgreed(options, prompt))) {
        throw new BellError("pair_invitation", "Nothing was written. The code is used up.");
      }
      const written = writePlan(plan, env, serviceOwner(plan.config.store.path));
      await joining.written();
      print(writtenText({ written, first: parcel.node, node }));
    } catch (error) {
      joining.leave();
      throw error;
    }
    return tellProblems(options.config);
  } finally {
    prompt?.close();
  }
}

interface OwnFacts {
  readonly node: string | undefined;
  /** Of the link. */
  readonly port: number;
}

/** What this node's own configuration says of it, if there is one that is not the delivered example. */
function ownFacts(configFile: string): OwnFacts {
  const plain = existsSync(configFile) ? plainConfiguration(readText(configFile), configFile) : {};
  const mine = isDelivered(plain) ? {} : plain;
  const node = valueAt(mine, ["node"]);
  const port = valueAt(mine, ["pair", "listen", "port"]);
  return {
    node: typeof node === "string" ? node : undefined,
    port: typeof port === "number" ? port : PAIR_PORT,
  };
}

/** A second node on the same machine has a configuration of its own. */
function isFirstItself(configFile: string, theirs: string): boolean {
  return existsSync(configFile) && readText(configFile) === theirs;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BellError("config_unreadable", `${path} is there and cannot be read.`, cause);
  }
}

/** Null has the first node look for it: by the name, or by where the connection comes from. */
function ownAddress(node: string, port: number): string | null {
  return port === PAIR_PORT ? null : hostPortText({ host: node, port });
}

/** Breaking off is a no, whenever it comes. */
async function isAgreed({ yes }: JoinOptions, prompt: Prompt | null): Promise<boolean> {
  if (prompt === null) return true;
  if (yes) return !prompt.over.aborted;
  return await prompt.confirm("Write these files?", true).catch((error: unknown) => {
    if (prompt.over.aborted) return false;
    throw error;
  });
}

async function codeFrom(given: string | undefined, prompt: Prompt | null): Promise<string> {
  if (given !== undefined && given !== "-") return given;
  if (prompt !== null)
    return await prompt.ask("Code from `inboxbell pair invite` on the first node", null, () => {});
  return await Bun.stdin.text();
}

async function wantsCertificates(prompt: Prompt): Promise<boolean> {
  prompt.say("Both nodes answer to the same names, so they can have the same certificates.");
  return await prompt.confirm("Take over the listeners' certificates and keys from the first node?", true);
}

function clockNote(first: string, theirs: number): readonly string[] {
  const differMs = Math.abs(theirs - Date.now());
  return differMs <= CLOCK_MS
    ? []
    : [
        `The clocks of ${first} and this node differ by ${Math.round(differMs / 1000)} s: have both set by NTP.`,
      ];
}

function versionNote(theirs: string): readonly string[] {
  const compared = compareVersions(BUILD.version, theirs);
  return compared === null ? [] : [compared.text];
}

/** The service's user: whose the database's directory is, or whom the package made. */
function serviceOwner(database: string): Ownership | null {
  if (process.getuid?.() !== 0) return null;
  const directory = dirname(database);
  return existsSync(directory) ? statSync(directory) : ownerOf(undefined);
}

function tellProblems(config: string): number {
  const { problems, lacking, advice } = examineForService(config, process.env, Date.now());
  if (advice !== null) print(advice);
  if (problems.length === 0) return lacking.length === 0 ? 0 : 1;
  print(`Before the start, look at what \`inboxbell check\` finds:`);
  for (const { keyPath, message } of problems) print(`  ${keyPath}: ${message}`);
  return 1;
}
