// What two nodes say to each other, as bytes: one byte for the format, three for the length, then JSON. JSON, since
// two nodes may run neighbouring versions of this program and of its runtime, and it is quick enough for a full
// exchange. A kind of frame that only the newer one has is skipped by the other.
import type { Position, ReplicaRow } from "../store/feed-types.ts";
import { fromWire, isPosition, toWire } from "./row-codec.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Two nodes understand each other if their majors are equal; the minor tells what else the other one knows. */
export const PROTOCOL = { major: 1, minor: 0 } as const;

/** The first frame of each side. Its own form stays the same in every version to come. */
export interface Hello {
  readonly kind: "hello";
  readonly major: number;
  readonly minor: number;
  readonly node: string;
  /** Random, new with every start of the process. */
  readonly session: string;
  /** Where the sender's own feed stands. */
  readonly position: Position;
  /** How far the sender has the receiver's feed, durably; null: nothing. */
  readonly cursor: Position | null;
  /** Feeds that the sender has, or had, rows of. */
  readonly feeds: readonly string[];
  /** For the roles, which alone know what is in it. */
  readonly state: Json;
}

/** Sent all the time: the sender lives. */
export interface Beat {
  readonly kind: "beat";
  readonly number: number;
  /** The sender's wall clock, epoch milliseconds. */
  readonly at: number;
  /** The last beat it heard, and how many milliseconds ago that was; null before the first. */
  readonly heard: { readonly number: number; readonly agoMs: number } | null;
  readonly state: Json;
}

/** Rows of the sender's feed: all there are after `after`, up to `upTo`. */
export interface RowsFrame {
  readonly kind: "rows";
  readonly after: number;
  readonly upTo: Position;
  /** The last position of the feed at that time. */
  readonly head: number;
  readonly rows: readonly ReplicaRow[];
}

/** Everything up to `seq` of the receiver's feed is durable at the sender. */
export interface Ack {
  readonly kind: "ack";
  readonly seq: number;
}

/** Something that the roles tell each other. */
export interface Message {
  readonly kind: "message";
  readonly name: string;
  readonly body: Json;
}

/** The sender ends the connection, and why: a word for programs and a sentence for people. */
export interface Bye {
  readonly kind: "bye";
  readonly code: string;
  readonly detail: string;
}

export type Frame = Hello | Beat | RowsFrame | Ack | Message | Bye;

const FORMAT = 0xb1;
export const HEADER_BYTES = 4;
/** Four times what a page is cut at, so that a single large row fits too. */
export const MAX_FRAME_BYTES = 1024 * 1024;
const MAX_NAME = 128;
// Of a farewell: it is logged, and shown by `pair status`.
const MAX_DETAIL = 500;
const MAX_FEEDS = 1_000;

/**
 * The frame as bytes.
 * @throws RangeError if it is larger than any receiver takes: a row can be no larger than what phones may send
 */
export function encodeFrame(frame: Frame): Buffer {
  const { kind, ...rest } = frame;
  const body = frame.kind === "rows" ? { ...rest, rows: toWire(frame.rows) } : rest;
  const text = Buffer.from(JSON.stringify({ kind, ...body }));
  if (text.length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${text.length} bytes`);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + text.length);
  bytes.writeUInt32BE(text.length, 0);
  bytes[0] = FORMAT;
  text.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** The length that a header announces, or what is wrong with it. */
export function readHeader(bytes: Buffer): number | string {
  if (bytes[0] !== FORMAT) return "bytes that are no frame";
  const length = bytes.readUIntBE(1, 3);
  return length > MAX_FRAME_BYTES ? `a frame of ${length} bytes` : length;
}

/** What a frame's text says: a frame, null for a kind that this version does not know, or what is wrong with it. */
export function parseFrame(text: Buffer): Frame | null | string {
  let value: unknown;
  try {
    value = JSON.parse(text.toString("utf8"));
  } catch {
    return "a frame that is no JSON";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "a frame that is no object";
  const fields = value as Readonly<Record<string, unknown>>;
  switch (fields.kind) {
    case "hello":
      return hello(fields) ?? "a hello that lacks something";
    case "beat":
      return beat(fields) ?? "a beat that lacks something";
    case "rows":
      return rows(fields);
    case "ack":
      return isPosition(fields.seq) ? { kind: "ack", seq: fields.seq } : "an acknowledgement of nothing";
    case "message": {
      const { name, body = null } = fields;
      return isName(name) ? { kind: "message", name, body: body as Json } : "a message without a name";
    }
    case "bye": {
      const { code, detail } = fields;
      return isName(code) && typeof detail === "string"
        ? { kind: "bye", code, detail: detail.slice(0, MAX_DETAIL) }
        : "a farewell without a reason";
    }
    default:
      return typeof fields.kind === "string" ? null : "a frame without a kind";
  }
}

function hello(fields: Readonly<Record<string, unknown>>): Hello | null {
  const { major, minor, node, session, state = null, feeds } = fields;
  if (!isPosition(major) || !isPosition(minor) || !isName(node) || !isName(session)) return null;
  const named = { kind: "hello", major, minor, node, session, state: state as Json } as const;
  // Another major's may say the rest in another way; that it is another one must still be understood.
  if (major !== PROTOCOL.major) return { ...named, position: NOWHERE, cursor: null, feeds: [] };
  const at = position(fields.position);
  const cursor = fields.cursor === null ? null : position(fields.cursor);
  if (at === null || (cursor === null && fields.cursor !== null)) return null;
  if (!Array.isArray(feeds) || feeds.length > MAX_FEEDS || !feeds.every(isName)) return null;
  return { ...named, position: at, cursor, feeds };
}

const NOWHERE: Position = { feed: "", seq: 0, commit: "" };

function beat(fields: Readonly<Record<string, unknown>>): Beat | null {
  const { number, at, heard = null, state = null } = fields;
  if (!isPosition(number) || !Number.isFinite(at)) return null;
  const named = { kind: "beat", number, at: at as number, state: state as Json } as const;
  if (heard === null) return { ...named, heard };
  const { number: of, agoMs } = heard as Readonly<Record<string, unknown>>;
  if (!isPosition(of) || !Number.isFinite(agoMs)) return null;
  return { ...named, heard: { number: of, agoMs: agoMs as number } };
}

function rows(fields: Readonly<Record<string, unknown>>): RowsFrame | string {
  const { after, head } = fields;
  const upTo = position(fields.upTo);
  if (!isPosition(after) || !isPosition(head) || upTo === null || upTo.seq < after)
    return "rows from nowhere";
  const found = fromWire(fields.rows);
  return typeof found === "string" ? found : { kind: "rows", after, upTo, head, rows: found };
}

function position(value: unknown): Position | null {
  if (typeof value !== "object" || value === null) return null;
  const { feed, seq, commit } = value as Readonly<Record<string, unknown>>;
  return isName(feed) && isPosition(seq) && isName(commit) ? { feed, seq, commit } : null;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_NAME;
}
