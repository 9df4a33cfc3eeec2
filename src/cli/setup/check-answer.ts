// Checks one answer at once, with what was answered before it. The same for flags and for a terminal.
import { join, resolve } from "node:path";
import type { FileRole } from "../../config/options.ts";
import { BellError } from "../../errors.ts";
import { serviceNotes } from "../service-access.ts";
import {
  checkApnsCertificate,
  checkApnsKey,
  checkAuthorities,
  checkEnrolmentSecret,
  checkPassword,
  checkServiceAccount,
  checkTls,
  checkValue,
  type KeyPath,
  readSource,
  type Source,
  urlOf,
} from "./judge.ts";
import { type AnswerName, type Answers, flagOf } from "./options.ts";
import type { Owner } from "./owner.ts";
import { refusePkcs12 } from "./pkcs12.ts";

export interface CheckContext {
  /** Absolute. */
  readonly configFile: string;
  /** What came on standard input, for answers that are `-`. */
  readonly stdin: Buffer | null;
  /** The service's user, who has to read what stays where it is; null: whoever runs this. */
  readonly owner: Owner | null;
  /** Epoch milliseconds. */
  readonly now: number;
  /** The public URLs as they are or will be, for the names in certificates. */
  readonly urls: { readonly registration: string | null; readonly exchange: string | null };
}

// RFC 1035, 2.3.4, in characters: 255 octets on the wire are 253 written ones.
const LONGEST_NAME = 253;
const LONGEST_LABEL = 63;

export const DEFAULT_PORTS = { registration: 8443, exchange: 9443 } as const;

/** Answers that are values of the configuration as they stand. */
export const PLAIN: Readonly<Partial<Record<AnswerName, KeyPath>>> = {
  node: ["node"],
  registrationAddress: ["listen", "registration", "address"],
  exchangeAddress: ["listen", "exchange", "address"],
  apnsUrl: ["apps", 0, "apns", "url"],
  apnsEnvironment: ["apps", 0, "apns", "environment"],
  apnsKeyId: ["apps", 0, "apns", "key", "key_id"],
  apnsTeamId: ["apps", 0, "apns", "key", "team_id"],
  app: ["apps", 0, "id"],
  fcmUrl: ["apps", 0, "fcm", "url"],
  fcmTokenUrl: ["apps", 0, "fcm", "token_url"],
  proxy: ["egress", "proxy"],
  proxyUser: ["egress", "proxy_user", "name"],
  socket: ["control", "socket"],
};

/** Answers that are numbers, or lists separated by commas. */
export const PORTS: Readonly<Partial<Record<AnswerName, KeyPath>>> = {
  registrationPort: ["listen", "registration", "port"],
  exchangePort: ["listen", "exchange", "port"],
  adminPort: ["listen", "admin", "port"],
};
export const LISTS: Readonly<Partial<Record<AnswerName, KeyPath>>> = {
  phoneNetworks: ["listen", "registration", "allow"],
  exchangeNetworks: ["listen", "exchange", "allow"],
};

export function listOf(answer: string): string[] {
  return answer
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

export function portOf(answers: Answers, listener: "registration" | "exchange"): number {
  return Number(answers[`${listener}Port`] ?? DEFAULT_PORTS[listener]);
}

/**
 * @returns sentences about what is not wrong and may surprise
 * @throws BellError that names the flag or the file
 */
export function checkAnswer(name: AnswerName, answers: Answers, context: CheckContext): readonly string[] {
  const answer = answers[name];
  if (answer === undefined || typeof answer === "boolean") return [];
  const { configFile } = context;
  const value = (path: KeyPath, given: unknown) => checkValue(flagOf(name), path, given, configFile);
  const source = (): Source => named(name, () => readSource(answer, context.stdin));
  // Of what is not copied beside the configuration.
  const placed = (path: string, role: FileRole) =>
    serviceNotes(resolve(path), role, configFile, context.owner);
  const plain = PLAIN[name];
  if (plain !== undefined) value(plain, answer);
  const port = PORTS[name];
  if (port !== undefined) value(port, /^\d+$/.test(answer) ? Number(answer) : answer);
  const list = LISTS[name];
  if (list !== undefined) for (const entry of listOf(answer)) value([...list, 0], entry);
  switch (name) {
    case "registrationUrl":
      checkHost(name, answer);
      value(["public", "registration_url"], urlOf(answer, portOf(answers, "registration")));
      return [];
    case "exchangeUrl":
      checkHost(name, answer);
      value(["public", "exchange_url"], urlOf(answer, portOf(answers, "exchange")));
      return [];
    case "registrationKey":
    case "registrationCertificate":
    case "exchangeKey":
    case "exchangeCertificate": {
      named(name, () => refusePkcs12(answer, configFile, context.owner));
      const listener = name.startsWith("registration") ? "registration" : "exchange";
      const notes = listenerFiles(listener, answers, context);
      return [...notes, ...placed(answer, name.endsWith("Key") ? "tls_key" : "tls_certificate")];
    }
    case "stateDirectory":
      return placed(join(answer, "inboxbell.db"), "store");
    case "socket":
      return placed(answer, "socket");
    case "apnsKey":
      checkApnsKey(source());
      return [];
    case "apnsCertificate":
    case "apnsPasswordFile":
      return pushCertificate(answers, context);
    case "fcmAccount":
      checkServiceAccount(source());
      return [];
    case "enrolmentSecretFile":
      checkEnrolmentSecret(source());
      return [];
    case "proxyPasswordFile":
      checkPassword(source());
      return [];
    case "egressCa":
      named(name, () => checkAuthorities(resolve(answer)));
      return [];
    default:
      return [];
  }
}

/** A name that no name server can have is a slip of the hand. RFC 1035, 2.3.4. */
function checkHost(name: AnswerName, answer: string): void {
  const url = urlOf(answer, 443);
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  if (host.length <= LONGEST_NAME && host.split(".").every((label) => label.length <= LONGEST_LABEL)) return;
  throw new BellError(
    "setup_answer",
    `${flagOf(name)}: a host name has ${LONGEST_NAME} characters at most, and ${LONGEST_LABEL} between two dots.`,
  );
}

/** Both are needed to say whether they fit: the key comes second. */
function listenerFiles(listener: "registration" | "exchange", answers: Answers, context: CheckContext) {
  const certificate = answers[`${listener}Certificate`];
  const key = answers[`${listener}Key`];
  // Said at once where the certificate is asked for, not only once its key is told.
  if (certificate !== undefined && key === undefined) {
    named(`${listener}Certificate`, () => checkAuthorities(resolve(certificate)));
  }
  if (certificate === undefined || key === undefined) return [];
  const url = context.urls[listener];
  const files = { certificate: resolve(certificate), key: resolve(key) };
  return checkTls(files, url ?? "https://localhost", `public.${listener}_url`, context.now).filter(
    () => url !== null,
  );
}

function pushCertificate({ apnsCertificate, apnsPasswordFile }: Answers, { stdin }: CheckContext) {
  if (apnsCertificate === undefined) return [];
  const password = apnsPasswordFile === undefined ? null : readSource(apnsPasswordFile, stdin);
  checkApnsCertificate(readSource(apnsCertificate, stdin), password);
  return [];
}

/** An error of a file says which flag named it. */
function named<T>(name: AnswerName, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof BellError)
      throw new BellError(error.code, `${flagOf(name)}: ${error.message}`, error.cause);
    throw error;
  }
}
