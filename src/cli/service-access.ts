// Whether the service can read the files that its configuration names, asked by somebody who can read all of them: by
// their owners and modes for the service's user, and by what the delivered unit hides from the service.
import { existsSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { closingCommand, DELIVERED_USER, exposedText, groupCommand, shellWord } from "../config/closing.ts";
import type { ConfigReading } from "../config/load.ts";
import type { FileRole } from "../config/options.ts";
import { type Environment, isCredential } from "../config/paths.ts";
import { type Finding, finding } from "../config/problems.ts";
import type { FileMention } from "../config/walk.ts";
import { type Owner, obstacles, ownerOf, userWith } from "./setup/owner.ts";

/** What the delivered unit hides, systemd.exec(5): what is there is empty for the service. */
const HIDDEN = [
  { place: "/home", setting: "ProtectHome=yes" },
  { place: "/root", setting: "ProtectHome=yes" },
  { place: "/run/user", setting: "ProtectHome=yes" },
  { place: "/tmp", setting: "PrivateTmp=yes" },
  { place: "/var/tmp", setting: "PrivateTmp=yes" },
] as const;

// What the service makes itself: whose they are, the look at the permissions tells.
const OWN: ReadonlySet<FileRole> = new Set(["store", "socket"]);

/**
 * Which user the service is: whose the database's directory is, or whom the package made.
 * @returns null for root, for nobody of this machine, and if whoever asks cannot read every file anyway
 */
export function serviceUser(files: readonly FileMention[]): Owner | null {
  const store = files.find(({ role }) => role === "store");
  if (process.getuid?.() !== 0 || store === undefined) return null;
  const directory = dirname(store.path);
  if (!existsSync(directory)) return ownerOf(undefined);
  const { uid } = statSync(directory);
  return uid === 0 ? null : userWith(uid);
}

/** What the service has against the files: problems that keep it from reading them, and warnings. */
export interface Access {
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/**
 * Judges the configuration's file and every file that it names.
 * @param service as `serviceUser` tells
 */
export function examineAccess(reading: ConfigReading, env: Environment, service: Owner | null): Access {
  const itself = resolve(reading.file);
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  const denied = (path: string, role: FileRole | null) =>
    service === null || !existsSync(path) ? null : denial(path, role, service);
  // Of one that is hidden itself the delivered unit knows nothing.
  const isElsewhere = hiddenPlace(itself) !== null;
  const own = isElsewhere ? null : denied(itself, null);
  if (own !== null) problems.push(finding("service_denied", null, "", own.seen, own.remedy));
  for (const { role, keyPath, path, at } of reading.files) {
    if (isCredential(path, env)) continue;
    const hidden = hiddenPlace(path);
    if (hidden !== null) {
      if (isElsewhere) continue;
      const { seen, remedy } = hiddenText(path, role, dirname(itself), hidden);
      warnings.push(finding("service_hidden", at, keyPath, seen, remedy));
      continue;
    }
    const complaint = OWN.has(role) ? null : denied(path, role);
    if (complaint === null) continue;
    problems.push(finding("service_denied", at, keyPath, complaint.seen, complaint.remedy));
  }
  return { problems, warnings };
}

/**
 * What may keep the service from a file that somebody is about to name, in sentences.
 * @param configFile absolute
 * @param service null where nobody knows, or for root
 */
export function serviceNotes(
  path: string,
  role: FileRole,
  configFile: string,
  service: Owner | null,
): readonly string[] {
  const hidden = hiddenPlace(configFile) === null ? hiddenPlace(path) : null;
  const mayDeny = service !== null && !OWN.has(role) && existsSync(path);
  const complaint =
    hidden !== null
      ? hiddenText(path, role, dirname(configFile), hidden)
      : mayDeny
        ? denial(path, role, service)
        : null;
  return complaint === null ? [] : [`${complaint.seen}; ${complaint.remedy}`];
}

/** What to say of a secret file that others can read, once it is known which user the service is. */
export function exposedToOthers(path: string, role: FileRole, service: Owner | null): string {
  const stat = statSync(path);
  const command = service === null ? closingCommand(path, stat) : commandFor(path, role, stat, service);
  return exposedText(path, command);
}

/** What was seen, and what to do about it: each the part of a sentence. */
export interface Complaint {
  readonly seen: string;
  readonly remedy: string;
}

/**
 * Why a user cannot read a file that is there, and the commands that let him without letting others; null if he can.
 * @param role null for the configuration's own file
 */
export function denial(path: string, role: FileRole | null, service: Owner): Complaint | null {
  const ways = obstacles(service, path);
  if (ways.length === 0 || canReadByKernel(service, path)) return null;
  const inTheWay = ways.map((each) => `${each} is ${ownersAndMode(each)}`).join(", ");
  const target = realpathSync(path);
  const commands = ways.map((each) =>
    each === target ? commandFor(each, role, statSync(each), service) : passageCommand(each, service),
  );
  return {
    seen: `${path} cannot be read by the service's user ${service.name}: ${inTheWay}`,
    remedy: `run ${[...new Set(commands)].join(" && ")}`,
  };
}

/** The command that makes a file readable to a user, and to nobody else who could not read it before. */
function commandFor(path: string, role: FileRole | null, stat: Stats, service: Owner): string {
  const word = shellWord(path);
  // It replaces its own keys.
  if (role === "keys") return `chown ${service.name}: ${word} && chmod 0600 ${word}`;
  if (stat.uid === service.uid) return `chmod 0600 ${word}`;
  if (isIn(service, stat.gid)) return `chmod 0640 ${word}`;
  // A group of its own, such as ssl-cert, in which other services are.
  const isShared = stat.gid !== 0 && stat.gid !== stat.uid && (stat.mode & 0o040) !== 0;
  if (!isShared) return groupCommand(path, groupName(service.gid));
  const closing = (stat.mode & 0o007) === 0 ? "" : ` && chmod o= ${word}`;
  return `${joinCommand(stat.gid, service)}${closing}`;
}

/** The command that lets a user through a directory. */
function passageCommand(directory: string, service: Owner): string {
  const { uid, gid, mode } = statSync(directory);
  const word = shellWord(directory);
  if (uid === service.uid) return `chmod u+x ${word}`;
  if (isIn(service, gid)) return `chmod g+x ${word}`;
  if (gid === 0) return `chgrp ${groupName(service.gid)} ${word} && chmod g+x ${word}`;
  return (mode & 0o010) !== 0 ? joinCommand(gid, service) : `chmod o+x ${word}`;
}

function joinCommand(gid: number, service: Owner): string {
  return `usermod -a -G ${groupName(gid)} ${service.name}`;
}

function isIn({ gid, groups }: Owner, group: number): boolean {
  return group === gid || groups.includes(group);
}

/** Access lists (setfacl) grant what modes do not show: the kernel knows them. False where it cannot be asked. */
function canReadByKernel({ uid, gid, groups }: Owner, path: string): boolean {
  if (Bun.which("setpriv") === null) return false;
  const who = [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${[gid, ...groups].join(",")}`];
  return Bun.spawnSync(["setpriv", ...who, "test", "-r", path], { stderr: "ignore" }).exitCode === 0;
}

/** Such as `root:root, mode 0600`. */
function ownersAndMode(path: string): string {
  const { uid, gid, mode } = statSync(path);
  const octal = (mode & 0o7777).toString(8).padStart(4, "0");
  return `${nameIn("passwd", uid)}:${groupName(gid)}, mode ${octal}`;
}

/** The name of a group, or its number where it has none. */
export function groupName(gid: number): string {
  return nameIn("group", gid);
}

/** By getent(1), which asks every source that the machine has; the number itself where it has no name. */
function nameIn(database: "passwd" | "group", id: number): string {
  if (Bun.which("getent") === null) return String(id);
  const { stdout } = Bun.spawnSync(["getent", database, String(id)], { stderr: "ignore" });
  return stdout.toString().split(":")[0] || String(id);
}

type Hidden = (typeof HIDDEN)[number];

/** Which of the hidden places a path leads to, or null. */
export function hiddenPlace(path: string): Hidden | null {
  const target = existsSync(path) ? realpathSync(path) : path;
  const isBelow = (place: string) => [path, target].some((each) => each.startsWith(`${place}/`));
  return HIDDEN.find(({ place }) => isBelow(place)) ?? null;
}

/**
 * What to say of a file in such a place.
 * @param home the directory of the configuration
 */
export function hiddenText(
  path: string,
  role: FileRole,
  home: string,
  { place, setting }: Hidden,
): Complaint {
  const copy = join(home, basename(path));
  const own = OWN.has(role) || role === "keys";
  return {
    seen: `${path} is below ${place}, which is empty for the service (${setting} in the delivered unit)`,
    remedy: own
      ? "choose a place that is not, such as the default"
      : `name a copy instead: install -o root -g ${DELIVERED_USER} -m 0640 ${shellWord(path)} ${shellWord(copy)}`,
  };
}
