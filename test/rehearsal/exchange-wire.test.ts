// The simulated Exchange on the wire: bytes, connections, certificates.
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { type ChangeEvent, renderError, renderNotification } from "../../src/rehearsal/ews/notification.ts";
import { renderPostHead } from "../../src/rehearsal/ews/request.ts";
import {
  authority,
  eventNames,
  http,
  OK_BODY,
  ok,
  startExchange,
  startListener,
  texts,
} from "./exchange-helpers.ts";

const sample = (name: string) => readFileSync(new URL(`../samples/${name}`, import.meta.url), "utf8");
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const INBOX = {
  type: "folder",
  id: "AQMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUALgAAAwwMDAwMDAwMDAwMDAwMDAwMDAwMDAw=",
  changeKey: "AQAAAA==",
} as const;
const ROOT = {
  type: "folder",
  id: "AQMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUALgAAAwgICAgICAgICAgICAgICAgICAgICAg=",
  changeKey: "AQAAAA==",
} as const;
const ITEM = {
  type: "item",
  id: "AAMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUARgAAAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
  changeKey: "CQAAAA==",
} as const;
const SUBSCRIPTION =
  "EQBleDAxLmNvcnAuZXhhbXBsZRAAAACqqqqqu7vMTI3d7u7u7u7uACiodhRU3ggQAAAAERERESIiM0OERFVVVVVVVQ==";
const mark = (letter: string) => `AQAAAJmZmZmIiHdHhmZVVVVVVVV${letter}AAAAAAAAAAE=`;

test("writes the request of the captured sample byte for byte", () => {
  const at = Date.parse("2026-01-15T09:00:31Z");
  const events: ChangeEvent[] = [
    { kind: "Created", watermark: mark("l"), at, object: ITEM, parent: INBOX },
    { kind: "NewMail", watermark: mark("m"), at, object: ITEM, parent: INBOX },
    { kind: "Modified", watermark: mark("n"), at, object: INBOX, parent: ROOT, unreadCount: 1 },
  ];
  const body = renderNotification({
    subscriptionId: SUBSCRIPTION,
    previousWatermark: mark("k"),
    moreEvents: false,
    events,
  });
  const head = renderPostHead(
    { url: new URL("https://push.example.com/ews/SECRET-PATH-TOKEN"), callerData: "opaque-caller-data" },
    Buffer.byteLength(body),
  );
  expect(head + body).toBe(sample("wire-50-exchange-post.http"));
});

test("writes error notifications and heartbeats of the samples byte for byte", () => {
  for (const code of ["ErrorReadEventsFailed", "ErrorServerBusy"]) {
    const number = code === "ErrorServerBusy" ? 32 : 31;
    expect(renderError(SUBSCRIPTION, code)).toBe(sample(`syn-${number}-error-${code}.xml`));
  }
  const status = renderNotification({
    subscriptionId: SUBSCRIPTION,
    previousWatermark: mark("k"),
    moreEvents: false,
    events: [{ kind: "Status", watermark: mark("l") }],
  });
  expect(status).toBe(sample("syn-20-status.xml"));
});

test("keeps header names, order and line ends on the socket, with a new connection for every POST", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, mailbox } = await startExchange();
  stops.push(exchange.stop);
  exchange.subscribe({
    mailbox: "mailbox-1",
    folders: ["inbox"],
    eventTypes: ["NewMail"],
    statusFrequencyMinutes: 15,
    url: `${listener.url}?a=b`,
    callerData: "opaque",
  });
  mailbox.deliver();
  await exchange.idle();
  mailbox.deliver();
  await exchange.idle();
  const length = listener.received[0]!.body.length;
  expect(listener.received[0]!.head).toBe(
    [
      "POST /ews/some-capability?a=b HTTP/1.1",
      "Content-Type: text/xml; charset=utf-8",
      "Accept: text/xml",
      "CallerData: opaque",
      "SOAPAction: http://schemas.microsoft.com/exchange/services/2006/messages/SendNotification",
      `Host: 127.0.0.1:${listener.port}`,
      `Content-Length: ${length}`,
      "Connection: Close",
      "\r\n",
    ].join("\r\n"),
  );
  expect(
    listener.received[0]!.body.startsWith('<?xml version="1.0" encoding="utf-8"?><soap11:Envelope '),
  ).toBe(true);
  expect(listener.received).toHaveLength(2);
  expect(listener.connections()).toBe(2);
});

test("gives a SubscriptionId that names the server and the mailbox, as the real ones do", async () => {
  const { exchange, mailbox, subscribe } = await startExchange({ server: "ex07.corp.example" });
  stops.push(exchange.stop);
  const id = Buffer.from(subscribe("https://127.0.0.1:9/ews/x").subscriptionId, "base64");
  expect(id.toString("latin1", 2, 19)).toBe("ex07.corp.example");
  expect(id.length).toBe(67);
  expect(id.toString("hex", 51)).toBe(mailbox.guid.toString("hex"));
  expect(Buffer.from(mailbox.folderId("inbox"), "base64").toString("latin1")).toContain(mailbox.guidText);
});

