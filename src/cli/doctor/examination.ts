// One examination: every hop in the order in which an administrator would walk it. What one hop needs of another is
// handed on here; each hop's judgement is in its own file.
import type { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { readConfig } from "../../config/load.ts";
import type { Environment } from "../../config/paths.ts";
import { loadSecrets } from "../../config/secrets.ts";
import type { Config, Secrets } from "../../config/types.ts";
import { isBellError } from "../../errors.ts";
import type { NodeStatus } from "../../ops/status.ts";
import { examineAll } from "../examine-all.ts";
import { examineAdmin } from "./admin.ts";
import { examineCertificate, examinePushCertificates } from "./certificates.ts";
import { judgeClock } from "./clock.ts";
import { examineOwnership, judgeConfiguration } from "./configuration.ts";
import { examineDatabase } from "./database.ts";
import { examineDisk } from "./disk.ts";
import { type Clocks, examineEgress } from "./egress.ts";
import type { Result } from "./findings.ts";
import { examineNode } from "./node.ts";
import { examinePair } from "./pair.ts";
import { examinePairAddress } from "./pair-address.ts";
import { chainOf } from "./pem.ts";
import { examinePublic } from "./public.ts";

export interface Examination {
  readonly results: readonly Result[];
  /** What the running node tells of itself; null where none answers. */
  readonly status: NodeStatus | null;
  /** Null where the configuration is not good. */
  readonly config: Config | null;
  /** Null where a secret cannot be read. */
  readonly secrets: Secrets | null;
}

export interface ExaminationOptions {
  readonly configFile: string;
  /** The control socket; that of the configuration unless given. */
  readonly socket?: string;
  readonly env: Environment;
  readonly clocks: Clocks;
}

const LISTENERS = ["registration", "exchange"] as const;

export async function examine(options: ExaminationOptions): Promise<Examination> {
  const { configFile, env, clocks } = options;
  const reading = readConfig(configFile, env);
  const results: Result[] = [
    ...judgeConfiguration(reading, examineAll(configFile, env, clocks.now())),
    ...examineOwnership(reading),
  ];
  const { config } = reading;
  const socket = options.socket ?? reading.files.find(({ role }) => role === "socket")?.path ?? null;
  const node = socket === null ? null : await examineNode(socket);
  const status = node?.status ?? null;
  if (config === null)
    return { results: [...results, ...(node?.results ?? [])], status, config, secrets: null };

  results.push(...examineDisk(config.store.path, clocks.monotonicNow));
  results.push(...examineDatabase(config.store.path, node?.running ?? false));
  results.push(...(node?.results ?? []));
  const listeners = await examineListeners(config, clocks.now());
  results.push(...listeners.results);
  results.push(...(await examineAdmin(config, listeners.reached)));

  const secrets = secretsOf(config, env);
  const egress = secrets === null ? null : await examineEgress(config, secrets, clocks);
  if (secrets !== null) results.push(...(await examinePushCertificates(secrets.apps, clocks.now())));
  results.push(...(egress?.results ?? []));
  results.push(...judgeClock(egress?.times ?? []));
  if (config.pair !== null) results.push(...(await examinePairAddress(config.pair)));
  if (socket !== null) results.push(...(await examinePair(socket, clocks.now())));
  return { results: results.filter(isNew), status, config, secrets };
}

/** The same is said once, of however many files, apps and addresses. */
function isNew(result: Result, index: number, all: readonly Result[]): boolean {
  const same = ({ code, subject, seen }: Result) =>
    code === result.code && subject === result.subject && seen === result.seen;
  return all.findIndex(same) === index;
}

/** The public URLs first: where somebody else ends TLS, the names in the file do not matter. */
async function examineListeners(config: Config, now: number) {
  const results: Result[] = [];
  const reached: string[] = [];
  for (const listener of LISTENERS) {
    const { tls, port } = config.listen[listener];
    const url = config.public[`${listener}Url`];
    const own = tls === null ? [] : chainIn(tls.certificate);
    const sight = await examinePublic({ listener, url, own, listenerPort: port }, now);
    const endedElsewhere = sight.presented !== null && sight.presented !== own[0]?.fingerprint256;
    const host = new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
    if (tls !== null) results.push(...examineCertificate(listener, tls, endedElsewhere ? null : host, now));
    results.push(...sight.results);
    if (sight.results.every(({ code }) => code !== "public_unreachable")) reached.push(url);
  }
  return { results, reached };
}

function chainIn(file: string): readonly X509Certificate[] {
  try {
    return chainOf(readFileSync(file, "utf8"));
  } catch {
    // Told by the look at the certificates.
    return [];
  }
}

/** Null where one of them is told about by the look at the configuration. */
function secretsOf(config: Config, env: Environment): Secrets | null {
  try {
    return loadSecrets(config, env);
  } catch (error) {
    if (isBellError(error)) return null;
    throw error;
  }
}
