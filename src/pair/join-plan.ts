// What joining will write on the second node, compared with what is there: shown before anything is written, then written
// in an order that leaves no half of a node. A file that is there and differs is kept beside the new one.
import { copyFileSync, existsSync, linkSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { readConfigText } from "../config/load.ts";
import { type Environment, isCredential } from "../config/paths.ts";
import { formatProblem } from "../config/problems.ts";
import type { Config } from "../config/types.ts";
import { BellError } from "../errors.ts";
import { parseKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import type { Ownership } from "../ops/files.ts";
import { readKeyMark } from "../store/key-mark.ts";
import { forgottenNode, forgottenText } from "./forgotten.ts";
import type { Parcel } from "./join-messages.ts";
import { joinedConfig } from "./joined-config.ts";
import { attempt, type LinkFiles, linkFiles, makeDirectory, ownershipOf, replaceFile } from "./link-files.ts";
import { isOwn } from "./parcel.ts";

export interface PlannedFile {
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
  /** What it is, for people. */
  readonly what: string;
  readonly state: "new" | "changed" | "same";
}

export interface JoinPlan {
  /** In the order in which they are written: the configuration last. */
  readonly files: readonly PlannedFile[];
  /** What the configuration will say. */
  readonly config: Config;
  /** What is this node's own in it. */
  readonly own: readonly string[];
  /** What somebody has to do besides, in sentences. */
  readonly notes: readonly string[];
}

export interface PlanOptions {
  readonly parcel: Parcel;
  /** This node's name, its key of the link, and where its link listens. */
  readonly node: string;
  readonly key: string;
  readonly listen: { readonly address: string; readonly port: number };
  readonly configFile: string;
  readonly withCertificates: boolean;
  readonly env: Environment;
}

const SECRET_MODE = 0o600;
const CONFIG_MODE = 0o640;
const PUBLIC_MODE = 0o644;
const DIRECTORY_MODE = 0o750;
const PAIR_DIRECTORY_MODE = 0o700;
// Others have no business with any of it, whatever the first node allows them.
const MOST_SECRET = 0o640;

/**
 * What is to be written.
 * @throws BellError `config_invalid` if the configuration would not be good here, `pair_other_keys`, or `pair_forgotten`
 */
export function planJoin(options: PlanOptions): JoinPlan {
  const { parcel, node, configFile, env } = options;
  const existing = existsSync(configFile) ? readExisting(configFile) : null;
  const joinedWith = (files: LinkFiles | null) => {
    const own = { node, listen: options.listen, peerName: parcel.node, peer: parcel.address, files };
    const joined = joinedConfig(parcel.configuration, existing, own, configFile, options.withCertificates);
    return { ...joined, ...checked(joined.text, configFile, env) };
  };
  const first = joinedWith(null);
  const places = linkFiles(first.config, env);
  const joined = places.ca === first.config.pair?.tls.ca ? first : joinedWith(places);
  const { config, files: mentions } = joined;

  const planned = new Map<string, PlannedFile>();
  const notes: string[] = [];
  const plan = (path: string, content: Buffer | string, mode: number, what: string) => {
    const bytes = Buffer.from(content);
    planned.set(path, { path, content: bytes, mode, what, state: stateOf(path, bytes) });
  };
  const credentials = new Set(
    mentions.filter(({ path }) => isCredential(path, env)).map(({ path }) => basename(path)),
  );
  if (credentials.size > 0) {
    notes.push(
      `systemd's credentials are not handed over: give this node the first one's ${[...credentials].join(", ")} before it starts.`,
    );
  }
  if (isCredential(config.keys.file, env)) {
    // Said above.
  } else if (parcel.keys === null) {
    notes.push(`The first node has its key file from systemd: put the same one to ${config.keys.file} here.`);
  } else {
    plan(config.keys.file, parcel.keys, SECRET_MODE, "sealing keys");
  }
  for (const { keyPath, mode, content } of parcel.files) {
    const mention = mentions.find((each) => each.keyPath === keyPath);
    if (mention === undefined) continue;
    const isPublic = mention.role === "tls_certificate" || mention.role === "ca";
    plan(mention.path, Buffer.from(content, "base64"), isPublic ? PUBLIC_MODE : mode & MOST_SECRET, keyPath);
  }
  for (const { keyPath, path, role } of mentions) {
    if (isOwn(role) || isCredential(path, env)) continue;
    if (!planned.has(path) && !existsSync(path)) notes.push(`${keyPath} names ${path}, which is not here.`);
  }
  plan(places.ca, parcel.authority.certificate, SECRET_MODE, "the pair's authority");
  plan(places.caKey, parcel.authority.key, SECRET_MODE, "its key");
  plan(places.certificate, parcel.certificate, SECRET_MODE, "this node's certificate of the link");
  plan(places.key, options.key, SECRET_MODE, "its key");
  plan(configFile, joined.text, CONFIG_MODE, "configuration");

  refuseOtherKeys(config.store.path, parcel.keys);
  if (forgottenNode(config.store.path) === parcel.node) {
    throw new BellError("pair_forgotten", forgottenText(node, parcel.node, config.store.path));
  }
  return { files: [...planned.values()], config, own: joined.own, notes };
}

function readExisting(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BellError("config_unreadable", `${path} is there and cannot be read.`, cause);
  }
}

function checked(text: string, configFile: string, env: Environment) {
  const { config, problems, files } = readConfigText(text, configFile, env);
  if (config !== null) return { config, files };
  const lines = problems.map(formatProblem).join("\n");
  throw new BellError(
    "config_invalid",
    `Nothing was written: here the configuration would not be good.\n${lines}`,
  );
}

function stateOf(path: string, content: Buffer): PlannedFile["state"] {
  if (!existsSync(path)) return "new";
  try {
    return readFileSync(path).equals(content) ? "same" : "changed";
  } catch {
    return "changed";
  }
}

/** A database that the pair's keys do not open would lose every phone in it, or the pair. */
function refuseOtherKeys(database: string, keys: string | null): void {
  if (!existsSync(database) || keys === null) return;
  const file = parseKeyFile(keys);
  if (file === null) throw new BellError("pair_refused", "The key file that the first node sent is damaged.");
  const mark = readKeyMark(database);
  if (mark !== null && createKeyring(file).wrote(mark)) return;
  throw new BellError(
    "pair_other_keys",
    `Nothing was written: ${database} ${mark === null ? "does not tell by which keys it was written" : "was written with other keys than the pair's"}. Stop the service here and move ${database}, ${database}-wal and ${database}-shm away; phones in it register again by themselves when their app is opened.`,
  );
}

/** What became of one file. */
export interface WrittenFile {
  readonly path: string;
  /** Where the file that it replaced is kept, or null. */
  readonly aside: string | null;
}

/**
 * Writes what is new or has changed.
 * @param service whose the files are to be where their directory does not say; null: whoever runs this
 * @throws BellError `pair_unwritable`; what was written before stays
 */
export function writePlan(
  { files, config }: JoinPlan,
  env: Environment,
  service: Ownership | null,
): WrittenFile[] {
  const pairDirectory = dirname(linkFiles(config, env).ca);
  makeDirectory(dirname(pairDirectory), PAIR_DIRECTORY_MODE, service);
  makeDirectory(pairDirectory, PAIR_DIRECTORY_MODE, ownershipOf(dirname(pairDirectory)));
  makeDirectory(dirname(config.store.path), PAIR_DIRECTORY_MODE, service);
  const written: WrittenFile[] = [];
  for (const { path, content, mode, state } of files) {
    if (state === "same") continue;
    makeDirectory(dirname(path), DIRECTORY_MODE, readable(path, service));
    const aside = state === "changed" ? putAside(path) : null;
    const { owner, mode: right } = guarded(path, mode, service);
    replaceFile(path, content, right, owner);
    written.push({ path, aside });
  }
  return written;
}

/** Owner and mode of a file, so that the service can read it and others cannot. */
function guarded(
  path: string,
  mode: number,
  service: Ownership | null,
): { readonly owner: Ownership | null; readonly mode: number } {
  const owner = readable(path, service);
  if (owner === null) return { owner, mode };
  if (existsSync(path)) {
    const stat = statSync(path);
    const others = mode === PUBLIC_MODE ? 0 : 0o007;
    return { owner: { uid: stat.uid, gid: stat.gid }, mode: stat.mode & 0o777 & ~others };
  }
  return { owner, mode: service === null || owner.uid === service.uid ? mode : mode | 0o040 };
}

/** As the nearest directory above it; where that is not the service's, as in /etc, the service reads by its group. */
function readable(path: string, service: Ownership | null): Ownership | null {
  let directory = dirname(path);
  while (!existsSync(directory)) directory = dirname(directory);
  const owner = ownershipOf(directory);
  if (owner === null || service === null || owner.uid === service.uid) return owner;
  return { uid: owner.uid, gid: service.gid };
}

/** Keeps a second name for a file, so that at no moment there is none. */
function putAside(path: string): string {
  let aside = `${path}.before-join`;
  for (let n = 2; existsSync(aside); n += 1) aside = `${path}.before-join-${n}`;
  attempt(aside, () => {
    try {
      linkSync(realpathSync(path), aside);
    } catch {
      // A file system without a second name for a file.
      copyFileSync(path, aside);
    }
  });
  return aside;
}
