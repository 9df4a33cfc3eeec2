// Examines the files that a configuration names, one by one, so that `check` can tell of all of them at once.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { BellError, type ErrorCode, isBellError } from "../errors.ts";
import { nameComplaint } from "./certificate-names.ts";
import { incompleteChain } from "./chain.ts";
import { isMadeBySystemd, missingDirectory, type OwnFile } from "./directories.ts";
import type { PublicHosts } from "./load.ts";
import { readPairFiles } from "./pair-files.ts";
import type { Environment } from "./paths.ts";
import { type Finding, finding } from "./problems.ts";
import { apnsCertificate, apnsKey, serviceAccount } from "./push-credentials.ts";
import {
  authorities,
  certificateBlocks,
  enrolmentSecret,
  readPublicFile,
  readSecretFile,
  secretLine,
} from "./secret-files.ts";
import type { FileMention } from "./walk.ts";

const DAY_MS = 86_400_000;
// Time for a company's own authority, or for the holder of the Apple account, to renew a certificate by hand.
const WARNING_MS = 30 * DAY_MS;
// The link's certificate renews itself a month before its end: later than that something is in the way.
const PAIR_WARNING_MS = 14 * DAY_MS;

export interface Examination {
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/** What one file's examination needs besides the file. */
interface Context {
  readonly files: readonly FileMention[];
  readonly node: string;
  readonly hosts: PublicHosts;
  readonly env: Environment;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** Codes and sentences. */
type Warnings = readonly (readonly [ErrorCode, string])[];
const NONE: Warnings = [];

/** What was read of the configuration: the files that it names, and by which names the listeners are called. */
export interface Examinable {
  readonly files: readonly FileMention[];
  readonly node: string;
  readonly hosts: PublicHosts;
}

/** @param now epoch milliseconds */
export function examineFiles({ files, node, hosts }: Examinable, env: Environment, now: number): Examination {
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  for (const file of files) {
    try {
      for (const [code, message] of examine(file, { files, node, hosts, env, now })) {
        warnings.push(finding(code, file.at, file.keyPath, message));
      }
    } catch (error) {
      if (!isBellError(error)) throw error;
      problems.push(finding(error.code, file.at, file.keyPath, error.message));
    }
  }
  return { problems, warnings };
}

/** Throws an error of the catalogue, or returns warnings. */
function examine(file: FileMention, context: Context): Warnings {
  const { role, path } = file;
  const { env } = context;
  switch (role) {
    case "apns_key":
      apnsKey(path, readSecretFile(path, env));
      return NONE;
    case "apns_certificate":
      return pushCertificate(file, context);
    case "apns_password":
    case "proxy_password":
      secretLine(path, readSecretFile(path, env));
      return NONE;
    case "service_account":
      serviceAccount(path, readSecretFile(path, env));
      return NONE;
    case "enrolment_secret":
      enrolmentSecret(path, readSecretFile(path, env));
      return NONE;
    case "ca":
      authorities(path);
      return NONE;
    case "tls_key":
      tlsKey(path, env);
      return NONE;
    case "tls_certificate":
      return tlsCertificate(file, context);
    case "pair_certificate":
      return pairCertificate(file, context);
    case "pair_ca":
    case "pair_key":
      // Examined with the certificate.
      return NONE;
    case "keys":
      if (!existsSync(path)) return madeIn("key file", path, "keys_path");
      // What is in it is the keyring's business.
      readSecretFile(path, env);
      return NONE;
    case "store":
      return madeIn("database", path, "store_path");
    case "socket":
      return madeIn("control socket", path, "control_socket");
  }
}

/** What `serve` makes itself needs its directory; only systemd's own may still be missing. */
function madeIn(what: OwnFile, path: string, code: ErrorCode): Warnings {
  const missing = missingDirectory(what, path);
  if (missing === null) return NONE;
  if (isMadeBySystemd(path)) return [[code, missing]];
  throw new BellError(code, missing);
}

function pushCertificate(file: FileMention, context: Context): Warnings {
  const bytes = readSecretFile(file.path, context.env);
  const password = neighbour(file, "password_file", context.files);
  const passphrase = password === undefined ? "" : unlessRefused(() => passwordIn(password, context.env));
  // The password file's own problem is told at its own place.
  if (passphrase === null) return NONE;
  const credential = apnsCertificate(file.path, bytes, passphrase);
  if (credential.type !== "pem") return NONE;
  const { expiresAt } = credential;
  if (expiresAt <= context.now) {
    throw new BellError("secret_invalid", `${file.path}: the certificate expired on ${day(expiresAt)}.`);
  }
  return expiry("secret_invalid", file.path, expiresAt - context.now <= WARNING_MS, expiresAt);
}

function passwordIn(file: FileMention, env: Environment): string {
  return secretLine(file.path, readSecretFile(file.path, env));
}

function tlsKey(path: string, env: Environment): KeyObject {
  const bytes = readSecretFile(path, env);
  try {
    return createPrivateKey(bytes);
  } catch {
    throw new BellError("tls_invalid", `${path}: expected an unencrypted private key in PEM.`);
  }
}

function tlsCertificate(file: FileMention, { files, hosts, env, now }: Context): Warnings {
  const { path } = file;
  const chain = certificateChain(path);
  const [leaf] = chain;
  const key = neighbour(file, "key", files);
  const keyObject = key === undefined ? null : unlessRefused(() => tlsKey(key.path, env));
  if (key !== undefined && keyObject !== null && !leaf.checkPrivateKey(keyObject)) {
    throw new BellError("tls_invalid", `${key.path} is not the key of the first certificate in ${path}.`);
  }
  const startsAt = Date.parse(leaf.validFrom);
  if (startsAt > now) {
    throw new BellError("tls_invalid", `${path}: the certificate is not valid before ${day(startsAt)}.`);
  }
  const expiresAt = Date.parse(leaf.validTo);
  if (expiresAt <= now) {
    throw new BellError("tls_invalid", `${path}: the certificate expired on ${day(expiresAt)}.`);
  }
  const incomplete = incompleteChain(path, chain);
  return [
    ...expiry("tls_invalid", path, expiresAt - now <= WARNING_MS, expiresAt),
    ...(incomplete === null ? NONE : [["tls_invalid", incomplete] as const]),
    ...names(file, leaf, hosts),
  ];
}

/** Certificate, key and authority of the link: only together they mean anything. */
function pairCertificate(file: FileMention, { files, node, env, now }: Context): Warnings {
  const key = neighbour(file, "key", files);
  const ca = neighbour(file, "ca", files);
  // One of the paths is wrong, which is told at its own place.
  if (key === undefined || ca === undefined) return NONE;
  const identity = readPairFiles({ ca: ca.path, certificate: file.path, key: key.path }, node, env, now);
  if (identity.outOfDate !== null) throw new BellError("tls_invalid", identity.outOfDate);
  return expiry("tls_invalid", file.path, identity.expiresAt - now <= PAIR_WARNING_MS, identity.expiresAt);
}

function names({ keyPath, path }: FileMention, leaf: X509Certificate, hosts: PublicHosts): Warnings {
  const listener = keyPath.startsWith("listen.registration.") ? "registration" : "exchange";
  const host = hosts[listener];
  const complaint = host === null ? null : nameComplaint(leaf, host, `public.${listener}_url`);
  return complaint === null ? NONE : [["tls_invalid", `${path}: ${complaint}`]];
}

/** The server's certificate first. */
function certificateChain(path: string): readonly [X509Certificate, ...X509Certificate[]] {
  const blocks = certificateBlocks(readPublicFile(path).toString("utf8"));
  try {
    const [leaf, ...others] = blocks.map((block) => new X509Certificate(block));
    if (leaf !== undefined) return [leaf, ...others];
  } catch {
    // Said below, as for a file without any.
  }
  throw new BellError("tls_invalid", `${path}: expected a certificate, or a chain of them, in PEM.`);
}

function expiry(code: ErrorCode, path: string, soon: boolean, expiresAt: number): Warnings {
  return soon ? [[code, `${path}: the certificate expires on ${day(expiresAt)}`]] : NONE;
}

/** The file that an option beside this one names, for example the key beside a certificate. */
function neighbour(file: FileMention, key: string, files: readonly FileMention[]): FileMention | undefined {
  const keyPath = file.keyPath.replace(/[^.]+$/, key);
  return files.find((other) => other.keyPath === keyPath);
}

/** Null where another file's own examination tells what is wrong with it. */
function unlessRefused<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isBellError(error)) return null;
    throw error;
  }
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
