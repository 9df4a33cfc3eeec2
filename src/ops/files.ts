// Files that take their place in one step: after a crash or a loss of power each is the old one or the new one.
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

/** Whose a file is to be. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Writes a file in one step, synced to the disk; its directory exists.
 * @param owner null: whoever runs this
 * @throws the system's error; the file is as it was then
 */
export function writeInOneStep(path: string, bytes: Buffer, mode: number, owner: Ownership | null): void {
  const temporary = `${path}.${process.pid}.new`;
  const descriptor = openSync(temporary, "wx", 0o600);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    if (owner !== null) fchownSync(descriptor, owner.uid, owner.gid);
    fchmodSync(descriptor, mode);
    fsyncSync(descriptor);
    renameSync(temporary, path);
  } finally {
    closeSync(descriptor);
    rmSync(temporary, { force: true });
  }
  syncDirectoryOf(path);
}

/** Makes what was created or renamed in a file's directory last. */
export function syncDirectoryOf(path: string): void {
  const descriptor = openSync(dirname(path), "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
