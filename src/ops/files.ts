// Files that take their place in one step: after a crash or a loss of power each is the old one or the new one.
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

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
  removeLeftovers(path);
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

/** Removes what processes that were killed while they wrote this file left beside it; it may hold a secret. */
export function removeLeftovers(path: string): void {
  const start = `${basename(path)}.`;
  for (const name of namesBeside(path)) {
    const pid = name.startsWith(start) ? /^(\d+)\.new$/.exec(name.slice(start.length))?.[1] : undefined;
    if (pid === undefined) continue;
    if (Number(pid) === process.pid || !isAlive(Number(pid)))
      rmSync(join(dirname(path), name), { force: true });
  }
}

/** None where the directory is missing or may not be listed: that is told by whoever opens the file itself. */
function namesBeside(path: string): string[] {
  try {
    return readdirSync(dirname(path));
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    // EPERM: it lives, and is another user's.
    return (cause as NodeJS.ErrnoException).code !== "ESRCH";
  }
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
