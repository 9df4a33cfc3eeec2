// The optional route without a capability, for apps that subscribe at a fixed URL and register the SubscriptionId.
import { afterEach, expect, test } from "bun:test";
import type { Answer } from "../../src/net/types.ts";
import { keyring } from "../store/helpers.ts";
import {
  inbox,
  isDurable,
  newMail,
  openExchange,
  sample,
  statusOf,
  type WrittenMessage,
  write,
} from "./helpers.ts";

type Exchange = Awaited<ReturnType<typeof openExchange>>;
const opened: Exchange[] = [];
async function open(options: Parameters<typeof openExchange>[0] = {}): Promise<Exchange> {
  const exchange = await openExchange({ sharedRoute: true, ...options });
  opened.push(exchange);
  return exchange;
}
afterEach(async () => {
  for (const exchange of opened.splice(0)) await exchange.close();
});

const mail = (subscriptionId: string, unread: number): WrittenMessage => ({
  subscriptionId,
  events: newMail("f", unread, `w${unread}`),
});
const post = (exchange: Exchange, ...messages: WrittenMessage[]): Promise<Answer> =>
  exchange.ask({ path: "/ews", body: write(messages) });
const noted = (revision: number, subscriptionId: string) =>
  inbox(revision, {
    boundGeneration: revision,
    subscriptionMac: keyring.mac("subscription", subscriptionId),
  });

test("a registered SubscriptionId leads to its registration", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [noted(10, "a")]);
  await exchange.put(2, 10, [noted(10, "b")]);
  const answer = await post(exchange, mail("b", 4));
  expect(statusOf(answer)).toBe("OK");
  expect(isDurable(answer)).toBe(true);
  expect(await exchange.ringAll(1)).toEqual([]);
  expect(await exchange.ringAll(2)).toEqual([{ reason: "mail", badge: 4, folder: null }]);
});

test("a body that cannot be read is 400, since nobody knows whose it is", async () => {
  const exchange = await open();
  expect(statusOf(await exchange.ask({ path: "/ews", body: Buffer.from("<a>") }))).toBe("400");
  expect(statusOf(await exchange.ask({ path: "/ews", oversize: true }))).toBe("400");
  expect(await exchange.count("notifications", "malformed")).toBe(2);
});

test("an unknown id is answered OK during its grace and Unsubscribe after it", async () => {
  const exchange = await open();
  const first = await post(exchange, mail("a", 1));
  expect(statusOf(first)).toBe("OK");
  expect(isDurable(first)).toBe(false);
  exchange.time.now += 3_599_999;
  expect(statusOf(await post(exchange, mail("a", 1)))).toBe("OK");
  exchange.time.now += 1;
  expect(statusOf(await post(exchange, mail("a", 1)))).toBe("Unsubscribe");
  expect(await exchange.count("notifications", "unknown")).toBe(3);
});

test("an id registered within its grace is served from then on", async () => {
  const exchange = await open();
  await post(exchange, mail("a", 1));
  exchange.time.now += 3_000_000;
  await exchange.put(1, 10, [noted(10, "a")]);
  exchange.time.now += 3_000_000;
  expect(statusOf(await post(exchange, mail("a", 2)))).toBe("OK");
  expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 2, folder: null }]);
});

test("while the node may lack rows an unknown id is never ended", async () => {
  const exchange = await open({ starting: () => true });
  await post(exchange, mail("a", 1));
  exchange.time.now += 10 * 3_600_000;
  expect(statusOf(await post(exchange, mail("a", 1)))).toBe("OK");
});

test("an error of a registered subscription asks its app to subscribe again; one without an id harms nobody", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [noted(10, "a")]);
  expect(statusOf(await post(exchange, { subscriptionId: "a", error: "ErrorReadEventsFailed" }))).toBe("OK");
  expect(await exchange.ringAll(1)).toEqual([{ reason: "resubscribe", badge: null, folder: "inbox" }]);
  const body = Buffer.from(
    sample("syn-32-error-ErrorServerBusy.xml").toString().replace('Name="SubscriptionId"', 'Name="x"'),
  );
  expect(statusOf(await exchange.ask({ path: "/ews", body }))).toBe("OK");
});

test("messages of several subscriptions reach each its own, and one that lives keeps the POST alive", async () => {
  const exchange = await open({ config: { sharedRoute: true, unknownGraceMs: 0 } });
  await exchange.put(1, 10, [noted(10, "a")]);
  await exchange.put(2, 10, [noted(10, "b")]);
  await post(exchange, mail("stranger", 9));
  expect(statusOf(await post(exchange, mail("a", 1), mail("stranger", 9), mail("b", 2)))).toBe("OK");
  expect((await exchange.ringAll(1))[0]?.badge).toBe(1);
  expect((await exchange.ringAll(2))[0]?.badge).toBe(2);
  expect(statusOf(await post(exchange, mail("stranger", 9)))).toBe("Unsubscribe");
});

test("an id that was replaced between look-up and decision is left alone", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [noted(10, "a")]);
  const [view] = await exchange.store.read(["00000000-0000-4000-8000-000000000001"]);
  expect(view?.state.kind).toBe("present");
  // The two steps race within one turn of the event loop: the PUT joins the commit before the POST's decision.
  const put = exchange.put(1, 20, [noted(20, "b")]);
  const answer = await post(exchange, mail("a", 1));
  await put;
  expect(statusOf(answer)).toBe("OK");
  expect((await exchange.folderOf(1)).subscriptionMac).toEqual(keyring.mac("subscription", "b"));
});
