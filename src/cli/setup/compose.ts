// From answers to what is to be written: values of the configuration, files, and what has to be made. Nothing is
// written here.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import type { Document } from "yaml";
import { readPublicFile } from "../../config/secret-files.ts";
import { BellError } from "../../errors.ts";
import type { CertifiedKey } from "../../keys/certificates.ts";
import { isPair, isStillGood, issueFrom, makeAuthority } from "./authority.ts";
import { type CheckContext, checkAnswer, LISTS, listOf, PLAIN, PORTS, portOf } from "./check-answer.ts";
import { type Edit, valueAt } from "./document.ts";
import type { PlannedFile } from "./files.ts";
import { type KeyPath, keyIdIn, readSource, type Source, urlOf } from "./judge.ts";
import { type AnswerName, type Answers, FLAGS, flagOf } from "./options.ts";
import type { Owner } from "./owner.ts";

export interface ComposeOptions {
  readonly answers: Answers;
  /** The configuration that is there; null for a new one. */
  readonly existing: Document | null;
  /** Absolute. */
  readonly configFile: string;
  readonly owner: Owner | null;
  /** What came on standard input. */
  readonly stdin: Buffer | null;
  /** Epoch milliseconds. */
  readonly now: number;
}

export interface Composition {
  readonly edits: readonly Edit[];
  readonly files: readonly PlannedFile[];
  /** What is not wrong and may surprise. */
  readonly notes: readonly string[];
  /** The private authority's certificate, where there is one. */
  readonly authority: string | null;
  /** The file of an enrolment secret that was made now. */
  readonly madeSecret: string | null;
}

const LISTENERS = ["registration", "exchange"] as const;
type Listener = (typeof LISTENERS)[number];
// A certificate of the private authority that is good for longer is left alone.
const RENEW_DAYS = 60;
const SECRET_BYTES = 24;
const SECRET_MODE = 0o600;
const PUBLIC_MODE = 0o644;

/**
 * @throws BellError `usage` naming the flags of missing answers, or that of an answer that cannot be used
 */
export async function compose(options: ComposeOptions): Promise<Composition> {
  const { answers, existing, configFile, now } = options;
  const missing = missingAnswers(answers, existing);
  if (missing.length > 0) throw new BellError("usage", `Missing: ${missing.join(", ")}.`);
  const context: CheckContext = {
    configFile,
    stdin: options.stdin,
    owner: options.owner,
    now,
    urls: publicUrls(answers, existing),
  };
  const notes = [...new Set(FLAGS.flatMap(([name]) => checkAnswer(name, answers, context)))];

  const edits: Edit[] = [];
  const files: PlannedFile[] = [];
  const at = appIndex(answers, existing);
  const inApp = (path: KeyPath): KeyPath => (path[0] === "apps" ? ["apps", at, ...path.slice(2)] : path);
  const set = (path: KeyPath, value: unknown) => edits.push({ path: inApp(path), value });
  const keep = (source: Source, name: string, what: string, mode: number = SECRET_MODE): string =>
    keepFile(options, files, source, name, what, mode);

  plainValues(answers, context, set);
  const authority = await listenerCertificates(options, context, set, files);
  appCredentials(answers, existing, at, set, keep, options.stdin);
  const madeSecret = enrolment(options, set, keep);
  if (answers.proxyPasswordFile !== undefined) {
    const source = readSource(answers.proxyPasswordFile, options.stdin);
    set(["egress", "proxy_user", "password_file"], keep(source, "proxy.password", "password at the proxy"));
  }
  if (answers.egressCa !== undefined) {
    const source = readSource(answers.egressCa, null);
    set(["egress", "ca_file"], keep(source, "egress-ca.pem", "further authorities", PUBLIC_MODE));
  }
  if (answers.stateDirectory !== undefined) {
    const directory = resolve(answers.stateDirectory);
    set(["store", "path"], join(directory, "inboxbell.db"));
    set(["keys", "file"], join(directory, "keys.json"));
  }
  return { edits, files, notes, authority, madeSecret };
}

