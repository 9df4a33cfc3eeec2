// What the first node hands to the second one: its configuration, the key file, and the secret files that both need.
import { readFileSync, statSync } from "node:fs";
import type { ConfigReading } from "../config/load.ts";
import type { FileRole } from "../config/options.ts";
import { type Environment, isCredential } from "../config/paths.ts";
import { readPublicFile } from "../config/secret-files.ts";
import { BellError } from "../errors.ts";
import { parseKeyFile } from "../keys/key-file.ts";
import type { Parcel, SharedFile } from "./join-messages.ts";

/** The first node's shared part, read and checked. */
export type Shared = Pick<Parcel, "configuration" | "keys" | "files">;

/**
 * Reads it all, so that what is missing or unreadable shows before anybody is invited.
 * @param reading of the configuration file, without problems
 * @param text of that file
 * @throws BellError of the file that cannot be read
 */
export function readShared(reading: ConfigReading, text: string, env: Environment): Shared {
  const files: SharedFile[] = [];
  for (const { keyPath, role, path } of reading.files) {
    if (isOwn(role)) continue;
    // What systemd hands to the service it hands to it on the other node too.
    if (isCredential(path, env)) continue;
    const content = readPublicFile(path);
    files.push({ keyPath, mode: statSync(path).mode & 0o777, content: content.toString("base64") });
  }
  return { configuration: text, keys: readKeys(reading, env), files };
}

/** Whether a file is each node's own, or (the key file) goes by itself. */
export function isOwn(role: FileRole): boolean {
  switch (role) {
    case "store":
    case "socket":
    case "keys":
    case "pair_ca":
    case "pair_certificate":
    case "pair_key":
      return true;
    case "tls_certificate":
    case "tls_key":
    case "apns_key":
    case "apns_certificate":
    case "apns_password":
    case "proxy_password":
    case "service_account":
    case "enrolment_secret":
    case "ca":
      return false;
  }
}

/** Without what a node keeps apart for its listeners. */
export function withoutCertificates(shared: Shared): Shared {
  return { ...shared, files: shared.files.filter(({ keyPath }) => !isListenerFile(keyPath)) };
}

/** Whether a key names a certificate or key of a listener. */
export function isListenerFile(keyPath: string): boolean {
  return /^listen\.[a-z]+\.tls\./.test(keyPath);
}

function readKeys({ files, config }: ConfigReading, env: Environment): string | null {
  const path = files.find(({ role }) => role === "keys")?.path ?? config?.keys.file;
  if (path === undefined || isCredential(path, env)) return null;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw new BellError(
      isMissing ? "keys_missing" : "secret_unreadable",
      isMissing
        ? `There is no key file ${path} yet: start the service once, which makes it, and invite then.`
        : `The key file ${path} cannot be read.`,
      cause,
    );
  }
  if (parseKeyFile(text) === null) throw new BellError("keys_invalid", `The key file ${path} is damaged.`);
  return text;
}
