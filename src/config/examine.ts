// Examines the files that a configuration names, one by one, so that `check` can tell of all of them at once.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { BellError, isBellError } from "../errors.ts";
import type { Environment } from "./paths.ts";
import { type Finding, finding } from "./problems.ts";
import {
  apnsKey,
  apnsPem,
  authorities,
  enrolmentSecret,
  isPem,
  p12,
  readSecretFile,
  secretLine,
  serviceAccount,
} from "./secret-files.ts";
import type { FileMention } from "./walk.ts";

// An administrator renews within two weeks of a warning.
const EXPIRY_WARNING_MS = 14 * 86_400_000;

export interface Examination {
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/**
 * @param files those that the configuration names
 * @param now epoch milliseconds
 */
export function examineFiles(files: readonly FileMention[], env: Environment, now: number): Examination {
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  for (const file of files) {
    try {
      const warning = examine(file, env, now);
      if (warning !== null) warnings.push(finding("tls_invalid", file.at, file.keyPath, warning));
    } catch (error) {
      if (!isBellError(error)) throw error;
      problems.push(finding(error.code, file.at, file.keyPath, error.message));
    }
  }
  for (const { certificate, key } of pairs(files)) {
    if (!belongTogether(certificate.path, key.path)) {
      const message = `${key.path} is not the key of ${certificate.path}`;
      problems.push(finding("tls_invalid", key.at, key.keyPath, message));
    }
  }
  return { problems, warnings };
}

/** Throws a catalogue error, or returns a warning. */
function examine(file: FileMention, env: Environment, now: number): string | null {
  const { role, path } = file;
  switch (role) {
    case "apns_key":
      apnsKey(path, readSecretFile(path, env));
      return null;
    case "apns_certificate": {
      const bytes = readSecretFile(path, env);
      if (!isPem(bytes)) p12(path, bytes);
      else return expiryWarning(path, apnsPem(path, bytes, now).expiresAt, now);
      return null;
    }
    case "apns_password":
      secretLine(path, readSecretFile(path, env), 0);
      return null;
    case "service_account":
      serviceAccount(path, readSecretFile(path, env));
      return null;
    case "enrolment_secret":
      enrolmentSecret(path, readSecretFile(path, env));
      return null;
    case "ca":
      authorities(path);
      return null;
    case "tls_key":
      privateKey(path, readSecretFile(path, env));
      return null;
    case "tls_certificate":
      authorities(path);
      return certificateWarning(path, now);
    case "keys":
    case "store":
      // Made by `serve` where they are missing; the directory is not.
      return existsSync(dirname(path)) ? null : `the directory ${dirname(path)} does not exist yet`;
  }
}

function privateKey(path: string, bytes: Buffer): void {
  try {
    createPrivateKey(bytes);
  } catch (cause) {
    throw new BellError("tls_invalid", `${path}: expected an unencrypted private key in PEM.`, cause);
  }
}

function certificateWarning(path: string, now: number): string | null {
  const expiresAt = Date.parse(new X509Certificate(readFileSync(path)).validTo);
  if (expiresAt <= now) throw new BellError("tls_invalid", `${path} expired on ${day(expiresAt)}.`);
  return expiryWarning(path, expiresAt, now);
}

function expiryWarning(path: string, expiresAt: number, now: number): string | null {
  return expiresAt - now > EXPIRY_WARNING_MS ? null : `${path} expires on ${day(expiresAt)}`;
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** Certificates and keys of the same listener. */
function pairs(files: readonly FileMention[]) {
  return files.flatMap((certificate) => {
    if (certificate.role !== "tls_certificate") return [];
    const section = certificate.keyPath.replace(/\.[^.]+$/, "");
    const key = files.find((file) => file.role === "tls_key" && file.keyPath === `${section}.key`);
    return key === undefined ? [] : [{ certificate, key }];
  });
}

/** False only if both can be read and do not fit: what cannot be read is told by itself. */
function belongTogether(certificatePath: string, keyPath: string): boolean {
  try {
    return new X509Certificate(readFileSync(certificatePath)).checkPrivateKey(
      createPrivateKey(readFileSync(keyPath)),
    );
  } catch {
    return true;
  }
}
