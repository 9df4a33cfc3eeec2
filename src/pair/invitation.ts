// The one-time code of an invitation: where the first node waits, by which certificate it is known, and a secret. What a
// person copies from one terminal into another, so it says when it was copied wrongly. Pure.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export interface Invitation {
  readonly host: string;
  readonly port: number;
  /** Of the certificate that waits there: SHA-256, its first 16 bytes. */
  readonly fingerprint: Buffer;
  /** 128 random bits. */
  readonly secret: Buffer;
}

/** What is wrong with a code. */
export type CodeFault =
  /** Cut off, mistyped, or something else. */
  | "damaged"
  /** Made by a version that makes others. */
  | "foreign";

const FORMAT = 1;
export const SECRET_BYTES = 16;
// Whoever wants to be taken for the first node would have to find a second certificate with this digest: 2^128 tries.
const FINGERPRINT_BYTES = 16;
// One slip in sixteen million is not noticed here; the first node notices it.
const CHECKSUM_BYTES = 3;
const PORT_BYTES = 2;
const HEAD_BYTES = 1 + SECRET_BYTES + FINGERPRINT_BYTES + PORT_BYTES;
// DNS names have no more.
const LONGEST_HOST = 253;
const GROUP = 5;
// Douglas Crockford's base32: no I, L, O and U, which are taken for 1, 1, 0 and V.
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** @param der of a certificate */
export function fingerprintOf(der: Buffer): Buffer {
  return createHash("sha256").update(der).digest().subarray(0, FINGERPRINT_BYTES);
}

/** The code: groups of five letters and digits, joined by dashes. */
export function encodeInvitation({ host, port, fingerprint, secret }: Invitation): string {
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = FORMAT;
  secret.copy(head, 1, 0, SECRET_BYTES);
  fingerprint.copy(head, 1 + SECRET_BYTES, 0, FINGERPRINT_BYTES);
  head.writeUInt16BE(port, HEAD_BYTES - PORT_BYTES);
  const body = Buffer.concat([head, Buffer.from(host, "utf8")]);
  const digits = toBase32(Buffer.concat([body, checksum(body)]));
  return (digits.match(new RegExp(`.{1,${GROUP}}`, "g")) ?? []).join("-");
}

/** Reads a code as it was typed or pasted: case, spaces, line ends and dashes do not matter. */
export function decodeInvitation(code: string): Invitation | CodeFault {
  const bytes = fromBase32(code.replaceAll(/[\s-]+/g, ""));
  if (bytes === null || bytes.length <= HEAD_BYTES + CHECKSUM_BYTES) return "damaged";
  const body = bytes.subarray(0, -CHECKSUM_BYTES);
  if (!checksum(body).equals(bytes.subarray(-CHECKSUM_BYTES))) return "damaged";
  if (body[0] !== FORMAT) return "foreign";
  const host = body.subarray(HEAD_BYTES).toString("utf8");
  if (host.length > LONGEST_HOST) return "damaged";
  return {
    host,
    port: body.readUInt16BE(HEAD_BYTES - PORT_BYTES),
    secret: body.subarray(1, 1 + SECRET_BYTES),
    fingerprint: body.subarray(1 + SECRET_BYTES, 1 + SECRET_BYTES + FINGERPRINT_BYTES),
  };
}

/**
 * Proves the secret without sending it: a keyed hash of what is said and of the certificate that it is said to, so that
 * it is of no use with other words or to somebody else.
 */
export function proofOf(
  { secret, fingerprint }: Pick<Invitation, "secret" | "fingerprint">,
  words: string,
): Buffer {
  return createHmac("sha256", secret)
    .update(`inboxbell-join-${FORMAT}\n`)
    .update(fingerprint)
    .update(words)
    .digest();
}

/** In constant time. */
export function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function checksum(body: Buffer): Buffer {
  return createHash("sha256").update("inboxbell-code").update(body).digest().subarray(0, CHECKSUM_BYTES);
}

function toBase32(bytes: Buffer): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += DIGITS[(value >> bits) & 31] ?? "";
      value &= (1 << bits) - 1;
    }
  }
  return bits === 0 ? text : text + (DIGITS[(value << (5 - bits)) & 31] ?? "");
}

function fromBase32(text: string): Buffer | null {
  const plain = text.toUpperCase().replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const letter of plain) {
    const digit = DIGITS.indexOf(letter);
    if (digit < 0) return null;
    value = (value << 5) | digit;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((value >> bits) & 255);
      value &= (1 << bits) - 1;
    }
  }
  // What is left over is less than a byte, and zero.
  return value === 0 && bits < 5 ? Buffer.from(bytes) : null;
}
