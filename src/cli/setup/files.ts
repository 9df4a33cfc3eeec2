// What is to be written: compared with what is there, then written so that each file is the old one or the new one,
// never half, with a copy of what it replaces.
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { BellError } from "../../errors.ts";
import { writeInOneStep } from "../../ops/files.ts";
import type { Owner } from "./owner.ts";

export interface PlannedFile {
  readonly path: string;
  readonly bytes: Buffer;
  readonly mode: number;
  /** Whose it is to be; null: whoever runs this. */
  readonly owner: Owner | null;
  /** What it is, for people. */
  readonly what: string;
}

export interface PlannedDirectory {
  readonly path: string;
  readonly mode: number;
  readonly owner: Owner | null;
}

export type State = "new" | "same" | "differs";

export function stateOf({ path, bytes }: Pick<PlannedFile, "path" | "bytes">): State {
  if (!existsSync(path)) return "new";
  try {
    return readFileSync(path).equals(bytes) ? "same" : "differs";
  } catch {
    return "differs";
  }
}

/** Makes a directory that is missing, and those above it. One that exists is left as it is. */
export function makeDirectory({ path, mode, owner }: PlannedDirectory): boolean {
  if (existsSync(path)) return false;
  return attempt(path, () => {
    mkdirSync(dirname(path), { recursive: true });
    mkdirSync(path, { mode });
    if (owner !== null) chownSync(path, owner.uid, owner.gid);
    return true;
  });
}

/**
 * Writes a file.
 * @param now epoch milliseconds, for the copy's name
 * @returns the copy of the file that it replaced, or null
 * @throws BellError `setup_unwritable`
 */
export function writeFile(file: PlannedFile, now: number): string | null {
  const { path, bytes, mode, owner } = file;
  return attempt(path, () => {
    const copy = existsSync(path) ? keepCopy(path, now) : null;
    writeInOneStep(path, bytes, mode, owner);
    return copy;
  });
}

/**
 * Gives a file that is as it should be the mode and the owner that it should have; a stricter mode stays.
 * @returns whether there was something to change
 */
export function secure({ path, mode, owner }: Omit<PlannedFile, "bytes" | "what">): boolean {
  return attempt(path, () => {
    const stat = statSync(path);
    const tooOpen = (stat.mode & 0o777 & ~mode) !== 0;
    const foreign = owner !== null && stat.uid !== owner.uid;
    if (tooOpen) chmodSync(path, mode);
    if (foreign) chownSync(path, owner.uid, owner.gid);
    return tooOpen || foreign;
  });
}

/** Gives a file that somebody else wrote to the service's user. */
export function giveTo(path: string, owner: Owner | null): void {
  if (owner !== null) attempt(path, () => chownSync(path, owner.uid, owner.gid));
}

function keepCopy(path: string, now: number): string {
  const stamp = new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
  let copy = `${path}.${stamp}.old`;
  for (let n = 2; existsSync(copy); n += 1) copy = `${path}.${stamp}-${n}.old`;
  copyFileSync(path, copy);
  // It may hold a secret as the original does.
  const { mode, uid, gid } = statSync(path);
  const descriptor = openSync(copy, "r");
  try {
    fchmodSync(descriptor, mode & 0o777);
    if (process.getuid?.() === 0) fchownSync(descriptor, uid, gid);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return copy;
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new BellError("setup_unwritable", `${path} cannot be written (${code}).`, cause);
  }
}
