// What the simulated app makes of a push, and which pushes it calls wrong.
import { expect, test } from "bun:test";
import { fromApns, fromFcm } from "../../src/rehearsal/phone/push.ts";

const apns = (payload: Record<string, unknown>, badge?: number) =>
  fromApns({ payload, at: 7, ...(badge === undefined ? {} : { badge }) });
const fcm = (data: Record<string, string>, unread?: number) =>
  fromFcm({ data, visible: false, at: 7, ...(unread === undefined ? {} : { unread }) });

test("reads reason, badge and folder of both platforms alike", () => {
  const mail = { reason: "mail", badge: 3, folder: null, visible: false, at: 7, wrong: null };
  expect(apns({ aps: { badge: 3, "content-available": 1 }, bell: { reason: "mail" } }, 3)).toEqual(mail);
  expect(fcm({ reason: "mail", unread: "3" }, 3)).toEqual(mail);
  const again = { ...mail, reason: "resubscribe", badge: null, folder: "inbox" };
  const aps = { "content-available": 1 };
  expect(apns({ aps, bell: { reason: "resubscribe", folder: "inbox" } })).toEqual(again);
  expect(fcm({ reason: "resubscribe", folder: "inbox" })).toEqual(again);
});

test("sees what the system shows by itself", () => {
  const aps = { badge: 1, alert: { "loc-key": "NEW_MESSAGES" } };
  expect(apns({ aps, bell: { reason: "mail" } }, 1).visible).toBe(true);
});

test.each([
  ["an unknown reason", apns({ aps: {}, bell: { reason: "hello" } })],
  ["no reason", apns({ aps: {} })],
  ["content", apns({ aps: {}, bell: { reason: "mail", subject: "Budget" } })],
  ["members beside aps and bell", apns({ aps: {}, bell: { reason: "mail" }, from: "Ada" })],
  ["resubscribe without a folder", fcm({ reason: "resubscribe" })],
  ["a folder where none belongs", fcm({ reason: "mail", folder: "inbox" })],
  ["unread that is no number", fcm({ reason: "mail", unread: "many" })],
  ["content", fcm({ reason: "mail", sender: "ada@corp.example" })],
])("calls a push wrong that has %s", (_name, push) => {
  expect(push.wrong).toBeString();
});
