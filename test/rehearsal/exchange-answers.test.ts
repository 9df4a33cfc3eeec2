// Which answers the simulated Exchange takes for a delivery, which for a failure, and what it holds against whom.
import { afterEach, describe, expect, test } from "bun:test";
import { ANSWER_BYTES } from "../../src/rehearsal/ews/answer.ts";
import {
  type Answering,
  http,
  OK_BODY,
  ok,
  startExchange,
  startListener,
  UNSUBSCRIBE_BODY,
} from "./exchange-helpers.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function judge(answering: Answering) {
  const listener = await startListener(answering);
  stops.push(listener.stop);
  const started = await startExchange();
  stops.push(started.exchange.stop);
  started.subscribe(listener.url);
  started.mailbox.deliver();
  await started.judged(1);
  const statistics = started.exchange.statistics();
  return {
    listener,
    statistics,
    ends: started.ends,
    outcome: [
      statistics.delivered === 1 ? "delivered" : "failed",
      statistics.violations[0]?.rule ?? "",
      statistics.violations[0]?.grave ?? false,
    ] as readonly [string, string, boolean],
  };
}

/** An OK answer padded with a comment to exactly this many bytes. */
function padded(bytes: number): string {
  const room = bytes - OK_BODY.length - "<!---->".length;
  return OK_BODY.replace("<s:Envelope", `<!--${"x".repeat(room)}--><s:Envelope`);
}

const good: [string, string][] = [
  ["200 with OK", http(200, OK_BODY)],
  ["202 with OK", http(202, OK_BODY)],
  [`a body of ${ANSWER_BYTES} bytes`, http(200, padded(ANSWER_BYTES))],
  ["a byte-order mark", http(200, `\xef\xbb\xbf${OK_BODY}`)],
  ["other prefixes", http(200, OK_BODY.replaceAll(/(<\/?)s:/g, "$1x:").replace(":s=", ":x="))],
];

const bad: [string, string, string][] = [
  [`a body of ${ANSWER_BYTES + 1} bytes`, http(200, padded(ANSWER_BYTES + 1)), "too_long"],
  ["lower case", http(200, OK_BODY.replace(">OK<", ">ok<")), "status_text"],
  ["upper case", http(200, UNSUBSCRIBE_BODY.replace("Unsubscribe", "UNSUBSCRIBE")), "status_text"],
  ["blanks around it", http(200, OK_BODY.replace(">OK<", "> OK <")), "status_text"],
  ["no namespace", http(200, OK_BODY.replace(/ xmlns="[^"]*"/, "")), "status_missing"],
  ["another namespace", http(200, OK_BODY.replace("2006/messages", "2006/types")), "status_missing"],
  [
    "the outer element in another namespace",
    http(
      200,
      '<a:SendNotificationResult xmlns:a="urn:a" xmlns="http://schemas.microsoft.com/exchange/services/2006/messages"><SubscriptionStatus>OK</SubscriptionStatus></a:SendNotificationResult>',
    ),
    "status_missing",
  ],
  ["an empty body", http(200, ""), "empty"],
  ["204", "HTTP/1.1 204 No Content\r\n\r\n", "empty"],
  ["a DOCTYPE", http(200, OK_BODY.replace("<s:Env", "<!DOCTYPE x><s:Env")), "doctype"],
  ["no XML", http(200, "OK"), "not_xml"],
  ["XML cut off", http(200, OK_BODY.slice(0, -5)), "not_xml"],
  ["compression", http(200, OK_BODY, { "Content-Encoding": "gzip" }), "compressed"],
  ["404", http(404, OK_BODY), ""],
  ["503", http(503, OK_BODY), ""],
  ["304", "HTTP/1.1 304 Not Modified\r\n\r\n", ""],
  ["401", http(401, OK_BODY), "challenge"],
  ["407", http(407, ""), "challenge"],
  ["a challenge on a good answer", http(200, OK_BODY, { "WWW-Authenticate": "NTLM" }), "challenge"],
  ["something that is not HTTP", "220 mail.example ESMTP\r\n\r\n", "not_http"],
  ["an answer cut off", http(200, OK_BODY).slice(0, -1), ""],
];

describe("takes for a delivery", () => {
  test.each(good)("%s", async (_name, answer) => {
    expect((await judge(() => answer)).outcome).toEqual(["delivered", "", false]);
  });
});

describe("takes for a failed delivery", () => {
  test.each(bad)("%s", async (_name, answer, rule) => {
    const { outcome } = await judge(() => answer);
    expect(outcome).toEqual(["failed", rule, rule === "challenge"]);
  });
});

test("stops reading after 1023 bytes of an endless answer", async () => {
  const { outcome } = await judge(
    () => `HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${OK_BODY}${" ".repeat(ANSWER_BYTES)}`,
  );
  // White space after the end is cut off without harm: the document is whole.
  expect(outcome).toEqual(["delivered", "", false]);
});

test.each([301, 302, 303])("follows a %i with a GET without a body", async (status) => {
  const { listener, outcome, statistics } = await judge((_request, count) =>
    count === 1 ? http(status, "", { Location: "/elsewhere" }) : http(200, OK_BODY),
  );
  expect(listener.received.map((request) => request.head.split("\r\n")[0])).toEqual([
    "POST /ews/some-capability HTTP/1.1",
    "GET /elsewhere HTTP/1.1",
  ]);
  expect(listener.received[1]!.body).toBe("");
  expect(outcome).toEqual(["delivered", "redirect", false]);
  expect(statistics.posts).toBe(1);
});

test("gives up on a circle of redirects", async () => {
  const { outcome } = await judge(() => http(302, "", { Location: "/round" }));
  expect(outcome).toEqual(["failed", "redirect", false]);
});

test("ends the subscription when the answer is Unsubscribe, and posts nothing more", async () => {
  const listener = await startListener(() => http(200, UNSUBSCRIBE_BODY));
  stops.push(listener.stop);
  const { exchange, mailbox, subscribe, ends } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url);
  mailbox.deliver();
  await exchange.idle();
  mailbox.deliver();
  await exchange.idle();
  expect([ends, listener.received.length, exchange.subscriptions()]).toEqual([["unsubscribed"], 1, []]);
});

test("waits 60 s for an answer, counted from before it connects", async () => {
  const listener = await startListener(() => null);
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe, judged } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url);
  mailbox.deliver();
  await listener.has(1);
  clock.advance(59_999);
  expect(exchange.statistics().failures).toEqual({});
  clock.advance(1);
  await judged(1);
  expect(exchange.statistics().failures).toEqual({ "no answer in time": 1 });
});

test("holds nothing against a listener that is down", async () => {
  const listener = await startListener(ok);
  await listener.stop();
  const { exchange, mailbox, subscribe, judged, retries } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url);
  mailbox.deliver();
  await judged(1);
  expect([exchange.statistics().violations, retries]).toEqual([[], [30_000]]);
});