test("shows an inbox subscription the counts of its sub-folders, but not their items", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, mailbox, subscribe } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url);
  const folder = mailbox.createFolder("inbox", "projects");
  await exchange.idle();
  mailbox.deliver(folder);
  await exchange.idle();
  const body = listener.received[1]!.body;
  expect(eventNames(body)).toEqual(["Modified"]);
  expect(texts(body, "UnreadCount")).toEqual(["1"]);
  expect(body).toContain(`<t:FolderId Id="${mailbox.folderId(folder)}"`);
  expect(body).toContain(`<t:ParentFolderId Id="${mailbox.folderId("inbox")}"`);
  expect(exchange.unread("mailbox-1", "inbox")).toBe(0);
});

test("makes the events of each user action", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, mailbox, subscribe } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url, 15, ["inbox", "calendar"]);
  let mail = "";
  const steps: [() => void, string[], string[]][] = [
    [
      () => {
        mail = mailbox.deliver();
      },
      ["Created", "NewMail", "Modified"],
      ["1"],
    ],
    [() => mailbox.markRead(mail), ["Modified", "Modified"], ["0"]],
    [() => mailbox.markRead(mail, false), ["Modified", "Modified"], ["1"]],
    [() => void mailbox.copy(mail, "inbox"), ["Copied", "Modified"], ["2"]],
    [() => void mailbox.move(mail, "deleteditems"), ["Moved", "Modified"], ["1"]],
    [() => mailbox.remove(mailbox.items("inbox")[0]!.id), ["Deleted", "Modified"], ["0"]],
    [() => mailbox.touchFolder("inbox"), ["Modified"], []],
    [() => mailbox.changeCalendar(), ["Created", "Modified"], ["0"]],
    [() => mailbox.changeFreeBusy(), ["FreeBusyChanged"], []],
  ];
  for (const [act, names, counts] of steps) {
    act();
    await exchange.idle();
    const { body } = listener.received.at(-1)!;
    expect([eventNames(body), texts(body, "UnreadCount")]).toEqual([names, counts]);
  }
  expect(listener.received).toHaveLength(steps.length);
});

test("puts at most 50 events into a POST, says that more follow, and chains the watermarks", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, mailbox, subscribe } = await startExchange();
  stops.push(exchange.stop);
  const { watermark } = subscribe(listener.url);
  for (let count = 0; count < 40; count++) mailbox.deliver();
  await exchange.idle();
  const bodies = listener.received.map((request) => request.body);
  expect(bodies.map((body) => eventNames(body).length)).toEqual([50, 50, 20]);
  expect(bodies.map((body) => texts(body, "MoreEvents")[0])).toEqual(["true", "true", "false"]);
  let previous = watermark;
  for (const body of bodies) {
    expect(texts(body, "PreviousWatermark")).toEqual([previous]);
    previous = texts(body, "Watermark").at(-1)!;
  }
  expect(listener.mostOpen()).toBe(1);
});

test("refuses a certificate of another authority, for another name, or out of date", async () => {
  const trusted = await authority();
  const wrong = {
    "another authority": await issue(await createAuthority("Someone else"), { names: ["127.0.0.1"] }),
    "another name": await issue(trusted, { names: ["other.corp.example"] }),
    "out of date": await issue(trusted, { names: ["127.0.0.1"], now: Date.now() - 90 * 86_400_000, days: 1 }),
    "not yet valid": await issue(trusted, { names: ["127.0.0.1"], now: Date.now() + 90 * 86_400_000 }),
  };
  for (const [why, certificate] of Object.entries(wrong)) {
    const listener = await startListener(ok, certificate);
    const { exchange, mailbox, subscribe, judged, retries } = await startExchange();
    subscribe(listener.url);
    mailbox.deliver();
    await judged(1);
    expect([why, listener.received.length, retries.length]).toEqual([why, 0, 1]);
    await exchange.stop();
    await listener.stop();
  }
});

test("checks the certificate against the name in the URL, not against the address behind it", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const hosts = { "bell.corp.example": "127.0.0.1", "bell2.corp.example": "127.0.0.1" };
  const { exchange, mailbox, subscribe, judged, retries } = await startExchange({ hosts });
  stops.push(exchange.stop);
  subscribe(`https://bell.corp.example:${listener.port}/ews/x`);
  mailbox.deliver();
  await exchange.idle();
  expect(listener.received).toHaveLength(1);
  expect(listener.received[0]!.head).toContain(`\r\nHost: bell.corp.example:${listener.port}\r\n`);
  exchange.forget();
  subscribe(`https://bell2.corp.example:${listener.port}/ews/x`);
  mailbox.deliver();
  await judged(2);
  expect([listener.received.length, retries.length]).toEqual([1, 1]);
});

test("reads an answer that comes in chunks or without a length", async () => {
  const half = OK_BODY.length >> 1;
  const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
  const answers = [
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(OK_BODY.slice(0, half))}${chunk(OK_BODY.slice(half))}0\r\n\r\n`,
    `HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${OK_BODY}`,
    `HTTP/1.1 100 Continue\r\n\r\n${http(202, OK_BODY)}`,
  ];
  const listener = await startListener((_request, count) => answers[count - 1] ?? null);
  stops.push(listener.stop);
  const { exchange, mailbox, subscribe, judged } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url);
  for (const count of [1, 2, 3]) {
    mailbox.deliver();
    await judged(count);
  }
  expect(exchange.statistics()).toMatchObject({ delivered: 3, failures: {}, violations: [] });
});
