// Turns the body of one POST into response messages, or says why it cannot be used. Pure and total: it never
// throws, and its limits end the work before a hostile document costs anything. What it means is not decided here.
import { isUtf8 } from "node:buffer";
import { SaxesParser } from "saxes";
import { createReader, Refusal } from "./reader.ts";

/** The notification events of MS-OXWSNTIF. `other` is any that this version does not know. */
export type EventKind =
  | "status"
  | "created"
  | "deleted"
  | "modified"
  | "moved"
  | "copied"
  | "newMail"
  | "freeBusyChanged"
  | "other";

/** One event, with what is used of it. */
export interface NotificationEvent {
  readonly kind: EventKind;
  /** What the event is about; null where it names neither (a StatusEvent). */
  readonly about: "item" | "folder" | null;
  readonly watermark: string | null;
  /** Epoch milliseconds; null if absent or not a date. */
  readonly timeStamp: number | null;
  /** Id of the folder it is about, only for `about: "folder"`. */
  readonly folderId: string | null;
  readonly parentFolderId: string | null;
  /** Only a folder's ModifiedEvent has one; null if absent or not a count. */
  readonly unreadCount: number | null;
}

export interface EventsMessage {
  readonly kind: "events";
  /** 1 to 1024 characters. */
  readonly subscriptionId: string;
  readonly previousWatermark: string | null;
  readonly moreEvents: boolean;
  /** In document order. */
  readonly events: readonly NotificationEvent[];
}

/** Exchange could not read the subscription's events: it is probably gone. */
export interface ErrorMessage {
  readonly kind: "error";
  /** Letters and digits only, so that it may stand in a log line; `unknown` if it was anything else. */
  readonly responseCode: string;
  readonly subscriptionId: string | null;
}

export type ResponseMessage = EventsMessage | ErrorMessage;

/** Why a body cannot be used: fixed words for log lines, never anything of the body. */
export type MalformedWhy =
  | "empty"
  | "too_large"
  | "compressed"
  | "utf16"
  | "not_utf8"
  | "doctype"
  | "not_well_formed"
  | "too_deep"
  | "too_many_attributes"
  | "too_many_elements"
  | "too_many_messages"
  | "too_many_events"
  | "value_too_long"
  | "wrong_shape"
  | "subscription_id";

export type ParseResult =
  | { readonly kind: "notification"; readonly messages: readonly ResponseMessage[] }
  | { readonly kind: "malformed"; readonly why: MalformedWhy };

// Exchange sends at most 50 events in about 40 KB; the listener keeps no more than this either.
export const MAX_BODY_BYTES = 1024 * 1024;
// A namespace prefix is looked up through all open elements: deep nesting alone kept a parser busy for seconds.
const MAX_DEPTH = 32;
// Exchange writes at most two on an element, besides namespaces.
const MAX_ATTRIBUTES = 16;
// 1000 events of eight elements, twice over.
const MAX_ELEMENTS = 16_384;

/**
 * Parses the body of a POST.
 * @param body the bytes as received, not compressed
 */
export function parseNotification(body: Buffer): ParseResult {
  if (body.length === 0) return { kind: "malformed", why: "empty" };
  if (body.length > MAX_BODY_BYTES) return { kind: "malformed", why: "too_large" };
  if (looksLikeUtf16(body)) return { kind: "malformed", why: "utf16" };
  // Strict, as a fatal TextDecoder is, but without building one for each body.
  if (!isUtf8(body)) return { kind: "malformed", why: "not_utf8" };
  try {
    return { kind: "notification", messages: readMessages(body.toString("utf8")) };
  } catch (error) {
    // Anything that is not one of our refusals is the parser's complaint; its text may quote the document.
    return { kind: "malformed", why: error instanceof Refusal ? error.why : "not_well_formed" };
  }
}

function readMessages(text: string): readonly ResponseMessage[] {
  const reader = createReader();
  // Neither line numbers nor entities of its own: an undefined entity is an error, and DTDs are refused below.
  const parser = new SaxesParser({ xmlns: true, position: false });
  let depth = 0;
  let elements = 0;
  let attributes = 0;
  parser.on("doctype", () => {
    throw new Refusal("doctype");
  });
  parser.on("opentagstart", () => {
    depth += 1;
    elements += 1;
    attributes = 0;
    if (depth > MAX_DEPTH) throw new Refusal("too_deep");
    if (elements > MAX_ELEMENTS) throw new Refusal("too_many_elements");
  });
  parser.on("attribute", () => {
    attributes += 1;
    if (attributes > MAX_ATTRIBUTES) throw new Refusal("too_many_attributes");
  });
  parser.on("opentag", (tag) => reader.open(tag.uri, tag.local, tag.attributes));
  parser.on("closetag", () => {
    depth -= 1;
    reader.close();
  });
  parser.on("text", reader.text);
  parser.on("cdata", reader.text);
  parser.write(text).close();
  return reader.finish();
}

/** A UTF-16 byte-order mark, or a `<` beside a zero byte. */
function looksLikeUtf16(body: Buffer): boolean {
  const first = body[0];
  const second = body[1];
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return true;
  return (first === 0x3c && second === 0) || (first === 0 && second === 0x3c);
}
