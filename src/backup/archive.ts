// A backup as a file: what it says of itself, the key file, and the database, sealed together. One without the other
// would be of no use.
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { whyUnreadable } from "../config/secret-files.ts";
import { BellError } from "../errors.ts";
import { syncDirectoryOf } from "../ops/files.ts";
import { KEPT_FREE_BYTES, requireRoom } from "../store/room.ts";
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
 * @throws `backup_path`, `backup_room` or `passphrase_unfit`; no file is left behind then
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
  // The node's own disk is not filled up. On any other a full disk harms nobody, and is noticed below.
  if (isSameDisk(file, database)) requireRoom(file, manifest.databaseBytes, KEPT_FREE_BYTES);
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
    const code = codeOf(cause);
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    throw new BellError(
      isFull ? "backup_room" : "backup_path",
      `The backup ${file} cannot be written (${code}).`,
      cause,
    );
  } finally {
    rmSync(partial, { force: true });
  }
}

function isSameDisk(file: string, database: string): boolean {
  return statSync(dirname(file), { throwIfNoEntry: false })?.dev === statSync(database).dev;
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
 * @throws `backup_invalid`, `backup_passphrase`, `backup_unreadable` or `restore_unwritable`
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
    const foreign = () =>
      new BellError("backup_invalid", `The backup ${file} holds another database than it says.`);
    const parts = function* (): Generator<Buffer> {
      let bytes = 0;
      const counted = (part: Buffer): Buffer => {
        bytes += part.length;
        // Before it is on the disk: a crafted backup shall not fill that up.
        if (bytes > manifest.databaseBytes) throw foreign();
        return part;
      };
      yield counted(rest);
      for (const part of plain) yield counted(part);
    };
    const written = writeNew(databaseFile, parts());
    if (written !== manifest.databaseBytes) throw foreign();
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
  if (!isCount(schema) || !isCount(keysBytes) || !isCount(databaseBytes)) return null;
  if (keysBytes > MOST_KEYS_BYTES) return null;
  if (typeof rows !== "object" || rows === null) return null;
  const counts = Object.entries(rows as Record<string, unknown>);
  if (!counts.every(([, count]) => isCount(count))) return null;
  return {
    version: label(version),
    commit: label(commit),
    node: label(node),
    // As this program writes it: other notations of a time may hold any text.
    madeAt: new Date(madeAt).toISOString(),
    schema,
    rows: Object.fromEntries(counts) as Record<string, number>,
    keysBytes,
    databaseBytes,
  };
}

// Far longer than any name of a node or of a version. Characters.
const LONGEST_LABEL = 100;

/** What a backup calls itself is shown to people: in one line, with nothing in it that steers a terminal. */
function label(text: string): string {
  return text.slice(0, LONGEST_LABEL).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Gives how many bytes were written. */
function writeNew(path: string, parts: Iterable<Buffer>): number {
  let fd: number;
  try {
    fd = openSync(path, "wx", 0o600);
  } catch (cause) {
    throw new BellError("restore_unwritable", `${path} cannot be made (${codeOf(cause)}).`, cause);
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
    // Non-blocking, so that a named pipe cannot hold it up.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable(file, cause);
  }
  try {
    if (!fstatSync(fd).isFile()) throw new BellError("backup_unreadable", `${file} is not a regular file.`);
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

/** @throws `backup_unreadable` */
export function readWhole(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause: unknown): BellError {
  return new BellError("backup_unreadable", `${file} cannot be read: ${whyUnreadable(cause)}.`, cause);
}

function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException | null)?.code ?? String(cause);
}