/** Flags of what a configuration cannot do without, in words. */
export function missingAnswers(answers: Answers, existing: Document | null): string[] {
  const has = (name: AnswerName, path: KeyPath) =>
    answers[name] !== undefined || (existing !== null && valueAt(existing, path) !== undefined);
  const missing: string[] = [];
  const need = (name: AnswerName, path: KeyPath, help: string) => {
    if (!has(name, path)) missing.push(`${flagOf(name)} (${help})`);
  };
  need("registrationUrl", ["public", "registration_url"], "what phones reach");
  need("exchangeUrl", ["public", "exchange_url"], "what Exchange reaches");
  if (answers.makeCertificates !== true) {
    for (const listener of LISTENERS) {
      need(`${listener}Certificate`, ["listen", listener, "tls", "certificate"], "or --make-certificates");
      need(`${listener}Key`, ["listen", listener, "tls", "key"], "or --make-certificates");
    }
  }
  need("app", ["apps", 0, "id"], "the app's bundle identifier");
  const at = appIndex(answers, existing);
  const hasApp = (path: KeyPath) =>
    existing !== null && valueAt(existing, ["apps", at, ...path]) !== undefined;
  const { apnsKey, apnsCertificate, fcmAccount, apnsKeyId, apnsTeamId } = answers;
  if (
    [apnsKey, apnsCertificate, fcmAccount].every((given) => given === undefined) &&
    !hasApp(["apns"]) &&
    !hasApp(["fcm"])
  ) {
    missing.push("--apns-key, --apns-certificate or --fcm-account (what rings the app)");
  }
  if (apnsKey !== undefined) {
    if (apnsKeyId === undefined && keyIdIn(apnsKey) === null)
      missing.push("--apns-key-id (beside --apns-key)");
    if (apnsTeamId === undefined && !hasApp(["apns", "key", "team_id"]))
      missing.push("--apns-team-id (beside --apns-key)");
  }
  if (
    answers.proxyUser !== undefined &&
    !has("proxyPasswordFile", ["egress", "proxy_user", "password_file"])
  ) {
    missing.push("--proxy-password-file (beside --proxy-user)");
  }
  return missing;
}

/** Which of the apps the answers are about: the one of that id, a new one, or the first. */
export function appIndex({ app }: Answers, existing: Document | null): number {
  const apps = existing === null ? undefined : valueAt(existing, ["apps"]);
  if (!Array.isArray(apps) || app === undefined) return 0;
  const index = (apps as readonly ({ readonly id?: unknown } | null)[]).findIndex((each) => each?.id === app);
  return index < 0 ? apps.length : index;
}

/** The public URLs as they are or will be; a bare host gets the port that the listener has. */
export function publicUrls(answers: Answers, existing: Document | null): CheckContext["urls"] {
  const there = (path: KeyPath) => (existing === null ? undefined : valueAt(existing, path));
  const url = (listener: Listener): string | null => {
    const answer = answers[`${listener}Url`];
    const port = answers[`${listener}Port`] ?? there(["listen", listener, "port"]);
    const text =
      answer === undefined
        ? there(["public", `${listener}_url`])
        : urlOf(answer, port === undefined ? portOf(answers, listener) : Number(port));
    return typeof text === "string" && URL.canParse(text) ? text : null;
  };
  return { registration: url("registration"), exchange: url("exchange") };
}

type SetValue = (path: KeyPath, value: unknown) => void;

function plainValues(answers: Answers, { urls }: CheckContext, set: SetValue): void {
  for (const listener of LISTENERS) {
    if (answers[`${listener}Url`] !== undefined) set(["public", `${listener}_url`], urls[listener]);
  }
  for (const [name] of FLAGS) {
    const answer = answers[name];
    if (typeof answer !== "string") continue;
    const [plain, port, list] = [PLAIN[name], PORTS[name], LISTS[name]];
    if (plain !== undefined && !name.startsWith("apns"))
      set(plain, name === "socket" ? resolve(answer) : answer);
    if (port !== undefined) set(port, Number(answer));
    if (list !== undefined) set(list, listOf(answer));
  }
}

