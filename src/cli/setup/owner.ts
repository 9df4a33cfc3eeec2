// The service's user: who is to own what is written, and whether he can read what others wrote.
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { BellError } from "../../errors.ts";

export interface Owner {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** All of his groups. */
  readonly groups: readonly number[];
}

const DEFAULT_USER = "inboxbell";

/**
 * The user to whom files are to be given; null to leave them to whoever runs this.
 * @throws BellError `setup_answer` if the user that was named does not exist, or files cannot be given away
 */
export function ownerOf(named: string | undefined): Owner | null {
  const isRoot = process.getuid?.() === 0;
  if (named === undefined) return isRoot ? userCalled(DEFAULT_USER) : null;
  const owner = userCalled(named);
  if (owner === null)
    throw new BellError("setup_answer", `--user: there is no user ${named} on this machine.`);
  if (isRoot || owner.uid === process.getuid?.()) return owner;
  throw new BellError("setup_answer", `--user: only root can give files to ${named}; use sudo.`);
}

/** By id(1), which asks every source of users that the machine has. */
function userCalled(name: string): Owner | null {
  if (!/^[a-z_][a-z0-9_.-]*\$?$/i.test(name)) return null;
  const numbers = (flag: string) => {
    const { exitCode, stdout } = Bun.spawnSync(["id", flag, "--", name], { stderr: "ignore" });
    return exitCode === 0 ? stdout.toString().trim().split(/\s+/).map(Number) : [];
  };
  const [uid] = numbers("-u");
  const [gid] = numbers("-g");
  if (uid === undefined || gid === undefined) return null;
  return { name, uid, gid, groups: numbers("-G") };
}

/** Whether a user can read a file by the modes of the file and of the directories above it. */
export function canRead(owner: Pick<Owner, "uid" | "gid" | "groups">, path: string): boolean {
  if (owner.uid === 0) return true;
  if (!existsSync(path) || !allows(owner, path, 0o4)) return false;
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    if (!allows(owner, directory, 0o1)) return false;
    if (directory === dirname(directory)) return true;
  }
}

function allows(
  { uid, gid, groups }: Pick<Owner, "uid" | "gid" | "groups">,
  path: string,
  bit: number,
): boolean {
  const stat = statSync(path);
  const shift = stat.uid === uid ? 6 : stat.gid === gid || groups.includes(stat.gid) ? 3 : 0;
  return ((stat.mode >> shift) & bit) !== 0;
}
