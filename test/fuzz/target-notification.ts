// What has to hold for the body of a POST, whatever it is: the parser never throws and returns nothing that the bytes
// do not hold, and every decision on what it read keeps the rules of the exchange room.
import { hear } from "../../src/exchange/meaning.ts";
import {
  MAX_BODY_BYTES,
  type NotificationEvent,
  type ParseResult,
  parseNotification,
} from "../../src/exchange/notification.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { decideAll } from "./decisions.ts";
import type { Target } from "./target.ts";

// Fixed keys: an input means the same in every run.
const keyring = createKeyring({
  lookup: Buffer.alloc(32, 5),
  keys: [{ id: "00000001", secret: Buffer.alloc(32, 7), made: "2026-01-01T00:00:00Z" }],
  current: "00000001",
});

const MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages";
const TYPES = "http://schemas.microsoft.com/exchange/services/2006/types";

// biome-ignore format: many short words
const WORDS = [
  "<!DOCTYPE a [<!ENTITY b 'c'>]>", "<![CDATA[", "]]>", "<!--", "-->", "<?a ", "?>", "&amp;", "&#49;",
  "&#x31;", "&#0;", "&b;", "&#x110000;", "\xef\xbb\xbf", "\xff\xfe", "<?xml version='1.1'?>",
  ' encoding="utf-16"', " xmlns=''", ` xmlns="${TYPES}"`, ` xmlns:t="${MESSAGES}"`, ` xmlns:m="${TYPES}"`,
  " xmlns:xml='x'", " xmlns:xmlns='x'", " a='1' a='2'", "__proto__", "constructor",
  ' ResponseClass="Error"', ' ResponseClass="Warning"', "<m:ResponseCode>ErrorServerBusy</m:ResponseCode>",
  "NoError", '<m:MessageXml><t:Value Name="SubscriptionId">s</t:Value></m:MessageXml>',
  "<t:UnreadCount>3</t:UnreadCount>", "<t:Watermark>w</t:Watermark>",
  "<t:TimeStamp>2026-02-30T23:59:60.5+14:00</t:TimeStamp>", "<t:SubscriptionId>s</t:SubscriptionId>",
  "<t:SubscriptionId/>", "<t:MoreEvents>1</t:MoreEvents>", "<t:PreviousWatermark>w</t:PreviousWatermark>",
  "<t:StatusEvent>", "</t:StatusEvent>", "<t:ModifiedEvent>", "</t:ModifiedEvent>", "<t:NewMailEvent/>",
  "<t:CreatedEvent>", "</t:CreatedEvent>", '<t:FolderId Id="f"/>', '<t:ParentFolderId Id="f"/>',
  '<t:ItemId Id="i"/>', "<m:Notification>", "</m:Notification>", "<x>", "</x>",
];

export const notification: Target = {
  name: "notification",
  words: WORDS,
  mostBytes: 4096,
  samples: /\.xml$/,
  examples: ["", "<\0a\0/\0>\0", "<x>".repeat(40)],
  run,
  read: parseNotification,
  // The slowest found takes 150 ms: thousands of elements with attributes, deep in a nest of namespaces.
  most: { bytes: MAX_BODY_BYTES, ms: 750 },
};

function run(bytes: Buffer): readonly string[] {
  const parsed = parseNotification(bytes);
  if (parsed.kind === "malformed") {
    decideAll(null, bytes);
    return [`malformed ${parsed.why}`];
  }
  check(bytes, parsed);
  decideAll(hear(parsed.messages, keyring), bytes);
  return parsed.messages.flatMap(featuresOf);
}

type Read = Extract<ParseResult, { kind: "notification" }>;

function featuresOf(message: Read["messages"][number]): string[] {
  if (message.kind === "error") {
    return [`error ${message.responseCode === "unknown"} ${message.subscriptionId === null}`];
  }
  const { previousWatermark, moreEvents, events } = message;
  return [
    `events ${previousWatermark === null} ${moreEvents} ${Math.min(events.length, 4)}`,
    ...events.flatMap(eventFeatures),
  ];
}

function eventFeatures({ kind, about, ...values }: NotificationEvent): string[] {
  const present = Object.entries(values).filter(([, value]) => value !== null);
  return [`${kind} ${about}`, ...present.map(([name]) => name)];
}

/** A second reading of the text, without a parser: comments and instructions out, CDATA and references resolved. */
function plainText(bytes: Buffer): string {
  return bytes
    .toString("utf8")
    .replace(
      /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|&#(\d+);|&#x([0-9a-fA-F]+);|&(amp|lt|gt|quot|apos);/g,
      (_, data: string | undefined, decimal?: string, hexadecimal?: string, name?: string) => {
        if (data !== undefined) return data;
        if (decimal !== undefined) return String.fromCodePoint(Number.parseInt(decimal, 10));
        if (hexadecimal !== undefined) return String.fromCodePoint(Number.parseInt(hexadecimal, 16));
        return { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name ?? ""] ?? "";
      },
    );
}

// White space in attributes and at line ends may be read as another kind of it (XML 1.0 sections 2.11 and 3.3.3).
const sameSpaces = (text: string): string => text.replace(/\s+/g, " ");

function check(bytes: Buffer, { messages }: Read): void {
  const text = sameSpaces(plainText(bytes));
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new Error(what);
  };
  const written = (value: string | null, what: string): void =>
    must(value === null || text.includes(sameSpaces(value)), `${what} is not in the body`);
  must(messages.length > 0 && messages.length <= 100, "number of messages");
  must(
    messages.length <= text.split("SendNotificationResponseMessage").length / 2,
    "more messages than the body names",
  );
  const events = messages.flatMap((message) => (message.kind === "events" ? message.events : []));
  must(events.length <= 1000, "number of events");
  const counts = events.flatMap(({ unreadCount }) => (unreadCount === null ? [] : [unreadCount]));
  must(counts.length <= text.split("UnreadCount").length / 2, "more counts than the body names");
  for (const count of counts) {
    must(Number.isSafeInteger(count) && count >= 0 && count < 2 ** 31, "a count out of range");
    must(new RegExp(`>\\s*\\+?0*${count}\\s*<`).test(text), "a count that the body does not have");
  }
  for (const { watermark, timeStamp, folderId, parentFolderId } of events) {
    written(watermark, "a watermark");
    written(folderId, "a folder id");
    written(parentFolderId, "a parent folder id");
    must(timeStamp === null || Number.isSafeInteger(timeStamp), "a time that is none");
  }
  for (const message of messages) {
    const { subscriptionId } = message;
    written(subscriptionId, "a SubscriptionId");
    must(
      subscriptionId === null || (subscriptionId !== "" && subscriptionId.length <= 1024),
      "length of a SubscriptionId",
    );
    if (message.kind === "events") written(message.previousWatermark, "a watermark before");
    else
      must(/^[A-Za-z0-9]{1,64}$/.test(message.responseCode), "a response code that may not stand in a log");
  }
}
