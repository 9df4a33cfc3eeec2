// What the keys can do for the other rooms. The key material itself never leaves keys/.

/** What a keyed hash is for: the same value hashed for two purposes gives unrelated results. */
export type MacPurpose =
  | "token"
  | "secret"
  | "subject"
  | "subscription"
  | "folder"
  | "watermark"
  | "server"
  | "log";

/** What a callback URL of one folder proves, once its capability has been verified. */
export interface Capability {
  /** UUID of the registration, lower case with dashes. */
  readonly registrationId: string;
  readonly folder: string;
  /** The registration's revision that opened this generation of the folder's subscription. */
  readonly generation: number;
}

export type CapabilityCheck =
  | { readonly kind: "valid"; readonly capability: Capability }
  /** Not made by this product, cut off, or tampered with. */
  | { readonly kind: "forged" }
  /** Well formed, but its key is not in the key file. */
  | { readonly kind: "unknown_key"; readonly keyId: string };

export interface Keyring {
  /** Seals a value for one row and column (AES-256-GCM); the same pair must be given to open it. */
  seal(plain: string, rowId: string, column: string): Buffer;
  /** Opens a sealed value. Throws `key_unknown` or `keys_invalid`. */
  open(sealed: Buffer, rowId: string, column: string): string;
  /** Keyed hash of 16 bytes (HMAC-SHA-256, truncated). */
  mac(purpose: MacPurpose, value: string): Buffer;
  /** Short keyed hash for log lines, 10 hex digits: tells equal values apart from others, nothing more. */
  logId(value: string): string;
  /** The path segment after `/ews/` for one folder; the same input always gives the same text. */
  mintCapability(capability: Capability): string;
  /** Checks a path segment in constant time, without touching the database. */
  checkCapability(segment: string): CapabilityCheck;
  /** A lower-case UUID made from the parts, the same one for the same parts (used for apns-id). */
  uuidFrom(...parts: readonly string[]): string;
  /** A text to be kept in a database, by which `wrote` knows that it was written with these keys. Tells nothing of them. */
  databaseMark(): string;
  /** Whether a database with this mark was written with a key that this key file has, be it an older one. */
  wrote(mark: string): boolean;
}
