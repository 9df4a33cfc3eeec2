// How a secret file that others can read is closed to them, and stays readable to the service: the command for the
// administrator. Which user the service is, can only be guessed here; `check` knows it when root runs it.
import { readFileSync, type Stats } from "node:fs";

/** Whose the delivered unit is: User= and Group=. */
export const DELIVERED_USER = "inboxbell";

/** The sentence about a file that users outside its owner and group may read or change. */
export function exposedText(what: string, command: string): string {
  return `${what} can be read or changed by other users. Run: ${command}`;
}

/** Who has read a file and complains, in numbers. */
export interface Reader {
  readonly uid: number;
  readonly gid: number;
  /** The group of the delivered unit's user; null where it is not installed. */
  readonly delivered: number | null;
}

/**
 * The command that leaves a file to the service alone. `chmod 0600` on a file that root, or an administrator, has copied
 * would take it from the service.
 */
export function closingCommand(path: string, { uid }: Pick<Stats, "uid">, reader: Reader = self()): string {
  const isOwn = uid === reader.uid;
  if (reader.delivered !== null) {
    const isService = reader.gid === reader.delivered;
    return isOwn && isService ? ownerCommand(path) : groupCommand(path, DELIVERED_USER);
  }
  return isOwn || reader.uid === 0 ? ownerCommand(path) : groupCommand(path, String(reader.gid));
}

function self(): Reader {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, delivered: deliveredGroup() };
}

function ownerCommand(path: string): string {
  return `chmod 0600 ${shellWord(path)}`;
}

/** Makes a file readable to its owner and to a group, and to nobody else. */
export function groupCommand(path: string, group: string): string {
  const word = shellWord(path);
  return `chgrp ${group} ${word} && chmod 0640 ${word}`;
}

/** Its number, or null where there is none: the packages write it there, by systemd-sysusers(8). */
function deliveredGroup(): number | null {
  try {
    const line = new RegExp(`^${DELIVERED_USER}:[^:]*:(\\d+):`, "m").exec(readFileSync("/etc/group", "utf8"));
    return line === null ? null : Number(line[1]);
  } catch {
    return null;
  }
}

/** As a shell takes it for one word. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
