// Bodies that cannot be used are told from those that can, with a reason, quickly, and without an exception.
import { expect, test } from "bun:test";
import { MAX_BODY_BYTES, parseNotification } from "../../src/exchange/notification.ts";
import { sample, type WrittenMessage, wireBody, write } from "./helpers.ts";

function whyNot(body: Buffer | string): string {
  const parsed = parseNotification(Buffer.from(body));
  return parsed.kind === "malformed" ? parsed.why : "usable";
}

/** The text of a usable notification, to be spoilt. */
function text(message: WrittenMessage = { events: [{ kind: "status", watermark: "w" }] }): string {
  return write([message]).toString();
}

const spoil = (from: string | RegExp, to: string) => text().replace(from, to);

test("the notification that these tests spoil is usable", () => {
  expect(whyNot(text())).toBe("usable");
});

test("refuses an empty body and one over the limit", () => {
  expect(whyNot("")).toBe("empty");
  expect(whyNot(Buffer.alloc(MAX_BODY_BYTES + 1, 0x20))).toBe("too_large");
});

test("refuses UTF-16 and says so", () => {
  const utf16 = Buffer.from(text(), "utf16le");
  expect(whyNot(utf16)).toBe("utf16");
  expect(whyNot(Buffer.concat([Buffer.of(0xff, 0xfe), utf16]))).toBe("utf16");
  expect(whyNot(Buffer.concat([Buffer.of(0xfe, 0xff), Buffer.from(utf16).swap16()]))).toBe("utf16");
});

test("refuses invalid UTF-8: stray bytes, overlong forms, surrogates, a sequence cut off", () => {
  for (const bytes of [
    [0xff],
    [0xc0, 0xaf],
    [0xed, 0xa0, 0x80],
    [0xe2, 0x82],
    [0xf8, 0x88, 0x80, 0x80, 0x80],
  ]) {
    const [before, after] = text().split("subscription-1");
    expect(whyNot(Buffer.concat([Buffer.from(before!), Buffer.from(bytes), Buffer.from(after!)]))).toBe(
      "not_utf8",
    );
  }
});

test("refuses a DOCTYPE, with or without entities", () => {
  expect(whyNot(spoil("<soap11:Envelope", "<!DOCTYPE soap11:Envelope><soap11:Envelope"))).toBe("doctype");
  const bomb = `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>`;
  const withBomb = spoil("<soap11:Envelope", `${bomb}<soap11:Envelope`).replace("subscription-1", "&b;");
  expect(whyNot(withBomb)).toBe("doctype");
  const external = `<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">`;
  expect(whyNot(spoil("<soap11:Envelope", `${external}<soap11:Envelope`))).toBe("doctype");
});

test("refuses an entity that XML does not define", () => {
  expect(whyNot(spoil("subscription-1", "&bomb;"))).toBe("not_well_formed");
  expect(whyNot(spoil("subscription-1", "a&amp;b"))).toBe("usable");
});

test("refuses what is not well-formed XML", () => {
  for (const body of [
    "hello",
    "{}",
    "<a>",
    text().slice(0, -1),
    text().slice(0, 300),
    `${text()}<again/>`,
    spoil("</m:Notification>", "</m:Notificatio>"),
    spoil(' xmlns:t="', ' xmlns:q="'),
    spoil("subscription-1", "a\u0000b"),
  ]) {
    expect(whyNot(body)).toBe("not_well_formed");
  }
});

test("ignores processing instructions and comments", () => {
  expect(whyNot(spoil("<soap11:Envelope", "<?php evil()?><!-- hello --><soap11:Envelope"))).toBe("usable");
});

test("refuses wrong namespaces and other documents", () => {
  expect(whyNot(text().replaceAll("soap/envelope/", "soap/envelope"))).toBe("wrong_shape");
  expect(whyNot(text().replaceAll("services/2006/messages", "services/2007/messages"))).toBe("wrong_shape");
  expect(whyNot(text().replaceAll("services/2006/types", "services/2007/types"))).toBe("subscription_id");
  expect(whyNot("<html><body>Sign in</body></html>")).toBe("wrong_shape");
  expect(whyNot(write([]))).toBe("wrong_shape");
});

test("refuses deep nesting and many attributes before they cost anything", () => {
  const started = performance.now();
  expect(whyNot("<a>".repeat(100_000))).toBe("too_deep");
  expect(whyNot(`<a>${"<b>".repeat(100)}`)).toBe("too_deep");
  const attributes = Array.from({ length: 20_000 }, (_, i) => `a${i}="x"`).join(" ");
  expect(whyNot(`<a ${attributes}/>`)).toBe("too_many_attributes");
  const namespaces = Array.from({ length: 17 }, (_, i) => `xmlns:a${i}="x"`).join(" ");
  expect(whyNot(`<a ${namespaces}/>`)).toBe("too_many_attributes");
  expect(performance.now() - started).toBeLessThan(1000);
});

