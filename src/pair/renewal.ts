// Renews this node's certificate of the link by itself, long before it ends, with the pair's authority that lies beside
// it. The node's key stays, so that there is one file to replace and no moment at which two do not belong together.
import { createPublicKey } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PairFiles } from "../config/types.ts";
import { isBellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";
import { isRenewalDue, issueNodeCertificate } from "./authority.ts";
import type { LinkIdentity } from "./dial.ts";
import { readAuthority, replaceFile } from "./link-files.ts";

/**
 * Renews the node's certificate if two thirds of its life are over.
 * @param files of `pair.tls`
 * @param now epoch milliseconds
 * @returns what the link is to use from now on, or null if nothing had to be done, or the certificates are not the pair's
 *   own but an administrator's, who renews them
 * @throws BellError `pair_authority` or `pair_unwritable`
 */
export async function renewPairCertificate(
  files: PairFiles,
  node: string,
  now: number,
): Promise<LinkIdentity | null> {
  const caKey = join(dirname(files.ca), "ca.key");
  if (!existsSync(caKey)) return null;
  const [certificate, key] = [readFileSync(files.certificate, "utf8"), readFileSync(files.key, "utf8")];
  if (!isRenewalDue(certificate, now)) return null;
  const authority = readAuthority({ ...files, caKey });
  if (authority === null) return null;
  const publicKey = createPublicKey(key).export({ format: "pem", type: "spki" }).toString();
  const renewed = await issueNodeCertificate(authority, node, publicKey, now);
  const { mode, uid, gid } = statSync(files.certificate);
  const owner = process.getuid?.() === 0 ? { uid, gid } : null;
  replaceFile(files.certificate, renewed, mode & 0o777, owner);
  return { ca: authority.certificate, certificate: renewed, key };
}

export interface PairRenewalOptions {
  /** Where they are at the moment: a reload may name others. */
  readonly files: () => PairFiles;
  readonly node: string;
  /** Hands a new certificate to the link. */
  readonly renewed: (identity: LinkIdentity) => void;
  readonly log: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly everyMs?: number;
}

export interface PairRenewal {
  start(): void;
  stop(): Promise<void>;
}

// It is due for a month, so that a minute does not matter; but one that was made while the clock was wrong keeps the
// link down until it is replaced.
const EVERY_MS = 60_000;
// A failure that goes on is told once in so many tries: an hour.
const TRIES_PER_LINE = 60;

/** Looks at the certificate at the start and every minute. */
export function createPairRenewal(options: PairRenewalOptions): PairRenewal {
  const { node, renewed, log, now, everyMs = EVERY_MS } = options;
  let timer: ReturnType<typeof setInterval> | null = null;
  let looking: Promise<void> = Promise.resolve();
  let isStopped = false;
  let failures = 0;

  async function look(): Promise<void> {
    const files = options.files();
    try {
      const identity = await renewPairCertificate(files, node, now());
      failures = 0;
      if (identity === null || isStopped) return;
      renewed(identity);
      log.info({ file: files.certificate }, "The certificate of the pair's link was renewed.");
    } catch (error) {
      failures += 1;
      if (failures % TRIES_PER_LINE !== 1) return;
      const fields = { file: files.certificate, ...(isBellError(error) ? { code: error.code } : {}) };
      log.error(
        { ...fields, reason: String(error) },
        "The certificate of the pair's link is due and cannot be renewed; it is tried again every minute.",
      );
    }
  }
  return {
    start() {
      isStopped = false;
      looking = look();
      timer = setInterval(() => {
        looking = looking.then(look);
      }, everyMs);
    },
    async stop() {
      isStopped = true;
      if (timer !== null) clearInterval(timer);
      timer = null;
      await looking;
    },
  };
}
