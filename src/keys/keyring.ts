// Sealing, keyed hashes and deterministic ids, all derived from the key file. Key material stays in this room.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { BellError } from "../errors.ts";
import { decodeCapability, encodeCapability } from "./capability.ts";
import type { KeyFile } from "./key-file.ts";
import type { Capability, CapabilityCheck, Keyring, MacPurpose } from "./types.ts";

// Truncated to 128 bits: keyed, so only collisions by chance matter, and those are out of reach.
const MAC_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_BYTES = 4;
const SEAL_FORMAT = 1;
const SEAL_HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES;
const MARKED = "inboxbell database";

interface DerivedKey {
  readonly id: Buffer;
  readonly seal: Buffer;
  readonly capability: Buffer;
  readonly mark: Buffer;
}

function derive(secret: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "inboxbell", purpose, 32));
}

function hmac(key: Buffer, value: string | Buffer): Buffer {
  return createHmac("sha256", key).update(value).digest();
}

/**
 * Makes the keyring from the contents of a key file.
 * @param file checked contents, see `key-file.ts`
 */
export function createKeyring(file: KeyFile): Keyring {
  const keys = new Map<string, DerivedKey>();
  for (const key of file.keys) {
    keys.set(key.id, {
      id: Buffer.from(key.id, "hex"),
      seal: derive(key.secret, "seal"),
      capability: derive(key.secret, "capability"),
      mark: derive(key.secret, "database mark"),
    });
  }
  const found = keys.get(file.current);
  if (found === undefined) {
    throw new BellError(
      "keys_invalid",
      `The key file names ${file.current} as current but does not hold it.`,
    );
  }
  const current = found;
  const purposes: readonly MacPurpose[] = [
    "token",
    "secret",
    "subject",
    "subscription",
    "folder",
    "watermark",
    "server",
    "log",
  ];
  const macKeys = new Map<string, Buffer>();
  for (const purpose of [...purposes, "uuid", "database"])
    macKeys.set(purpose, derive(file.lookup, `mac ${purpose}`));
  const macKey = (purpose: string): Buffer => {
    const key = macKeys.get(purpose);
    if (key === undefined) throw new BellError("internal", `No key is derived for ${purpose}.`);
    return key;
  };

  // Under both kinds of key: rows are found by the one and opened with the other.
  const proof = ({ mark }: DerivedKey): Buffer => hmac(mark, hmac(macKey("database"), MARKED));

  return {
    seal(plain, rowId, column) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", current.seal, nonce);
      cipher.setAAD(associatedData(rowId, column));
      const sealed = Buffer.concat([cipher.update(plain, "utf8"), cipher.final()]);
      return Buffer.concat([Buffer.of(SEAL_FORMAT), current.id, nonce, sealed, cipher.getAuthTag()]);
    },

    open(sealed, rowId, column) {
      if (sealed.length < SEAL_HEADER_BYTES + TAG_BYTES || sealed[0] !== SEAL_FORMAT) {
        throw new BellError("keys_invalid", `A sealed ${column} has an unknown format.`);
      }
      const keyId = sealed.toString("hex", 1, 1 + KEY_ID_BYTES);
      const key = keys.get(keyId);
      if (key === undefined) {
        throw new BellError(
          "key_unknown",
          `A ${column} is sealed with key ${keyId}, which the key file lacks.`,
        );
      }
      const nonce = sealed.subarray(1 + KEY_ID_BYTES, SEAL_HEADER_BYTES);
      const decipher = createDecipheriv("aes-256-gcm", key.seal, nonce);
      decipher.setAAD(associatedData(rowId, column));
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
      try {
        const body = sealed.subarray(SEAL_HEADER_BYTES, sealed.length - TAG_BYTES);
        return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
      } catch (cause) {
        throw new BellError("keys_invalid", `A sealed ${column} does not open with its key.`, cause);
      }
    },

    mac(purpose, value) {
      return hmac(macKey(purpose), value).subarray(0, MAC_BYTES);
    },

    logId(value) {
      return hmac(macKey("log"), value).toString("hex", 0, 5);
    },

    mintCapability(capability: Capability): string {
      return encodeCapability(capability, current.id, (signed) => hmac(current.capability, signed));
    },

    checkCapability(segment: string): CapabilityCheck {
      return decodeCapability(segment, (keyId, signed) => {
        const key = keys.get(keyId);
        return key === undefined ? null : hmac(key.capability, signed);
      });
    },

    databaseMark: () => `${current.id.toString("hex")}:${proof(current).toString("base64url")}`,

    wrote(mark) {
      const [keyId = "", proven = ""] = mark.split(":");
      const key = keys.get(keyId);
      if (key === undefined) return false;
      const [expected, given] = [proof(key), Buffer.from(proven, "base64url")];
      return expected.length === given.length && timingSafeEqual(expected, given);
    },

    uuidFrom(...parts) {
      // Length-prefixed, so that ("ab","c") and ("a","bc") differ. Version 8 of RFC 9562: own construction.
      const bytes = hmac(macKey("uuid"), parts.map((part) => `${part.length}:${part}`).join("")).subarray(
        0,
        16,
      );
      bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
      bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
      const hex = bytes.toString("hex");
      return [
        hex.slice(0, 8),
        hex.slice(8, 12),
        hex.slice(12, 16),
        hex.slice(16, 20),
        hex.slice(20, 32),
      ].join("-");
    },
  };
}

function associatedData(rowId: string, column: string): Buffer {
  return Buffer.from(`${rowId}\0${column}`, "utf8");
}
