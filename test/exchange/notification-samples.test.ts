// What is read from notifications as Exchange and other servers write them.
import { expect, test } from "bun:test";
import { type EventsMessage, parseNotification } from "../../src/exchange/notification.ts";
import { SAMPLE, sample, wireBody } from "./helpers.ts";

function events(body: Buffer): EventsMessage {
  const parsed = parseNotification(body);
  if (parsed.kind === "malformed") throw new Error(parsed.why);
  const [message] = parsed.messages;
  expect(parsed.messages).toHaveLength(1);
  if (message?.kind !== "events") throw new Error("no events");
  expect(message.subscriptionId).toBe(SAMPLE.subscription);
  return message;
}

const kinds = (message: EventsMessage) => message.events.map((event) => `${event.kind}:${event.about ?? ""}`);

test("reads a StatusEvent with its watermarks", () => {
  const message = events(sample("syn-20-status.xml"));
  expect(kinds(message)).toEqual(["status:"]);
  expect(message.previousWatermark).toBe("AQAAAJmZmZmIiHdHhmZVVVVVVVVkAAAAAAAAAAE=");
  expect(message.events[0]?.watermark).toBe("AQAAAJmZmZmIiHdHhmZVVVVVVVVlAAAAAAAAAAE=");
  expect(message.moreEvents).toBe(false);
});

test("reads the three events of a new mail, in order, with the folder's unread count", () => {
  for (const body of [sample("syn-21-newmail-created-modified-unread1.xml"), wireBody()]) {
    const message = events(body);
    expect(kinds(message)).toEqual(["created:item", "newMail:item", "modified:folder"]);
    expect(message.events[1]?.parentFolderId).toBe(SAMPLE.inbox);
    const folder = message.events[2];
    expect(folder?.folderId).toBe(SAMPLE.inbox);
    expect(folder?.unreadCount).toBe(1);
    expect(folder?.timeStamp).toBe(Date.UTC(2026, 0, 15, 9, 0, 31));
  }
});

test("reads a mail read elsewhere as an item's and a folder's change", () => {
  const message = events(sample("syn-22-read-flag-unread0.xml"));
  expect(kinds(message)).toEqual(["modified:item", "modified:folder"]);
  expect(message.events.map((event) => event.unreadCount)).toEqual([null, 0]);
});

test("reads a folder's change without a count", () => {
  expect(events(sample("syn-23-folder-modified-without-unreadcount.xml")).events[0]?.unreadCount).toBeNull();
});

test("reads a sub-folder's change with its own id, parent and count", () => {
  const [event] = events(sample("syn-24-subfolder-of-inbox-modified.xml")).events;
  expect(event?.folderId).toBe(SAMPLE.subFolder);
  expect(event?.parentFolderId).toBe(SAMPLE.inbox);
  expect(event?.unreadCount).toBe(42);
});

test("reads moved, copied and deleted items and a moved folder", () => {
  expect(kinds(events(sample("syn-25-moved-item-to-deleteditems.xml")))).toEqual([
    "moved:item",
    "modified:folder",
  ]);
  expect(kinds(events(sample("syn-26-copied-item.xml")))).toEqual(["copied:item"]);
  expect(kinds(events(sample("syn-27-deleted-item.xml")))).toEqual(["deleted:item"]);
  expect(kinds(events(sample("syn-28-moved-folder.xml")))).toEqual(["moved:folder"]);
});

test("reads a changed free/busy time", () => {
  expect(kinds(events(sample("syn-29-freebusychanged.xml")))).toEqual(["freeBusyChanged:item"]);
});

test("reads fifty events of one POST and that more follow", () => {
  const message = events(sample("syn-30-50events-moreevents-true.xml"));
  expect(message.events).toHaveLength(50);
  expect(message.moreEvents).toBe(true);
  expect(message.events.every((event) => event.kind !== "other" && event.watermark !== null)).toBe(true);
});

test("reads an error notification, which has no Notification element", () => {
  for (const [name, responseCode] of [
    ["syn-31-error-ErrorReadEventsFailed.xml", "ErrorReadEventsFailed"],
    ["syn-32-error-ErrorServerBusy.xml", "ErrorServerBusy"],
  ] as const) {
    expect(parseNotification(sample(name))).toEqual({
      kind: "notification",
      messages: [{ kind: "error", responseCode, subscriptionId: SAMPLE.subscription }],
    });
  }
});

test("reads a notification without RequestServerVersion", () => {
  expect(kinds(events(sample("syn-33-status-no-requestserverversion.xml")))).toEqual(["status:"]);
});

test("reads default namespaces, indentation and a byte-order mark", () => {
  const message = events(sample("syn-34-status-default-namespaces-bom-pretty.xml"));
  expect(kinds(message)).toEqual(["status:"]);
  expect(message.previousWatermark).toBe("AQAAAJmZmZmIiHdHhmZVVVVVVVVkAAAAAAAAAAE=");
});
