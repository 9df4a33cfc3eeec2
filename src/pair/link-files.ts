// The four files of the link beside the key file: the pair's authority with its key, and this node's certificate with its
// key. Written so that each is the old one or the new one, never half, and owned as their directory is.
import { chownSync, existsSync, mkdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { defaultPairFiles } from "../config/convert.ts";
import { type Environment, isCredential } from "../config/paths.ts";
import type { Config } from "../config/types.ts";
import { BellError } from "../errors.ts";
import type { CertifiedKey } from "../keys/certificates.ts";
import { type Ownership, writeInOneStep } from "../ops/files.ts";

/** Absolute paths. */
export interface LinkFiles {
  readonly ca: string;
  readonly caKey: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * Where a configuration has the link's files. What a service manager hands to the service cannot be written; where the
 * key file is one of its credentials, they are beside the database, and the configuration has to say so.
 */
export function linkFiles(config: Pick<Config, "pair" | "keys" | "store">, env: Environment): LinkFiles {
  const { ca, certificate, key } = config.pair?.tls ?? defaultPairFiles(config.keys.file);
  if (isCredential(ca, env)) return filesIn(join(dirname(config.store.path), "pair"));
  return { ca, caKey: join(dirname(ca), "ca.key"), certificate, key };
}

function filesIn(directory: string): LinkFiles {
  return {
    ca: join(directory, "ca.pem"),
    caKey: join(directory, "ca.key"),
    certificate: join(directory, "node.pem"),
    key: join(directory, "node.key"),
  };
}

/**
 * The pair's authority as this node has it, or null if it has none. Half of one where no certificate was written yet is
 * what a joining that was broken off has left: none.
 * @throws BellError `pair_authority` if there is half of it, or it cannot be read
 */
export function readAuthority({
  ca,
  caKey,
  certificate,
}: Pick<LinkFiles, "ca" | "caKey" | "certificate">): CertifiedKey | null {
  const [hasCertificate, hasKey] = [existsSync(ca), existsSync(caKey)];
  if (!hasCertificate && !hasKey) return null;
  if (!hasCertificate || !hasKey) {
    if (!existsSync(certificate)) return null;
    const [there, missing] = hasCertificate ? [ca, caKey] : [caKey, ca];
    throw new BellError("pair_authority", `There is ${there} but no ${missing}.`);
  }
  return { certificate: read(ca), key: read(caKey) };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BellError("pair_authority", `${path} cannot be read (${codeOf(cause)}).`, cause);
  }
}

/** As a directory, where this process may give files away. */
export function ownershipOf(directory: string): Ownership | null {
  if (process.getuid?.() !== 0) return null;
  const { uid, gid } = statSync(directory);
  return { uid, gid };
}

/**
 * Writes a file in one step, synced to the disk; its directory exists.
 * @throws BellError `pair_unwritable`
 */
export function replaceFile(
  path: string,
  content: string | Buffer,
  mode: number,
  owner: Ownership | null,
): void {
  attempt(path, () => {
    // A symbolic link stays one.
    const target = existsSync(path) ? realpathSync(path) : path;
    writeInOneStep(target, Buffer.from(content), mode, owner);
  });
}

/**
 * Makes a directory that is missing, with those above it, owned as what is above it.
 * @throws BellError `pair_unwritable`
 */
export function makeDirectory(path: string, mode: number, owner: Ownership | null): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path), 0o755, null);
  attempt(path, () => {
    mkdirSync(path, { mode });
    const given = owner ?? ownershipOf(dirname(path));
    if (given !== null) chownSync(path, given.uid, given.gid);
  });
}

/** Runs what touches a path. @throws BellError `pair_unwritable` that names it */
export function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new BellError("pair_unwritable", `${path} cannot be written (${codeOf(cause)}).`, cause);
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
}
