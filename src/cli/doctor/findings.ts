// The catalogue of what `doctor` can find: each has a stable code, which scripts and docs/troubleshooting.md refer to.
// What is said of each is in catalogue/, by the part of the way; the probes are in the files beside this one.
import { CERTIFICATE_FINDINGS } from "./catalogue/certificates.ts";
import { EGRESS_FINDINGS } from "./catalogue/egress.ts";
import type { Finding, Hop } from "./catalogue/finding.ts";
import { HOST_FINDINGS } from "./catalogue/host.ts";
import { PAIR_FINDINGS } from "./catalogue/pair.ts";
import { PUBLIC_FINDINGS } from "./catalogue/public.ts";

// Codes are never renamed and never reused.
export const FINDINGS = {
  ...HOST_FINDINGS,
  ...CERTIFICATE_FINDINGS,
  ...PUBLIC_FINDINGS,
  ...EGRESS_FINDINGS,
  ...PAIR_FINDINGS,
} as const satisfies Record<string, Finding>;

export type FindingCode = keyof typeof FINDINGS;

/** What one look gave. */
export interface Result {
  readonly hop: Hop;
  readonly level: "ok" | "warning" | "failure";
  /** `ok`, or a code of the catalogue. */
  readonly code: FindingCode | "ok";
  /** What was looked at: a file, an address, an app. */
  readonly subject: string;
  /** What was seen there. Never a secret, a token or an id. */
  readonly seen: string;
  /** What to do; null where nothing has to be done. */
  readonly remedy: string | null;
}

/** A look that found nothing wrong. */
export function good(hop: Hop, subject: string, seen: string): Result {
  return { hop, level: "ok", code: "ok", subject, seen, remedy: null };
}

/** @param remedy a more particular one than the catalogue's */
export function found(code: FindingCode, subject: string, seen: string, remedy?: string): Result {
  const { hop, level, remedy: usual } = FINDINGS[code];
  return { hop, level, code, subject, seen, remedy: remedy ?? usual };
}