async function listenerCertificates(
  options: ComposeOptions,
  { urls }: CheckContext,
  set: SetValue,
  files: PlannedFile[],
): Promise<string | null> {
  const { answers, configFile, owner, now } = options;
  const directory = dirname(configFile);
  for (const listener of LISTENERS) {
    for (const part of ["Certificate", "Key"] as const) {
      const file = answers[`${listener}${part}`];
      if (file === undefined || answers.makeCertificates === true) continue;
      const path = resolve(file);
      set(["listen", listener, "tls", part.toLowerCase()], within(directory, path) ?? path);
    }
  }
  if (answers.makeCertificates !== true) return null;
  const ca = await privateAuthority(directory, now, files);
  for (const listener of LISTENERS) {
    const host = new URL(urls[listener] ?? "https://localhost").hostname.replace(/^\[(.*)\]$/, "$1");
    const name = `tls/${listener}`;
    set(["listen", listener, "tls", "certificate"], `${name}.pem`);
    set(["listen", listener, "tls", "key"], `${name}.key`);
    const path = join(directory, `${name}.pem`);
    const keyPath = join(directory, `${name}.key`);
    const there = existsSync(path) ? readPublicFile(path).toString("utf8") : null;
    const key = existsSync(keyPath) ? readPublicFile(keyPath).toString("utf8") : null;
    const belongs = there !== null && key !== null && isPair(there, key);
    if (belongs && isStillGood(there, ca.certificate, host, now, RENEW_DAYS)) continue;
    // A key without its certificate: a run was killed between the two. It is used, not replaced.
    const issued = await issueFrom(ca, host, now, belongs ? null : key);
    const isKept = issued.key === key;
    if (!isKept) {
      const what = `key of ${host}'s certificate`;
      files.push({ path: keyPath, bytes: Buffer.from(issued.key), mode: SECRET_MODE, owner, what });
    }
    const what = `certificate for ${host}`;
    files.push({ path, bytes: Buffer.from(issued.certificate), mode: PUBLIC_MODE, owner, what });
  }
  return join(directory, "tls", "ca.pem");
}

/** The authority that an earlier run made, or a new one. Its key is for root alone: the service never signs. */
async function privateAuthority(directory: string, now: number, files: PlannedFile[]): Promise<CertifiedKey> {
  const [certificatePath, keyPath] = [join(directory, "tls", "ca.pem"), join(directory, "tls", "ca.key")];
  if (existsSync(certificatePath) && existsSync(keyPath)) {
    return {
      certificate: readPublicFile(certificatePath).toString("utf8"),
      key: readPublicFile(keyPath).toString("utf8"),
    };
  }
  if (existsSync(certificatePath)) {
    throw new BellError(
      "setup_answer",
      `${certificatePath} is there without its key ${keyPath}: put the key back for this run, or move the certificate away to have a new authority made.`,
    );
  }
  // A key without its certificate: a run was killed between the two.
  const key = existsSync(keyPath) ? readPublicFile(keyPath).toString("utf8") : null;
  const made = await makeAuthority(
    `Inboxbell authority ${new Date(now).toISOString().slice(0, 10)}`,
    now,
    key,
  );
  if (key === null) {
    const what = "key of a private authority";
    files.push({ path: keyPath, bytes: Buffer.from(made.key), mode: SECRET_MODE, owner: null, what });
  }
  const what = "certificate of the private authority";
  const bytes = Buffer.from(made.certificate);
  files.push({ path: certificatePath, bytes, mode: PUBLIC_MODE, owner: null, what });
  return { certificate: made.certificate, key: key ?? made.key };
}

type Keep = (source: Source, name: string, what: string, mode?: number) => string;

