// When the simulated Exchange posts: order, retries, heartbeats, and how subscriptions end.
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { createScaledClock } from "../../src/rehearsal/ews/clock.ts";
import { nextRetry } from "../../src/rehearsal/ews/retry.ts";
import { EwsError } from "../../src/rehearsal/ews/subscribe-rules.ts";
import {
  ALL_EVENTS,
  eventNames,
  http,
  OK_BODY,
  ok,
  startExchange,
  startListener,
  texts,
} from "./exchange-helpers.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const MINUTE_MS = 60_000;

test.each([
  [1, [30, 60]],
  [15, [30, 60, 120, 240, 480]],
  [30, [30, 60, 120, 240, 480, 960]],
  [60, [30, 60, 120, 240, 480, 960, 1920]],
])("retries with a StatusFrequency of %i min after these seconds, then gives up", (frequency, seconds) => {
  const waits: (number | "drop")[] = [];
  for (let failures = 1; waits.at(-1) !== "drop"; failures++) waits.push(nextRetry(failures, frequency));
  expect(waits).toEqual([...seconds.map((wait) => wait * 1000), "drop"]);
});

test("never waits longer than the StatusFrequency", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1440 }), fc.integer({ min: 1, max: 40 }), (frequency, failures) => {
      const wait = nextRetry(failures, frequency);
      return wait === "drop" || wait <= frequency * MINUTE_MS;
    }),
  );
});

test("sends the same body again, lets newer events wait behind it, and keeps the order", async () => {
  const listener = await startListener((_request, count) => http(count <= 2 ? 503 : 200, OK_BODY));
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe, judged, retries } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url);
  mailbox.deliver();
  await judged(1);
  mailbox.deliver();
  clock.advance(29_999);
  expect(listener.received).toHaveLength(1);
  clock.advance(1);
  await judged(2);
  clock.advance(60_000);
  await exchange.idle();
  const bodies = listener.received.map((request) => request.body);
  expect(retries).toEqual([30_000, 60_000]);
  expect(bodies[1]).toBe(bodies[0]!);
  expect(bodies[2]).toBe(bodies[0]!);
  expect(bodies.map((body) => texts(body, "UnreadCount"))).toEqual([["1"], ["1"], ["1"], ["2"]]);
  expect(exchange.statistics()).toMatchObject({ posts: 4, retries: 2, delivered: 2 });
  expect(listener.mostOpen()).toBe(1);
});

test("drops the subscription when the next wait would exceed the StatusFrequency", async () => {
  const listener = await startListener(() => http(500, ""));
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe, judged, retries, ends } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url, 1);
  mailbox.deliver();
  for (const count of [1, 2, 3]) {
    await judged(count);
    clock.advance(MINUTE_MS);
  }
  expect([retries, ends, exchange.subscriptions()]).toEqual([[30_000, 60_000], ["dropped"], []]);
  mailbox.deliver();
  await exchange.idle();
  expect(listener.received).toHaveLength(3);
});

test("sends a body again whose good answer was lost", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe, judged } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url);
  exchange.loseAnswers(1);
  mailbox.deliver();
  await judged(1);
  clock.advance(30_000);
  await exchange.idle();
  expect(listener.received).toHaveLength(2);
  expect(listener.received[1]!.body).toBe(listener.received[0]!.body);
  expect(exchange.statistics()).toMatchObject({ lostAnswers: 1, delivered: 1, violations: [] });
});

test("posts at once when something happens, else a StatusEvent within 30 s, and then one per StatusFrequency", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url, 15);
  await exchange.idle();
  expect(listener.received).toHaveLength(0);
  clock.advance(30_000);
  await exchange.idle();
  clock.advance(14 * MINUTE_MS);
  mailbox.deliver();
  await exchange.idle();
  clock.advance(15 * MINUTE_MS - 1);
  await exchange.idle();
  expect(listener.received).toHaveLength(2);
  clock.advance(1);
  await exchange.idle();
  expect(listener.received.map((request) => eventNames(request.body))).toEqual([
    ["Status"],
    ["Created", "NewMail", "Modified"],
    ["Status"],
  ]);
  expect(exchange.statistics().heartbeats).toBe(2);
});

test("does not send the first StatusEvent when an event came before it", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe } = await startExchange();
  stops.push(exchange.stop);
  subscribe(listener.url, 15);
  mailbox.deliver();
  await exchange.idle();
  clock.advance(30_000);
  await exchange.idle();
  expect(listener.received).toHaveLength(1);
});

