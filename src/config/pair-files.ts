// Reads the link's three files: the pair's authority, this node's certificate by it, and its key. `check` and the start
// say the same of them.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { BellError } from "../errors.ts";
import type { Environment } from "./paths.ts";
import { certificateBlocks, readPublicFile, readSecretFile } from "./secret-files.ts";
import type { PairFiles } from "./types.ts";

/** PEM texts, and what the certificate says. */
export interface PairIdentity {
  readonly ca: string;
  readonly certificate: string;
  /** Never logged. */
  readonly key: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  /** A sentence if it is not in date, or null. */
  readonly outOfDate: string | null;
}

/**
 * Reads and checks them together; whether the certificate is in date is for the caller to judge.
 * @param node this node's name, which the certificate has to prove
 * @param now epoch milliseconds
 * @throws BellError `pair_files`, `secret_unreadable`, `secret_exposed` or `tls_invalid`, naming the file
 */
export function readPairFiles(files: PairFiles, node: string, env: Environment, now: number): PairIdentity {
  const missing = [files.ca, files.certificate, files.key].filter((path) => !existsSync(path));
  if (missing.length > 0) {
    throw new BellError(
      "pair_files",
      `This node has not joined yet: there is no ${missing.join(" and no ")}. Run \`inboxbell pair invite\` on the node that has the phones and \`inboxbell pair join\` on the other one.`,
    );
  }
  const ca = readPublicFile(files.ca).toString("utf8");
  const certificate = readPublicFile(files.certificate).toString("utf8");
  const key = readSecretFile(files.key, env).toString("utf8");
  const [authority, leaf, own] = [
    only(ca, files.ca),
    only(certificate, files.certificate),
    keyOf(key, files.key),
  ];
  const refuse = (sentence: string) => new BellError("tls_invalid", sentence);
  if (!leaf.checkPrivateKey(own)) throw refuse(`${files.key} is not the key of ${files.certificate}.`);
  if (!leaf.checkIssued(authority) || !leaf.verify(authority.publicKey)) {
    throw refuse(`${files.certificate} was not issued by ${files.ca}: the two are of different pairs.`);
  }
  if (!isFor(leaf, node)) {
    throw refuse(
      `${files.certificate} is not a certificate for "${node}" (it names ${leaf.subjectAltName ?? "nobody"}): the node was called otherwise when it joined.`,
    );
  }
  const [validFrom, expiresAt] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const outOfDate =
    expiresAt <= now
      ? `${files.certificate} expired on ${day(expiresAt)}: the other node will not accept this one.`
      : validFrom > now
        ? `${files.certificate} is not valid before ${day(validFrom)}: check it, and this server's clock.`
        : null;
  return { ca, certificate, key, expiresAt, outOfDate };
}

/** As the link checks it: by the alternative names, like every TLS client. */
function isFor(leaf: X509Certificate, node: string): boolean {
  if (isIP(node) !== 0) return leaf.checkIP(node) !== undefined;
  return leaf.checkHost(node, { subject: "never" }) !== undefined;
}

function only(pem: string, path: string): X509Certificate {
  const [block] = certificateBlocks(pem);
  try {
    if (block !== undefined) return new X509Certificate(block);
  } catch {
    // Said below, as for a file without any.
  }
  throw new BellError("tls_invalid", `${path}: expected a certificate in PEM.`);
}

function keyOf(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new BellError("tls_invalid", `${path}: expected an unencrypted private key in PEM.`);
  }
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
