// What is to be written: compared with what is there, then written so that each file is the old one or the new one,
// never half, with a copy of what it replaces.
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
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

// Of directories above those that are wanted.
const PARENT_MODE = 0o755;

/** Makes a directory that is missing, and those above it. One that exists is left as it is. */
export function makeDirectory({ path, mode, owner }: PlannedDirectory): boolean {
  if (existsSync(path)) return false;
  makeDirectory({ path: dirname(path), mode: PARENT_MODE, owner: null });
  return attempt(path, () => {
    mkdirSync(path);
    const descriptor = openSync(path, constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      // Whatever the umask: the service's user has to get through.
      fchmodSync(descriptor, mode);
      if (owner !== null) fchownSync(descriptor, owner.uid, owner.gid);
    } finally {
      closeSync(descriptor);
    }
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
 * Gives a file that is as it should be the mode and the owner that it should have; a stricter mode stays. What a
 * symbolic link points to is left alone: the link may be the service's, and this may be run by root.
 * @returns whether there was something to change
 */
export function secure({ path, mode, owner }: Omit<PlannedFile, "bytes" | "what">): boolean {
  return attempt(path, () => {
    if (lstatSync(path).isSymbolicLink()) return false;
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(descriptor);
      const tooOpen = (stat.mode & 0o777 & ~mode) !== 0;
      const foreign = owner !== null && stat.uid !== owner.uid;
      if (tooOpen) fchmodSync(descriptor, mode);
      if (foreign) fchownSync(descriptor, owner.uid, owner.gid);
      return tooOpen || foreign;
    } finally {
      closeSync(descriptor);
    }
  });
}

function keepCopy(path: string, now: number): string {
  const stamp = new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
  let copy = `${path}.${stamp}.old`;
  for (let n = 2; isTaken(copy); n += 1) copy = `${path}.${stamp}-${n}.old`;
  copyFileSync(path, copy, constants.COPYFILE_EXCL);
  // It may hold a secret as the original does.
  const { mode, uid, gid } = statSync(path);
  const descriptor = openSync(copy, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    fchmodSync(descriptor, mode & 0o777);
    if (process.getuid?.() === 0) fchownSync(descriptor, uid, gid);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return copy;
}

/** Also by a symbolic link to nowhere, which must not be written through. */
function isTaken(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new BellError("setup_unwritable", `${path} cannot be written (${code}).`, cause);
  }
}