test("runs its waits as many times faster as it is told", async () => {
  const arrivals: number[] = [];
  const listener = await startListener((_request, count) => {
    arrivals.push(performance.now());
    return http(count <= 2 ? 503 : 200, OK_BODY);
  });
  stops.push(listener.stop);
  const { exchange, mailbox, subscribe } = await startExchange({
    clock: createScaledClock(600),
    postTimeoutMs: 600 * MINUTE_MS,
  });
  stops.push(exchange.stop);
  subscribe(listener.url);
  mailbox.deliver();
  await listener.has(3);
  const [first = 0, second = 0, third = 0] = arrivals;
  // 30 s and 60 s at 600 times the speed; timers may be late but never early by more than their own rounding.
  expect(second - first).toBeGreaterThan(48);
  expect(third - second).toBeGreaterThan(98);
  expect(third - first).toBeLessThan(3000);
});

test("forgets subscriptions without a word, all of them or those of one mailbox", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe, ends } = await startExchange();
  stops.push(exchange.stop);
  exchange.addMailbox("mailbox-2");
  subscribe(listener.url);
  exchange.subscribe({
    mailbox: "mailbox-2",
    folders: ["inbox"],
    eventTypes: ALL_EVENTS,
    statusFrequencyMinutes: 1,
    url: listener.url,
  });
  expect(exchange.forget("mailbox-1")).toBe(1);
  mailbox.deliver();
  await exchange.idle();
  expect(listener.received).toHaveLength(0);
  expect(exchange.subscriptions().map((view) => view.mailbox)).toEqual(["mailbox-2"]);
  expect(exchange.forget()).toBe(1);
  clock.advance(60 * MINUTE_MS);
  await exchange.idle();
  expect([listener.received.length, ends]).toEqual([0, ["forgotten", "forgotten"]]);
});

test("reports an error without a Notification element; some errors end the subscription", async () => {
  const listener = await startListener(ok);
  stops.push(listener.stop);
  const { exchange, mailbox, subscribe, ends } = await startExchange();
  stops.push(exchange.stop);
  const { subscriptionId } = subscribe(listener.url);
  exchange.sendError("mailbox-1", "ErrorServerBusy", false);
  await exchange.idle();
  mailbox.deliver();
  await exchange.idle();
  exchange.moveMailbox("mailbox-1", "ex02.corp.example", true);
  await exchange.idle();
  const bodies = listener.received.map((request) => request.body);
  expect(bodies[0]).toContain(`<t:Value Name="SubscriptionId">${subscriptionId}</t:Value>`);
  expect(bodies[0]).not.toContain("<m:Notification>");
  expect(bodies[2]).toContain("<m:ResponseCode>ErrorReadEventsFailed</m:ResponseCode>");
  expect([bodies.length, ends, exchange.subscriptions()]).toEqual([3, ["failed"], []]);
  const moved = Buffer.from(subscribe(listener.url).subscriptionId, "base64");
  expect(moved.toString("latin1", 2, 19)).toBe("ex02.corp.example");
});

test("refuses a Subscribe call that the real service refuses", async () => {
  const { exchange } = await startExchange({ maxSubscriptions: 1 });
  stops.push(exchange.stop);
  const request = {
    mailbox: "mailbox-1",
    folders: ["inbox"],
    eventTypes: ALL_EVENTS,
    statusFrequencyMinutes: 15,
    url: "https://127.0.0.1:9/ews/x",
  };
  const refusals: [Partial<Record<keyof typeof request, unknown>>, string][] = [
    [{ mailbox: "nobody" }, "ErrorNonExistentMailbox"],
    [{ folders: [] }, "ErrorSchemaValidation"],
    [{ folders: ["outbox"] }, "ErrorItemNotFound"],
    [{ eventTypes: [] }, "ErrorSchemaValidation"],
    [{ eventTypes: ["Status"] }, "ErrorSchemaValidation"],
    [{ statusFrequencyMinutes: 0 }, "ErrorSchemaValidation"],
    [{ statusFrequencyMinutes: 1441 }, "ErrorSchemaValidation"],
    [{ url: "ftp://127.0.0.1/" }, "ErrorInvalidPushSubscriptionUrl"],
    [{ url: "no url" }, "ErrorInvalidPushSubscriptionUrl"],
  ];
  const codeOf = (change: object) => {
    try {
      exchange.subscribe({ ...request, ...change });
      return "accepted";
    } catch (error) {
      return error instanceof EwsError ? error.responseCode : "another error";
    }
  };
  for (const [change, code] of refusals) expect([change, codeOf(change)]).toEqual([change, code]);
  expect(codeOf({})).toBe("accepted");
  expect(codeOf({})).toBe("ErrorExceededSubscriptionCount");
});

test("stops while a POST is in flight, and posts nothing afterwards", async () => {
  const listener = await startListener(() => null);
  stops.push(listener.stop);
  const { exchange, clock, mailbox, subscribe } = await startExchange();
  subscribe(listener.url);
  mailbox.deliver();
  await listener.has(1);
  await exchange.stop();
  expect(clock.waiting()).toBe(0);
  mailbox.deliver();
  await exchange.idle();
  expect(listener.received).toHaveLength(1);
});
