// Reads the files that hold secrets and checks what is in them. Errors name the file and what was expected there,
// never what was found.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { BellError } from "../errors.ts";
import { type Environment, isCredential } from "./paths.ts";
import type { ServiceAccount } from "./types.ts";

// Any access for others than owner and group.
const OTHERS = 0o007;
// Shorter ones can be guessed; `openssl rand -base64 24` gives 32 characters.
const SHORTEST_SECRET = 16;
// No secret is near this size; more is another file named by mistake.
const MAX_SECRET_BYTES = 1_048_576;

/**
 * Reads a file that holds a secret.
 * @throws `secret_unreadable`, or `secret_exposed` if users outside its owner and group may read or change it
 */
export function readSecretFile(path: string, env: Environment): Buffer {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new BellError("secret_unreadable", `${path} is not a file.`);
    if (stat.size > MAX_SECRET_BYTES) {
      throw new BellError("secret_invalid", `${path} is larger than 1 MiB, which no such file is.`);
    }
    // systemd guards its credentials by the directory, whatever the files' own modes are.
    if ((stat.mode & OTHERS) !== 0 && !isCredential(path, env)) {
      throw new BellError(
        "secret_exposed",
        `${path} can be read or changed by other users. Run: chmod 0600 ${path}`,
      );
    }
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof BellError) throw cause;
    throw new BellError("secret_unreadable", `${path} cannot be read: ${whyUnreadable(cause)}.`, cause);
  }
}

/** In words, why the system refused a file. */
export function whyUnreadable(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  switch (code) {
    case "ENOENT":
      return "there is no such file";
    case "EACCES":
      return "this user may not read it";
    case "EISDIR":
      return "it is a directory";
    default:
      return code;
  }
}

function invalid(path: string, expected: string, cause?: unknown): BellError {
  return new BellError("secret_invalid", `${path}: expected ${expected}.`, cause);
}

/** The .p8 file as Apple's developer site gives it: PEM, PKCS #8, an elliptic curve key on P-256. */
export function apnsKey(path: string, bytes: Buffer): string {
  const expected = "Apple's AuthKey_….p8 file as downloaded (an unencrypted P-256 private key in PEM)";
  const pem = bytes.toString("utf8");
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw invalid(path, expected, cause);
  }
  // Another curve signs without complaint, and Apple refuses every token.
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw invalid(path, expected);
  }
  return pem;
}

/** A PEM file with a certificate and its private key, as APNs certificate authentication needs both. */
export function apnsPem(path: string, bytes: Buffer, now: number) {
  const pem = bytes.toString("utf8");
  const expected =
    "a PKCS #12 file, or a PEM file with both the APNs certificate and its unencrypted private key";
  let certificate: X509Certificate;
  let key: KeyObject;
  try {
    certificate = new X509Certificate(pem);
    key = createPrivateKey(pem);
  } catch (cause) {
    throw invalid(path, expected, cause);
  }
  if (!certificate.checkPrivateKey(key)) throw invalid(path, `${expected}; these two do not belong together`);
  const expiresAt = Date.parse(certificate.validTo);
  if (expiresAt <= now)
    throw invalid(path, `a certificate that is in date; this one ended on ${certificate.validTo}`);
  return { type: "pem", certificate: pem, privateKey: pem, expiresAt } as const;
}

/** Whether the file is PEM text rather than binary PKCS #12. */
export function isPem(bytes: Buffer): boolean {
  return bytes.includes("-----BEGIN ");
}

/** A PKCS #12 file starts as every DER sequence does; its password is tried when the sender connects. */
export function p12(path: string, bytes: Buffer): Buffer {
  if (bytes[0] !== 0x30) throw invalid(path, "a PKCS #12 file (.p12) or a PEM file");
  return bytes;
}

/** The JSON file of a Google service account. */
export function serviceAccount(path: string, bytes: Buffer): ServiceAccount {
  const expected = "a Google service account's JSON key file";
  let data: unknown;
  try {
    data = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw invalid(path, expected, cause);
  }
  if (typeof data !== "object" || data === null) throw invalid(path, expected);
  const fields = data as Record<string, unknown>;
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value !== "string" || value === "") throw invalid(path, `${expected}; "${name}" is missing`);
    return value;
  };
  if (fields.type !== "service_account") {
    throw invalid(
      path,
      `${expected}, whose "type" is "service_account" (google-services.json is another file)`,
    );
  }
  const privateKey = text("private_key");
  try {
    createPrivateKey(privateKey);
  } catch (cause) {
    throw invalid(path, `${expected}; its "private_key" is not a private key in PEM`, cause);
  }
  return {
    projectId: text("project_id"),
    clientEmail: text("client_email"),
    privateKey,
    privateKeyId: text("private_key_id"),
  };
}

/** The first line of a text file: an enrolment secret or a password. One newline at the end does not belong to it. */
export function secretLine(path: string, bytes: Buffer, shortest = 1): string {
  const text = bytes.toString("utf8").replace(/\r?\n$/, "");
  if (/[\r\n]/.test(text)) throw invalid(path, "a single line");
  if (text.length < shortest) throw invalid(path, `a secret of at least ${shortest} characters`);
  return text;
}

/** An enrolment secret. */
export function enrolmentSecret(path: string, bytes: Buffer): string {
  const secret = secretLine(path, bytes, SHORTEST_SECRET);
  // It travels in an HTTP header, where other characters would arrive changed or not at all.
  if (!/^[\x21-\x7e]+$/.test(secret)) throw invalid(path, "printable ASCII characters without spaces");
  return secret;
}

/** One or more certificates in PEM. Certificates are public: the file's mode does not matter. */
export function authorities(path: string): string {
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (cause) {
    throw new BellError("secret_unreadable", `${path} cannot be read: ${whyUnreadable(cause)}.`, cause);
  }
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch (cause) {
    throw invalid(path, "certificates in PEM", cause);
  }
  if (blocks.length === 0) throw invalid(path, "one or more certificates in PEM");
  return pem;
}
