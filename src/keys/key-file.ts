// The key file: the only place where key material lies. Mode 0600, JSON, never in the database or in a log.
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fchownSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { missingDirectory } from "../config/directories.ts";
import { BellError } from "../errors.ts";

/** Checked contents of a key file. */
export interface KeyFile {
  /** Hashes that rows are found by. Stays for the life of the database. */
  readonly lookup: Buffer;
  /** Sealing and signing keys; `id` is 8 hex digits. Older ones still open what they sealed. */
  readonly keys: readonly { readonly id: string; readonly secret: Buffer; readonly made: string }[];
  /** The id of the key that seals and signs from now on. */
  readonly current: string;
}

const FORMAT = "inboxbell-keys-1";
const SECRET_BYTES = 32;
// Readable by other users, or writable by the group. Group read is left to systemd and backup tools.
const EXPOSED_MODE = 0o027;

/** Fresh keys, made at `now` (epoch milliseconds). */
export function generateKeys(now: number): KeyFile {
  const id = randomBytes(4).toString("hex");
  const made = new Date(now).toISOString();
  return {
    lookup: randomBytes(SECRET_BYTES),
    keys: [{ id, secret: randomBytes(SECRET_BYTES), made }],
    current: id,
  };
}

/**
 * Writes a new key file, mode 0600, synced to the disk before it returns. It is there whole and its owner's, or not at
 * all: half a key file beside no database would keep every start from making another. Never overwrites.
 * @param owner whose it is to be; null: whoever runs this
 * @throws `keys_path` if its directory does not exist, `secret_unreadable` if it exists or cannot be written
 */
export function writeKeyFile(
  path: string,
  keys: KeyFile,
  owner: { readonly uid: number; readonly gid: number } | null = null,
): void {
  const missing = missingDirectory("key file", path);
  if (missing !== null) throw new BellError("keys_path", missing);
  const text = JSON.stringify(
    {
      format: FORMAT,
      lookup: keys.lookup.toString("base64"),
      keys: keys.keys.map((key) => ({ id: key.id, made: key.made, secret: key.secret.toString("base64") })),
      current: keys.current,
    },
    null,
    2,
  );
  const bytes = Buffer.from(`${text}\n`);
  const temporary = `${path}.${process.pid}.new`;
  try {
    // Of a killed process that had this number.
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, "wx", 0o600);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      if (owner !== null) fchownSync(fd, owner.uid, owner.gid);
      fsyncSync(fd);
      takeName(temporary, path);
    } finally {
      closeSync(fd);
      rmSync(temporary, { force: true });
    }
    const directory = openSync(dirname(path), "r");
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  } catch (cause) {
    throw new BellError(
      "secret_unreadable",
      `The key file ${path} cannot be created: ${reason(cause)}.`,
      cause,
    );
  }
}

/** Gives a file a name that nobody has. @throws the system's error, EEXIST among them */
function takeName(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST" || existsSync(to)) throw cause;
    // A file system without hard links.
    renameSync(from, to);
  }
}

/**
 * Reads and checks a key file.
 * @throws `secret_unreadable`, `secret_exposed` or `keys_invalid`, each naming the file
 */
export function readKeyFile(path: string): KeyFile {
  let text: string;
  try {
    const mode = statSync(path).mode;
    if ((mode & EXPOSED_MODE) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, "0");
      throw new BellError(
        "secret_exposed",
        `The key file ${path} has mode ${octal}: other users can read or change it. Run chmod 0600 ${path}.`,
      );
    }
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof BellError) throw cause;
    throw new BellError("secret_unreadable", `The key file ${path} cannot be read: ${reason(cause)}.`, cause);
  }
  const keys = parseKeyFile(text);
  if (keys === null)
    throw new BellError("keys_invalid", `The key file ${path} is damaged or of an unknown format.`);
  return keys;
}

/** The checked contents of a key file, or null if it is damaged or of an unknown format. */
export function parseKeyFile(text: string): KeyFile | null {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof data !== "object" || data === null) return null;
  const { format, lookup, keys, current } = data as Record<string, unknown>;
  if (format !== FORMAT || !Array.isArray(keys) || typeof current !== "string") return null;
  const lookupBytes = secretBytes(lookup);
  if (lookupBytes === null) return null;
  const parsed: { id: string; secret: Buffer; made: string }[] = [];
  for (const entry of keys as unknown[]) {
    if (typeof entry !== "object" || entry === null) return null;
    const { id, secret, made } = entry as Record<string, unknown>;
    const bytes = secretBytes(secret);
    if (typeof id !== "string" || !/^[0-9a-f]{8}$/.test(id) || bytes === null) return null;
    parsed.push({ id, secret: bytes, made: typeof made === "string" ? made : "" });
  }
  return parsed.some((key) => key.id === current) ? { lookup: lookupBytes, keys: parsed, current } : null;
}

function secretBytes(value: unknown): Buffer | null {
  if (typeof value !== "string") return null;
  const bytes = Buffer.from(value, "base64");
  return bytes.length === SECRET_BYTES ? bytes : null;
}

function reason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException | null)?.code;
  switch (code) {
    case "ENOENT":
      return "no such file or directory";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EEXIST":
      return "it exists already";
    default:
      return code ?? "unknown reason";
  }
}
