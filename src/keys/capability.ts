// The capability in a callback URL: an unguessable, self-authenticating name of one folder of one registration.
// Layout: format (1) · key id (4) · registration (16) · generation (7, big endian) · folder name (1–32) · MAC (16).
import { timingSafeEqual } from "node:crypto";
import type { Capability, CapabilityCheck } from "./types.ts";

const FORMAT = 1;
const MAC_BYTES = 16;
const GENERATION_BYTES = 7;
const FOLDER_OFFSET = 1 + 4 + 16 + GENERATION_BYTES;
const FOLDER_NAME = /^[a-z0-9_-]{1,32}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const BASE64URL = /^[A-Za-z0-9_-]+$/;
// Longest: 28 + 32 + 16 bytes are 102 characters.
const LONGEST_SEGMENT = 102;

/**
 * Writes a capability as the path segment of a callback URL.
 * @param sign computes the MAC over everything before it
 * @throws RangeError if a part does not fit the layout (checked earlier, at the API's edge)
 */
export function encodeCapability(
  capability: Capability,
  keyId: Buffer,
  sign: (signed: Buffer) => Buffer,
): string {
  const { registrationId, folder, generation } = capability;
  if (!UUID.test(registrationId) || !FOLDER_NAME.test(folder) || !Number.isSafeInteger(generation)) {
    throw new RangeError("A capability needs a canonical UUID, a folder name and a whole generation.");
  }
  const signed = Buffer.alloc(FOLDER_OFFSET + folder.length);
  signed[0] = FORMAT;
  keyId.copy(signed, 1);
  signed.write(registrationId.replaceAll("-", ""), 5, "hex");
  // 53 bits in 7 bytes: the upper byte holds what is above 48 bits.
  signed.writeUInt8(Math.floor(generation / 2 ** 48), 21);
  signed.writeUIntBE(generation % 2 ** 48, 22, 6);
  signed.write(folder, FOLDER_OFFSET, "latin1");
  return Buffer.concat([signed, sign(signed).subarray(0, MAC_BYTES)]).toString("base64url");
}

/**
 * Checks a path segment.
 * @param sign computes the MAC with the key of that id (8 hex digits), or returns null if there is no such key
 */
export function decodeCapability(
  segment: string,
  sign: (keyId: string, signed: Buffer) => Buffer | null,
): CapabilityCheck {
  if (segment.length > LONGEST_SEGMENT || !BASE64URL.test(segment)) return { kind: "forged" };
  const bytes = Buffer.from(segment, "base64url");
  // A second spelling of the same bytes (stray low bits) is refused: one folder, one URL.
  if (bytes.length <= FOLDER_OFFSET + MAC_BYTES || bytes.toString("base64url") !== segment)
    return { kind: "forged" };
  if (bytes[0] !== FORMAT) return { kind: "forged" };
  const end = bytes.length - MAC_BYTES;
  const folder = bytes.toString("latin1", FOLDER_OFFSET, end);
  if (!FOLDER_NAME.test(folder)) return { kind: "forged" };
  const keyId = bytes.toString("hex", 1, 5);
  const expected = sign(keyId, bytes.subarray(0, end));
  if (expected === null) return { kind: "unknown_key", keyId };
  if (!timingSafeEqual(expected.subarray(0, MAC_BYTES), bytes.subarray(end))) return { kind: "forged" };
  return {
    kind: "valid",
    capability: {
      registrationId: uuidText(bytes, 5),
      folder,
      generation: bytes.readUInt8(21) * 2 ** 48 + bytes.readUIntBE(22, 6),
    },
  };
}

/** The canonical text of the UUID that stands at `offset`. */
export function uuidText(bytes: Buffer, offset = 0): string {
  const hex = bytes.toString("hex", offset, offset + 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
