// The directories of the files that a node makes itself. None of them is made by the node: whether a place is right, and
// whose it is, an administrator or the service manager decides. `serve` and `check` say the same of a missing one.
import { existsSync } from "node:fs";
import { dirname } from "node:path";

/** What a node makes itself. */
export type OwnFile = "key file" | "database" | "control socket";

/** Made by systemd for the delivered unit, by RuntimeDirectory= and StateDirectory=: there once the service has started. */
const MADE_BY_SYSTEMD: readonly string[] = ["/run/inboxbell", "/var/lib/inboxbell"];

/** A sentence for the directory that a file would be made in, or null if it is there. */
export function missingDirectory(what: OwnFile, file: string): string | null {
  const directory = dirname(file);
  if (existsSync(directory)) return null;
  return isMadeBySystemd(file)
    ? `The directory ${directory} of the ${what} does not exist. systemd makes it when it starts the service; for a start by hand create it and make the service's user its owner.`
    : `The directory ${directory} of the ${what} does not exist. Create it and make the service's user its owner.`;
}

/** Whether the service manager makes this file's directory, so that it may be missing while the service does not run. */
export function isMadeBySystemd(file: string): boolean {
  return MADE_BY_SYSTEMD.includes(dirname(file));
}
