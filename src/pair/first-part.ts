// The first node's own part of joining: the pair's authority, its certificate of the link, and the section `pair` of its
// configuration.
import { createPublicKey } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { CertifiedKey } from "../keys/certificates.ts";
import { isNodeCertificate, issueNodeCertificate, makeNodeKey } from "./authority.ts";
import { pairedConfig } from "./joined-config.ts";
import { type LinkFiles, makeDirectory, ownershipOf, replaceFile } from "./link-files.ts";

/** What is ready to be written once the other node has joined. */
export interface FirstPart {
  readonly authority: CertifiedKey;
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
}

/**
 * This node's certificate of the link: the one that is there, if it is the authority's for this name, or a new one.
 * @param now epoch milliseconds
 */
export async function prepareFirstPart(
  authority: CertifiedKey,
  node: string,
  files: LinkFiles,
  now: number,
): Promise<FirstPart> {
  if (existsSync(files.certificate) && existsSync(files.key)) {
    const [certificate, key] = [readFileSync(files.certificate, "utf8"), readFileSync(files.key, "utf8")];
    if (isNodeCertificate(certificate, { authority: authority.certificate, node, key })) {
      return { authority, certificate, key };
    }
  }
  const key = await makeNodeKey();
  const publicKey = createPublicKey(key).export({ format: "pem", type: "spki" }).toString();
  return { authority, certificate: await issueNodeCertificate(authority, node, publicKey, now), key };
}

export interface FirstPlace {
  readonly node: string;
  readonly configFile: string;
  readonly files: LinkFiles;
  /** Whether the configuration has to say where they are. */
  readonly namesFiles: boolean;
  readonly listen: { readonly address: string; readonly port: number };
}

/**
 * Writes it, the configuration last.
 * @returns the files that were written
 * @throws BellError `pair_unwritable`, or `config_invalid` if the configuration was spoilt meanwhile
 */
export function writeFirstPart(
  { authority, certificate, key }: FirstPart,
  { node, configFile, files, namesFiles, listen }: FirstPlace,
  peer: { readonly name: string; readonly address: string },
): string[] {
  const directory = dirname(files.ca);
  makeDirectory(directory, 0o700, ownershipOf(dirname(directory)));
  const owner = ownershipOf(directory);
  const written: string[] = [];
  for (const [path, content] of [
    [files.caKey, authority.key],
    [files.ca, authority.certificate],
    [files.key, key],
    [files.certificate, certificate],
  ] as const) {
    if (existsSync(path) && readFileSync(path, "utf8") === content) continue;
    replaceFile(path, content, 0o600, owner);
    written.push(path);
  }
  // Read again: somebody may have edited it while the invitation was open.
  const text = readFileSync(configFile, "utf8");
  const own = { node, listen, peerName: peer.name, peer: peer.address, files: namesFiles ? files : null };
  const paired = pairedConfig(text, own, configFile, "keep");
  if (paired !== text) {
    const { mode, uid, gid } = statSync(configFile);
    replaceFile(configFile, paired, mode & 0o777, process.getuid?.() === 0 ? { uid, gid } : null);
    written.push(configFile);
  }
  return written;
}
