// Files that take their place in one step, and keep what was there before.
import {
  constants,
  copyFileSync,
  existsSync,
  lchownSync,
  linkSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { BellError } from "../errors.ts";

/**
 * Gives a finished file its name, which nobody may have taken meanwhile.
 * @throws `backup_path` if somebody has, or the system's error
 */
export function place(from: string, to: string): void {
  if (linkOnto(from, to)) {
    rmSync(from);
    return;
  }
  // A file system without hard links.
  if (existsSync(to)) throw new BellError("backup_path", `${to} exists already.`);
  renameSync(from, to);
}

/** A second name for a file, which nobody has: it stays when the first one goes to another. @throws as `place` */
export function keepAside(path: string, aside: string): void {
  if (!linkOnto(path, aside)) copyFileSync(path, aside, constants.COPYFILE_EXCL);
}

function linkOnto(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") {
      throw new BellError("backup_path", `${to} exists already.`, cause);
    }
    return false;
  }
}

/** Gives a file the owner of the one whose place it takes, or else of the directory; only root can, and has to. */
export function takeOwner(file: string, place: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(existsSync(place) ? place : dirname(place));
  // Never through a symbolic link: the directory is the service's, and this is root.
  lchownSync(file, uid, gid);
}
