// A backup as a file: what it says of itself, the key file, and the database, sealed together. One without the other
// would be of no use.
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { BellError } from "../errors.ts";
import { syncDirectoryOf } from "../ops/files.ts";
import type { Contents } from "../store/snapshot.ts";
import { createSealer, openSealed } from "./envelope.ts";
import { place } from "./files.ts";

/** What a backup says of itself. */
export interface Manifest extends Contents {
  /** The product's version and commit that made it. */
  readonly version: string;
  readonly commit: string;
  readonly node: string;
  /** ISO 8601. */
  readonly madeAt: string;
  readonly keysBytes: number;
  readonly databaseBytes: number;
}

// Plain bytes read from a file at once.
const READ_BYTES = 1_048_576;
// Far more than a manifest or a key file ever has.
const MOST_MANIFEST_BYTES = 65_536;
const MOST_KEYS_BYTES = 1_048_576;

/**
 * Writes a backup, reads it back, and only then gives it its name. Mode 0600, on the disk when this returns.
 * @param file must not exist
 * @param database a copy that nobody writes to
 * @throws `backup_path` or `backup_passphrase`; no file is left behind then
 */
export function writeBackup(
  file: string,
  passphrase: string,
  about: Omit<Manifest, "keysBytes" | "databaseBytes">,
  keys: Buffer,
  database: string,
): Manifest {
  const manifest = { ...about, keysBytes: keys.length, databaseBytes: statSync(database).size };
  const partial = `${file}.partial`;
  if (existsSync(file)) throw new BellError("backup_path", `${file} exists already.`);
  let fd: number;
  try {
    fd = openSync(partial, "wx", 0o600);
  } catch (cause) {
    const why =
      codeOf(cause) === "EEXIST"
        ? `${partial} is there: another backup is writing it, or one was broken off. If none runs, remove it.`
        : `The backup ${partial} cannot be made (${codeOf(cause)}).`;
    throw new BellError("backup_path", why, cause);
  }
  try {
    try {
      const digest = sealInto(fd, passphrase, manifest, keys, database);
      fsyncSync(fd);
      verify(partial, passphrase, digest);
    } finally {
      closeSync(fd);
    }
    place(partial, file);
    syncDirectoryOf(file);
    return manifest;
  } catch (cause) {
    if (cause instanceof BellError) throw cause;
    throw new BellError("backup_path", `The backup ${file} cannot be written (${codeOf(cause)}).`, cause);
  } finally {
    rmSync(partial, { force: true });
  }
}

/** Gives a digest over everything that was sealed. */
function sealInto(
  fd: number,
  passphrase: string,
  manifest: Manifest,
  keys: Buffer,
  database: string,
): string {
  const hash = createHash("sha256");
  const sealer = createSealer(passphrase, randomBytes, (bytes) => writeAll(fd, bytes));
  const write = (bytes: Buffer) => {
    hash.update(bytes);
    sealer.write(bytes);
  };
  const text = Buffer.from(JSON.stringify(manifest), "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  write(Buffer.concat([length, text, keys]));
  withReader(database, (read) => {
    for (let bytes = read(READ_BYTES); bytes.length > 0; bytes = read(READ_BYTES)) write(bytes);
  });
  sealer.end();
  return hash.digest("hex");
}

function verify(file: string, passphrase: string, digest: string): void {
  const hash = createHash("sha256");
  withReader(file, (read) => {
    for (const plain of openSealed(read, passphrase, file)) hash.update(plain);
  });
  if (hash.digest("hex") !== digest) {
    throw new BellError(
      "backup_invalid",
      `The backup ${file} does not read as it was written: look at the disk.`,
    );
  }
}

/**
 * Reads a backup into two new files, mode 0600, on the disk when this returns.
 * @param keysFile @param databaseFile must not exist; remove them if this throws
 * @throws `backup_invalid`, `backup_passphrase` or `backup_path`
 */
export function readBackup(
  file: string,
  passphrase: string,
  keysFile: string,
  databaseFile: string,
): Manifest {
  return withReader(file, (read) => {
    const plain = openSealed(read, passphrase, file);
    let rest: Buffer = Buffer.alloc(0);
    const take = (bytes: number): Buffer => {
      while (rest.length < bytes) {
        const more = plain.next();
        if (more.done === true) throw new BellError("backup_invalid", `The backup ${file} was cut off.`);
        rest = Buffer.concat([rest, more.value]);
      }
      const taken = rest.subarray(0, bytes);
      rest = rest.subarray(bytes);
      return taken;
    };
    const length = take(4).readUInt32BE();
    const manifest = length > MOST_MANIFEST_BYTES ? null : parseManifest(take(length).toString("utf8"));
    if (manifest === null)
      throw new BellError("backup_invalid", `The backup ${file} says nothing of itself.`);
    writeNew(keysFile, [take(manifest.keysBytes)]);
    const parts = function* (): Generator<Buffer> {
      yield rest;
      yield* plain;
    };
    const written = writeNew(databaseFile, parts());
    if (written !== manifest.databaseBytes) {
      throw new BellError("backup_invalid", `The backup ${file} holds another database than it says.`);
    }
    return manifest;
  });
}

function parseManifest(text: string): Manifest | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { version, commit, node, madeAt, schema, rows, keysBytes, databaseBytes } = value as Record<
    string,
    unknown
  >;
  if (typeof version !== "string" || typeof commit !== "string" || typeof node !== "string") return null;
  if (typeof madeAt !== "string" || !Number.isFinite(Date.parse(madeAt))) return null;
  if (typeof schema !== "number" || typeof keysBytes !== "number" || typeof databaseBytes !== "number")
    return null;
  if (!Number.isSafeInteger(keysBytes) || keysBytes < 0 || keysBytes > MOST_KEYS_BYTES) return null;
  if (typeof rows !== "object" || rows === null) return null;
  const counts = Object.entries(rows as Record<string, unknown>);
  if (!counts.every(([, count]) => typeof count === "number")) return null;
  return {
    version,
    commit,
    node,
    madeAt,
    schema,
    rows: Object.fromEntries(counts) as Record<string, number>,
    keysBytes,
    databaseBytes,
  };
}

/** Gives how many bytes were written. */
function writeNew(path: string, parts: Iterable<Buffer>): number {
  let fd: number;
  try {
    fd = openSync(path, "wx", 0o600);
  } catch (cause) {
    throw new BellError("backup_path", `${path} cannot be made (${codeOf(cause)}).`, cause);
  }
  try {
    let bytes = 0;
    for (const part of parts) {
      writeAll(fd, part);
      bytes += part.length;
    }
    fsyncSync(fd);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function withReader<T>(file: string, work: (read: (bytes: number) => Buffer) => T): T {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (cause) {
    throw new BellError("backup_path", `${file} cannot be read (${codeOf(cause)}).`, cause);
  }
  try {
    return work((bytes) => {
      const buffer = Buffer.allocUnsafe(bytes);
      let filled = 0;
      while (filled < bytes) {
        const got = readSync(fd, buffer, filled, bytes - filled, null);
        if (got === 0) break;
        filled += got;
      }
      return buffer.subarray(0, filled);
    });
  } finally {
    closeSync(fd);
  }
}

/** @throws `backup_path` */
export function readWhole(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new BellError("backup_path", `${file} cannot be read (${codeOf(cause)}).`, cause);
  }
}

function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException | null)?.code ?? String(cause);
}
