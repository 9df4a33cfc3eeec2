// Reads the files that hold secrets and refuses those that others can read. What must be in a push credential is
// in push-credentials.ts. Errors name the file and what was expected there, never what was found.
import { X509Certificate } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { BellError, isBellError } from "../errors.ts";
import { closingCommand, exposedText } from "./closing.ts";
import { type Environment, isCredential } from "./paths.ts";

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
  return readFileWith(path, (stat) => {
    // systemd guards its credentials by the directory, whatever the files' own modes are.
    if ((stat.mode & OTHERS) !== 0 && !isCredential(path, env)) {
      throw new BellError("secret_exposed", exposedText(path, closingCommand(path, stat)));
    }
  });
}

/**
 * Reads a file that is no secret, such as a certificate.
 * @throws `secret_unreadable`
 */
export function readPublicFile(path: string): Buffer {
  return readFileWith(path, () => {});
}

function readFileWith(path: string, checkMode: (stat: Stats) => void): Buffer {
  let file: number | undefined;
  try {
    // Mode and content are those of the same open file. Non-blocking, so that a named pipe cannot hold up a start.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new BellError("secret_unreadable", `${path} is not a regular file.`);
    checkMode(stat);
    if (stat.size > MAX_SECRET_BYTES) {
      throw new BellError("secret_invalid", `${path} is larger than 1 MiB, which no such file is.`);
    }
    return readFileSync(file);
  } catch (cause) {
    if (isBellError(cause)) throw cause;
    throw new BellError("secret_unreadable", `${path} cannot be read: ${whyUnreadable(cause)}.`, cause);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** In words, why the system refused a file. */
export function whyUnreadable(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  switch (code) {
    case "ENOENT":
      return "there is no such file";
    case "ENOTDIR":
      return "a part of its path is not a directory";
    case "EACCES":
      return "this user may not read it";
    case "EISDIR":
      return "it is a directory";
    default:
      return code;
  }
}

/** No cause travels with it: a parser's error may quote what it read. */
export function invalid(path: string, expected: string): BellError {
  return new BellError("secret_invalid", `${path}: expected ${expected}.`);
}

/** A text file of one line, such as a password. One newline at the end does not belong to it. */
export function secretLine(path: string, bytes: Buffer): string {
  const text = bytes.toString("utf8").replace(/\r?\n$/, "");
  if (/[\r\n]/.test(text)) throw invalid(path, "a single line");
  return text;
}

/** An enrolment secret. */
export function enrolmentSecret(path: string, bytes: Buffer): string {
  const secret = secretLine(path, bytes);
  if (secret.length < SHORTEST_SECRET) {
    throw invalid(
      path,
      `a secret of at least ${SHORTEST_SECRET} characters, because a shorter one can be guessed; openssl rand -base64 24 makes one`,
    );
  }
  // It travels in an HTTP header, where other characters would arrive changed or not at all.
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    throw invalid(path, "printable ASCII characters without spaces, because it travels in an HTTP header");
  }
  return secret;
}

/** The certificates in a PEM text, each by itself; empty if there is none. */
export function certificateBlocks(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

/** One or more certificates in PEM. Certificates are public: the file's mode does not matter. */
export function authorities(path: string): string {
  const pem = readPublicFile(path).toString("utf8");
  const blocks = certificateBlocks(pem);
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch {
    throw invalid(path, "certificates in PEM");
  }
  if (blocks.length === 0) throw invalid(path, "one or more certificates in PEM");
  return pem;
}
