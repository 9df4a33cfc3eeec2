// The service's user: who is to own what is written, and what keeps him from what others wrote.
import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DELIVERED_USER } from "../../config/closing.ts";
import { BellError } from "../../errors.ts";

export interface Owner {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** All of his groups. */
  readonly groups: readonly number[];
}

/**
 * The user to whom files are to be given; null to leave them to whoever runs this.
 * @throws BellError `setup_answer` if the user that was named does not exist, or files cannot be given away
 */
export function ownerOf(named: string | undefined): Owner | null {
  const isRoot = process.getuid?.() === 0;
  if (named === undefined) return isRoot ? userCalled(DELIVERED_USER) : null;
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

/** The user with a number, by id(1); null if the machine knows none. */
export function userWith(uid: number): Owner | null {
  const { exitCode, stdout } = Bun.spawnSync(["id", "-nu", "--", String(uid)], { stderr: "ignore" });
  return exitCode === 0 ? userCalled(stdout.toString().trim()) : null;
}

/**
 * What keeps a user from reading a file that is there, by its modes: directories on its way from the top, and the file
 * itself. Of symbolic links their targets count, and the way there.
 */
export function obstacles(owner: Pick<Owner, "uid" | "gid" | "groups">, path: string): readonly string[] {
  if (owner.uid === 0) return [];
  const target = realpathSync(path);
  const ways = new Set([...directoriesAbove(path), ...directoriesAbove(target)]);
  return [
    ...[...ways].filter((directory) => !allows(owner, directory, 0o1)),
    ...(allows(owner, target, 0o4) ? [] : [target]),
  ];
}

function directoriesAbove(path: string): string[] {
  const directory = dirname(path);
  return directory === path ? [] : [...directoriesAbove(directory), directory];
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