function appCredentials(
  answers: Answers,
  existing: Document | null,
  at: number,
  set: SetValue,
  keep: Keep,
  stdin: Buffer | null,
): void {
  const { apnsKey, apnsCertificate, apnsPasswordFile, fcmAccount } = answers;
  const app = answers.app ?? String(existing === null ? "app" : valueAt(existing, ["apps", at, "id"]));
  const had = existing !== null && valueAt(existing, ["apps", at, "apns"]) !== undefined;
  const ringsApple = had || apnsKey !== undefined || apnsCertificate !== undefined;
  if (ringsApple && (!had || answers.apnsEnvironment !== undefined)) {
    set(["apps", 0, "apns", "environment"], answers.apnsEnvironment ?? "production");
  }
  if (ringsApple && answers.apnsUrl !== undefined) set(["apps", 0, "apns", "url"], answers.apnsUrl);
  const keyId = answers.apnsKeyId ?? (apnsKey === undefined ? null : keyIdIn(apnsKey));
  if (apnsKey !== undefined) {
    const file = keep(readSource(apnsKey, stdin), `AuthKey_${keyId}.p8`, "Apple's token key");
    if (had) set(["apps", 0, "apns", "certificate"], undefined);
    set(["apps", 0, "apns", "key", "file"], file);
  }
  if (keyId !== null) set(["apps", 0, "apns", "key", "key_id"], keyId);
  if (answers.apnsTeamId !== undefined) set(["apps", 0, "apns", "key", "team_id"], answers.apnsTeamId);
  if (apnsCertificate !== undefined) {
    const source = readSource(apnsCertificate, stdin);
    const suffix = source.bytes.includes("-----BEGIN ") ? "pem" : "p12";
    if (had) set(["apps", 0, "apns", "key"], undefined);
    set(
      ["apps", 0, "apns", "certificate", "file"],
      keep(source, `push-${app}.${suffix}`, "push certificate"),
    );
    if (apnsPasswordFile !== undefined) {
      const password = keep(readSource(apnsPasswordFile, stdin), `push-${app}.password`, "its password");
      set(["apps", 0, "apns", "certificate", "password_file"], password);
    }
  }
  if (fcmAccount !== undefined) {
    set(
      ["apps", 0, "fcm", "service_account"],
      keep(readSource(fcmAccount, stdin), `fcm-${app}.json`, "Google service account"),
    );
  }
}

/** @returns the file of a secret that is made now, or null */
function enrolment(
  { answers, existing, configFile, stdin }: ComposeOptions,
  set: SetValue,
  keep: Keep,
): string | null {
  const name = "enrolment.secret";
  const given = answers.enrolmentSecretFile;
  if (given === undefined && existing !== null && valueAt(existing, ["registration_auth", 0]) !== undefined)
    return null;
  const path = join(dirname(configFile), name);
  const isThere = given === undefined && existsSync(path);
  const source = isThere
    ? { path, bytes: readPublicFile(path) }
    : given === undefined
      ? { path: "made now", bytes: Buffer.from(`${randomBytes(SECRET_BYTES).toString("base64url")}\n`) }
      : readSource(given, stdin);
  const file = keep(source, name, "enrolment secret");
  set(["registration_auth", 0, "type"], "enrolment_secret");
  set(["registration_auth", 0, "file"], file);
  return given === undefined && !isThere ? path : null;
}

/** A file beside the configuration is named where it is; others are copied there. @returns the name to configure */
function keepFile(
  { configFile, owner }: ComposeOptions,
  files: PlannedFile[],
  source: Source,
  name: string,
  what: string,
  mode: number,
): string {
  const directory = dirname(configFile);
  const inside = existsSync(source.path) ? within(directory, resolve(source.path)) : null;
  files.push({ path: join(directory, inside ?? name), bytes: source.bytes, mode, owner, what });
  return inside ?? name;
}

/** A path relative to a directory that it is in, or null. */
function within(directory: string, path: string): string | null {
  const name = relative(directory, path);
  return name === "" || name.startsWith(`..${sep}`) || name === ".." || name.startsWith(sep) ? null : name;
}
