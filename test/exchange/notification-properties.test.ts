// Properties of the parser: whatever a server writes comes back as written, and no bytes make it throw.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type NotificationEvent, parseNotification } from "../../src/exchange/notification.ts";
import { escapeXml, type Style, sample, type WrittenEvent, wireBody, write } from "./helpers.ts";

// Characters that need escaping, and some beyond ASCII; white space at an end is not part of an id.
const idText = fc
  .string({ unit: fc.constantFrom(..."ABCxyz019+/=<>&\"' é€𝄞"), minLength: 1, maxLength: 60 })
  .filter((text) => text.trim() === text && text !== "");
const prefix = fc.constantFrom("", "s", "soap", "soap11", "m", "t", "ns0", "é");
const style: fc.Arbitrary<Style> = fc.record({
  soap: prefix,
  messages: prefix,
  types: prefix,
  indent: fc.boolean(),
  cdata: fc.boolean(),
  bom: fc.boolean(),
});
// Year 1970 to 2100, whole milliseconds.
const time = fc.integer({ min: 0, max: 4_102_444_800_000 });
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });

const itemKind = fc.constantFrom(
  "created" as const,
  "deleted" as const,
  "modified" as const,
  "moved" as const,
  "copied" as const,
  "newMail" as const,
  "freeBusyChanged" as const,
  "other" as const,
);
const event = fc.oneof(
  fc.record({ kind: fc.constant("status" as const), watermark: orNull(idText) }),
  fc.record({
    kind: itemKind,
    about: fc.constant("item" as const),
    parentFolderId: orNull(idText),
    watermark: orNull(idText),
    timeMs: orNull(time),
  }),
  fc.record({
    kind: itemKind,
    about: fc.constant("folder" as const),
    folderId: idText,
    parentFolderId: orNull(idText),
    watermark: orNull(idText),
    timeMs: orNull(time),
    unread: orNull(fc.nat()),
  }),
);
type AnyEvent = {
  kind: WrittenEvent["kind"];
  about?: "item" | "folder";
  folderId?: string;
  parentFolderId?: string | null;
  watermark: string | null;
  timeMs?: number | null;
  unread?: number | null;
};
const message = fc.oneof(
  fc.record({
    subscriptionId: idText,
    previousWatermark: orNull(idText),
    moreEvents: fc.boolean(),
    events: fc.array(event as fc.Arbitrary<AnyEvent>, { maxLength: 12 }),
  }),
  fc.record({ subscriptionId: idText, error: fc.constantFrom("ErrorReadEventsFailed", "ErrorServerBusy") }),
);

function written(source: AnyEvent): WrittenEvent {
  const { timeMs, ...rest } = source;
  return { ...rest, time: timeMs === null || timeMs === undefined ? null : new Date(timeMs).toISOString() };
}

function expected(source: AnyEvent): NotificationEvent {
  return {
    kind: source.kind,
    about: source.about ?? null,
    watermark: source.watermark,
    timeStamp: source.timeMs ?? null,
    folderId: source.folderId ?? null,
    parentFolderId: source.parentFolderId ?? null,
    unreadCount: source.unread ?? null,
  };
}

test("any list of messages and events is read as it was written, in whatever prefixes", () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 4 }), style, (messages, how) => {
      const body = write(
        messages.map((source) =>
          "events" in source ? { ...source, events: source.events.map(written) } : source,
        ),
        how,
      );
      expect(parseNotification(body)).toEqual({
        kind: "notification",
        messages: messages.map((source) =>
          "events" in source
            ? {
                kind: "events",
                subscriptionId: source.subscriptionId,
                previousWatermark: source.previousWatermark,
                moreEvents: source.moreEvents,
                events: source.events.map(expected),
              }
            : { kind: "error", responseCode: source.error, subscriptionId: source.subscriptionId },
        ),
      });
    }),
    { numRuns: 300 },
  );
});

const neverThrows = (body: Buffer) => {
  const parsed = parseNotification(body);
  return parsed.kind === "malformed" || parsed.messages.length > 0;
};

test("random bytes never make the parser throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => neverThrows(Buffer.from(bytes))),
    { numRuns: 2000 },
  );
});

test("random markup never makes the parser throw", () => {
  const piece = fc.constantFrom(
    "<a>",
    "</a>",
    "<a",
    ">",
    "/>",
    "<",
    "&",
    "&amp;",
    "&#0;",
    "&#x110000;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?x",
    "?>",
    "<!DOCTYPE",
    "[",
    "]",
    '"',
    "'",
    "=",
    "xmlns",
    "xmlns:t",
    "xml:",
    ":",
    "é",
    " ",
    "\r",
    "\ud800",
    "http://schemas.microsoft.com/exchange/services/2006/types",
    "m:Notification",
    "t:SubscriptionId",
    '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/">',
    "<Body>",
    "__proto__",
    "constructor",
  ); // prettier-ignore
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => neverThrows(Buffer.from(pieces.join("")))),
    { numRuns: 3000 },
  );
});

test("a notification with some bytes changed, lost or doubled never makes the parser throw", () => {
  const bodies = [
    wireBody(),
    sample("syn-31-error-ErrorReadEventsFailed.xml"),
    sample("syn-34-status-default-namespaces-bom-pretty.xml"),
  ];
  const damage = fc.record({
    at: fc.nat(2400),
    how: fc.constantFrom("change", "lose", "double"),
    byte: fc.integer({ min: 0, max: 255 }),
    length: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...bodies),
      fc.array(damage, { minLength: 1, maxLength: 6 }),
      (body, damages) => {
        let spoilt = Buffer.from(body);
        for (const { at, how, byte, length } of damages) {
          const place = at % spoilt.length;
          const rest = spoilt.subarray(place);
          if (how === "change") spoilt[place] = byte;
          else if (how === "lose" && spoilt.length > length)
            spoilt = Buffer.concat([spoilt.subarray(0, place), rest.subarray(length)]);
          else spoilt = Buffer.concat([spoilt.subarray(0, place), rest.subarray(0, length), rest]);
        }
        return neverThrows(spoilt);
      },
    ),
    { numRuns: 2000 },
  );
});

test("nothing of a body's text is part of the reason why it cannot be used", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 8, maxLength: 40 }), (text) => {
      const secret = escapeXml(text);
      const parsed = parseNotification(Buffer.from(`<a ${secret}="${secret}"><${secret}></a>`));
      return parsed.kind === "malformed" && /^[a-z_0-9]+$/.test(parsed.why);
    }),
  );
});
