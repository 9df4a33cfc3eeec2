// The encryption of a backup: a key from a passphrase (scrypt, RFC 7914), and AES-256-GCM over chunks whose nonces say
// which one it is and whether it is the last, so that nothing can be cut off, swapped or repeated (the STREAM
// construction: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
// Misuse-Resistance", 2015).
import { createCipheriv, createDecipheriv, createHmac, scryptSync, timingSafeEqual } from "node:crypto";
import { BellError } from "../errors.ts";

// Header: magic (16) · version (1) · log2 N (1) · r (1) · p (1) · salt (16) · nonce prefix (7) · zero (1) · MAC (32).
const MAGIC = Buffer.from("INBOXBELL-BACKUP", "latin1");
const VERSION = 1;
const PLAIN_HEADER_BYTES = 44;
export const HEADER_BYTES = PLAIN_HEADER_BYTES + 32;
const SALT_BYTES = 16;
const PREFIX_BYTES = 7;
const TAG_BYTES = 16;
const CHUNK_BYTES = 65_536;

// 128 MB and half a second for each guess (OWASP Password Storage Cheat Sheet: N=2^17, r=8, p=1).
const COST = { logN: 17, r: 8, p: 1 } as const;
// What a file may ask for: a crafted header must not use up this machine's memory (1 GB).
const MOST_COST = { logN: 20, r: 8, p: 4 } as const;

/** Shorter ones are found by trying. Characters. */
export const SHORTEST_PASSPHRASE = 12;

interface Keys {
  readonly seal: Buffer;
  readonly header: Buffer;
}

/** What a guess at the passphrase costs. */
export interface Cost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

function deriveKeys(passphrase: string, salt: Buffer, { logN, r, p }: Cost): Keys {
  const N = 2 ** logN;
  // One passphrase typed on two keyboards: accents may be composed or not.
  const bytes = scryptSync(passphrase.normalize("NFC"), salt, 64, { N, r, p, maxmem: 256 * N * r });
  return { seal: bytes.subarray(0, 32), header: bytes.subarray(32) };
}

function nonceOf(prefix: Buffer, chunk: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  prefix.copy(nonce);
  nonce.writeUInt32BE(chunk, PREFIX_BYTES);
  nonce.writeUInt8(isLast ? 1 : 0, 11);
  return nonce;
}

/** @throws `passphrase_unfit` if it is too short for a new backup */
export function checkPassphrase(passphrase: string): void {
  if ([...passphrase].length >= SHORTEST_PASSPHRASE) return;
  throw new BellError(
    "passphrase_unfit",
    `The passphrase is shorter than ${SHORTEST_PASSPHRASE} characters: whoever gets the backup could find it by trying.`,
  );
}

export interface Sealer {
  write(plain: Buffer): void;
  /** Seals what is left as the last chunk. */
  end(): void;
}

/**
 * Seals a stream.
 * @param random bytes from a secure source
 * @param out takes the sealed bytes in order
 * @param cost less than the default is for tests
 * @throws `passphrase_unfit` if it is too short
 */
export function createSealer(
  passphrase: string,
  random: (count: number) => Buffer,
  out: (bytes: Buffer) => void,
  cost: Cost = COST,
): Sealer {
  checkPassphrase(passphrase);
  const [salt, prefix] = [random(SALT_BYTES), random(PREFIX_BYTES)];
  const keys = deriveKeys(passphrase, salt, cost);
  const plainHeader = Buffer.concat([
    MAGIC,
    Buffer.of(VERSION, cost.logN, cost.r, cost.p),
    salt,
    prefix,
    Buffer.of(0),
  ]);
  const header = Buffer.concat([plainHeader, createHmac("sha256", keys.header).update(plainHeader).digest()]);
  out(header);
  let pending: Buffer = Buffer.alloc(0);
  let chunk = 0;

  function seal(plain: Buffer, isLast: boolean): void {
    const cipher = createCipheriv("aes-256-gcm", keys.seal, nonceOf(prefix, chunk, isLast));
    cipher.setAAD(header);
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    out(Buffer.concat([sealed, cipher.getAuthTag()]));
    chunk += 1;
  }

  return {
    write(plain) {
      pending = pending.length === 0 ? plain : Buffer.concat([pending, plain]);
      let at = 0;
      // What fills a chunk exactly is kept back: it may be the last one.
      for (; pending.length - at > CHUNK_BYTES; at += CHUNK_BYTES) {
        seal(pending.subarray(at, at + CHUNK_BYTES), false);
      }
      pending = Buffer.from(pending.subarray(at));
    },
    end() {
      seal(pending, true);
    },
  };
}

/**
 * Opens a sealed stream, chunk by chunk; each is authentic when it is given out.
 * @param read gives up to so many of the next bytes, fewer only at the end
 * @param name of the file, for messages
 * @throws `backup_invalid` or `backup_passphrase`
 */
export function* openSealed(
  read: (bytes: number) => Buffer,
  passphrase: string,
  name: string,
): Generator<Buffer, void, undefined> {
  const header = read(HEADER_BYTES);
  const { salt, prefix, cost } = readHeader(header, name);
  const keys = deriveKeys(passphrase, salt, cost);
  const mac = createHmac("sha256", keys.header).update(header.subarray(0, PLAIN_HEADER_BYTES)).digest();
  if (!timingSafeEqual(mac, header.subarray(PLAIN_HEADER_BYTES))) {
    throw new BellError(
      "backup_passphrase",
      `The backup ${name} was made with another passphrase, or its beginning is damaged.`,
    );
  }
  let sealed = read(CHUNK_BYTES + TAG_BYTES);
  for (let chunk = 0; ; chunk += 1) {
    const following = read(CHUNK_BYTES + TAG_BYTES);
    const isLast = following.length === 0;
    yield openChunk(sealed, nonceOf(prefix, chunk, isLast), keys.seal, header, name);
    if (isLast) return;
    sealed = following;
  }
}

function openChunk(sealed: Buffer, nonce: Buffer, key: Buffer, header: Buffer, name: string): Buffer {
  const end = sealed.length - TAG_BYTES;
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(header);
    decipher.setAuthTag(sealed.subarray(Math.max(0, end)));
    return Buffer.concat([decipher.update(sealed.subarray(0, Math.max(0, end))), decipher.final()]);
  } catch (cause) {
    throw new BellError("backup_invalid", `The backup ${name} is damaged or was cut off.`, cause);
  }
}

function readHeader(header: Buffer, name: string) {
  if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new BellError("backup_invalid", `${name} is not a backup of Inboxbell.`);
  }
  const [version = 0, logN = 0, r = 0, p = 0] = header.subarray(MAGIC.length);
  if (version !== VERSION) {
    throw new BellError(
      "backup_invalid",
      `The backup ${name} has format ${version}; this version knows format ${VERSION}.`,
    );
  }
  if (logN < 10 || logN > MOST_COST.logN || r < 1 || r > MOST_COST.r || p < 1 || p > MOST_COST.p) {
    throw new BellError("backup_invalid", `The beginning of the backup ${name} is damaged.`);
  }
  const salt = header.subarray(20, 20 + SALT_BYTES);
  const prefix = header.subarray(20 + SALT_BYTES, 20 + SALT_BYTES + PREFIX_BYTES);
  return { salt, prefix, cost: { logN, r, p } };
}