test("refuses too many elements, messages and events, and accepts as many as a server may send", () => {
  const events = (count: number) => Array.from({ length: count }, () => ({ kind: "status" as const }));
  expect(whyNot(`<a>${"<b/>".repeat(20_000)}</a>`)).toBe("too_many_elements");
  expect(whyNot(write(Array.from({ length: 101 }, () => ({}))))).toBe("too_many_messages");
  expect(whyNot(write([{ events: events(1000) }]))).toBe("usable");
  expect(whyNot(write([{ events: events(600) }, { events: events(401) }]))).toBe("too_many_events");
});

test("refuses values that no server writes", () => {
  expect(whyNot(spoil("subscription-1", "x".repeat(5000)))).toBe("value_too_long");
  expect(whyNot(spoil("subscription-1", "x".repeat(1025)))).toBe("subscription_id");
  expect(whyNot(spoil("subscription-1", "x".repeat(1024)))).toBe("usable");
  expect(whyNot(spoil("subscription-1", "   "))).toBe("subscription_id");
  const parentFolderId = "f".repeat(5000);
  expect(whyNot(text({ events: [{ kind: "created", about: "item", parentFolderId }] }))).toBe(
    "value_too_long",
  );
});

test("refuses two SubscriptionIds or Notifications in one message, and elements inside a value", () => {
  const twice = /(<t:SubscriptionId[^>]*>subscription-1<\/t:SubscriptionId>)/;
  expect(whyNot(spoil(twice, "$1$1"))).toBe("subscription_id");
  expect(whyNot(spoil("subscription-1", "sub<x/>scription"))).toBe("wrong_shape");
  const notification = /(<m:Notification.*<\/m:Notification>)/;
  expect(whyNot(spoil(notification, "$1$1"))).toBe("wrong_shape");
});

test("keeps an event that it does not know, and its neighbours", () => {
  const parsed = parseNotification(
    Buffer.from(
      spoil(
        "</m:Notification>",
        '<t:RecalledEvent xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><t:Deep><t:Deeper>1</t:Deeper></t:Deep></t:RecalledEvent><x:Odd xmlns:x="urn:x"/></m:Notification>',
      ),
    ),
  );
  if (parsed.kind !== "notification" || parsed.messages[0]?.kind !== "events") throw new Error("not usable");
  expect(parsed.messages[0].events.map((event) => event.kind)).toEqual(["status", "other", "other"]);
});

test("ignores a count or a time that is none, for that event alone", () => {
  const event = { kind: "modified", about: "folder", folderId: "f" } as const;
  const read = (unread: string, time: string) => {
    const parsed = parseNotification(write([{ events: [{ ...event, unread, time }] }]));
    if (parsed.kind !== "notification" || parsed.messages[0]?.kind !== "events")
      throw new Error("not usable");
    const [found] = parsed.messages[0].events;
    return [found?.unreadCount, found?.timeStamp];
  };
  expect(read("many", "yesterday")).toEqual([null, null]);
  expect(read("-1", "2026-13-45T00:00:00Z")).toEqual([null, null]);
  expect(read("1e3", "2026-01-15")).toEqual([null, null]);
  expect(read("4294967296", "")).toEqual([null, null]);
  expect(read(" 7 ", "2026-01-15T09:00:31.1234567Z")).toEqual([7, Date.UTC(2026, 0, 15, 9, 0, 31, 123)]);
  expect(read("2147483647", "2026-01-15T10:00:31+01:00")).toEqual([
    2147483647,
    Date.UTC(2026, 0, 15, 9, 0, 31),
  ]);
  expect(read("0", "2026-01-15T09:00:31")).toEqual([0, Date.UTC(2026, 0, 15, 9, 0, 31)]);
});

test("an error without a usable id or code is still an error", () => {
  const parsed = parseNotification(
    Buffer.from(
      sample("syn-31-error-ErrorReadEventsFailed.xml")
        .toString()
        .replace(/<m:MessageXml>.*<\/m:MessageXml>/, "")
        .replace("ErrorReadEventsFailed", "a name: J. Doe"),
    ),
  );
  expect(parsed).toEqual({
    kind: "notification",
    messages: [{ kind: "error", responseCode: "unknown", subscriptionId: null }],
  });
});

test("no cut of a real notification is usable, and none throws", () => {
  const body = wireBody();
  for (let length = 0; length < body.length; length += 7) {
    expect(parseNotification(body.subarray(0, length)).kind).toBe("malformed");
  }
});
