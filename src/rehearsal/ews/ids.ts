// Ids in the shape Exchange gives them. The values are made up; the shapes matter, because a SubscriptionId and an
// item id carry the mailbox GUID and so must be treated as personal data by whoever receives them.

/** A source of random numbers in [0, 1). */
export type Random = () => number;

/** 16 random bytes. */
export function makeGuid(random: Random): Buffer {
  return Buffer.from(Array.from({ length: 16 }, () => Math.floor(random() * 256)));
}

/** A GUID as text, lower case with dashes. The byte order of the first three fields does not matter here. */
export function guidText(guid: Buffer): string {
  const hex = guid.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

// .NET counts 100 ns ticks since the year 1; this is 1970-01-01.
const TICKS_AT_EPOCH = 621_355_968_000_000_000n;

/**
 * A SubscriptionId: base64 of the server's host name, a GUID, the creation time and the mailbox GUID, each with its
 * length in front.
 *
 * @param createdAt epoch milliseconds
 */
export function subscriptionId(server: string, guid: Buffer, createdAt: number, mailboxGuid: Buffer): string {
  const name = Buffer.from(server, "latin1");
  const nameLength = Buffer.alloc(2);
  nameLength.writeUInt16LE(name.length);
  const guidLength = Buffer.alloc(4);
  guidLength.writeUInt32LE(16);
  const ticks = Buffer.alloc(8);
  ticks.writeBigUInt64LE(TICKS_AT_EPOCH + BigInt(Math.floor(createdAt)) * 10_000n);
  return Buffer.concat([nameLength, name, guidLength, guid, ticks, guidLength, mailboxGuid]).toString(
    "base64",
  );
}

/** The watermark of a mailbox's `count`-th event. */
export function watermark(databaseGuid: Buffer, count: number): string {
  const bytes = Buffer.alloc(29);
  bytes.writeUInt32LE(1, 0);
  databaseGuid.copy(bytes, 4);
  bytes.writeBigUInt64LE(BigInt(count), 20);
  bytes.writeUInt8(1, 28);
  return bytes.toString("base64");
}

// Lengths of MAPI entry ids in bytes: a message's and a folder's.
const ITEM_ENTRY_BYTES = 70;
const FOLDER_ENTRY_BYTES = 46;

/** The id of a mailbox's `count`-th item. */
export function itemId(mailboxGuid: Buffer, count: number): string {
  return entryId([0x00, 0x03, 0x24], mailboxGuid, ITEM_ENTRY_BYTES, count);
}

/** The id of a mailbox's `count`-th folder. */
export function folderId(mailboxGuid: Buffer, count: number): string {
  return entryId([0x01, 0x03, 0x24], mailboxGuid, FOLDER_ENTRY_BYTES, count);
}

function entryId(kind: readonly number[], mailboxGuid: Buffer, entryBytes: number, count: number): string {
  const text = Buffer.from(guidText(mailboxGuid), "latin1");
  const head = Buffer.alloc(kind.length + 2);
  head.set(kind);
  head.writeUInt16LE(text.length, kind.length);
  const entry = Buffer.alloc(2 + entryBytes);
  entry.writeUInt16LE(entryBytes);
  mailboxGuid.copy(entry, 6);
  entry.writeUInt32BE(count, entry.length - 4);
  return Buffer.concat([head, text, entry]).toString("base64");
}

/** A change key; Exchange gives a new one with every change. */
export function changeKey(count: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(count);
  return bytes.toString("base64");
}
