// What a phone proves itself with: the registration's own secret, or the enrolment secret for a new one.
// Every comparison takes the same time whether it fits or not.
import { createHash, timingSafeEqual } from "node:crypto";
import type { Keyring } from "../keys/types.ts";

// More than any secret needs; what is longer is not looked at.
const MAX_BEARER_LENGTH = 1024;

/** The token of an `Authorization: Bearer` header (RFC 6750 section 2.1), or null. */
export function bearerToken(authorization: string | undefined): string | null {
  if (authorization === undefined || authorization.length > MAX_BEARER_LENGTH) return null;
  return /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? null;
}

/** Whether a bearer is one of the enrolment secrets. Looks at all of them, always. */
export function isEnrolled(bearer: string | null, enrolmentSecrets: readonly string[]): boolean {
  if (bearer === null) return false;
  const given = digest(bearer);
  let found = false;
  for (const secret of enrolmentSecrets) {
    if (timingSafeEqual(given, digest(secret))) found = true;
  }
  return found;
}

/** What is kept of a registration's secret. Bound to the id, so that equal secrets do not look equal. */
export function hashSecret(keyring: Keyring, registrationId: string, secret: string): Buffer {
  return keyring.mac("secret", `${registrationId} ${secret}`);
}

/** Compares two hashes in constant time; hashes of different length are different. */
export function sameHash(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

function digest(value: string): Buffer {
  return createHash("sha256").update(value, "utf8").digest();
}
