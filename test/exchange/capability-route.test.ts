// POSTs on the callback URL of a folder, against a real store: what is answered, what is owed, what is logged.
import { afterEach, expect, test } from "bun:test";
import { BellError } from "../../src/errors.ts";
import { generateKeys } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { id, keyring } from "../store/helpers.ts";
import {
  folderChanged,
  inbox,
  inboxOf,
  isDurable,
  newMail,
  openExchange,
  SAMPLE,
  sample,
  statusOf,
  wireBody,
  write,
} from "./helpers.ts";

type Exchange = Awaited<ReturnType<typeof openExchange>>;
const opened: Exchange[] = [];
async function open(options: Parameters<typeof openExchange>[0] = {}): Promise<Exchange> {
  const exchange = await openExchange(options);
  opened.push(exchange);
  return exchange;
}
afterEach(async () => {
  for (const exchange of opened.splice(0)) await exchange.close();
});

const STATUS = sample("syn-20-status.xml");

test("a new mail is owed with its count, durably, and says which registration became due", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  const answer = await exchange.post(inboxOf(1, 10), wireBody(), { correlationId: "abc", receivedAtMs: 7 });
  expect(statusOf(answer)).toBe("OK");
  expect(isDurable(answer)).toBe(true);
  expect(exchange.due).toMatchObject([
    { registrationId: id(1), origin: { correlationId: "abc", receivedAtMs: 7 } },
  ]);
  expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 1, folder: null }]);
  expect(await exchange.count("notifications", "accepted")).toBe(1);
  expect(await exchange.count("answers", "200")).toBe(1);
});

test("the query string of a callback URL is of no matter", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  expect(statusOf(await exchange.post(inboxOf(1, 10), wireBody(), { query: "x=1" }))).toBe("OK");
});

test("every sample notification is answered OK", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  for (const name of new Bun.Glob("syn-*.xml").scanSync(`${import.meta.dir}/../samples`)) {
    expect(statusOf(await exchange.post(inboxOf(1, 10), sample(name)))).toBe("OK");
  }
  expect(await exchange.count("notifications", "malformed")).toBe(0);
});

test("the inbox is learnt once, and sub-folders never become the badge", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  const post = (...events: Parameters<typeof write>[0]) => exchange.post(inboxOf(1, 10), write(events));
  await post({ events: [folderChanged("sub", "inbox-id", 42, "w1")] });
  expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: null, folder: null }]);
  await post({ events: newMail("inbox-id", 3, "w2") });
  expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 3, folder: null }]);
  await post({ events: [folderChanged("sub", "inbox-id", 43, "w3")] });
  expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: null, folder: null }]);
  await post({ events: [folderChanged("inbox-id", "root", 2, "w4")] });
  expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: 2, folder: null }]);
  const folder = await exchange.folderOf(1);
  expect(folder.folderLearnt).toBe(true);
  expect(folder.folderMac).toEqual(keyring.mac("folder", "inbox-id"));
});

test("a StatusEvent rings nobody, and on a bound subscription its answer rests on no commit", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  const first = await exchange.post(inboxOf(1, 10), STATUS);
  expect(statusOf(first)).toBe("OK");
  expect(isDurable(first)).toBe(true);
  exchange.time.now += 60_000;
  const second = await exchange.post(inboxOf(1, 10), STATUS);
  expect(statusOf(second)).toBe("OK");
  expect(isDurable(second)).toBe(false);
  expect((await exchange.folderOf(1)).lastHeardAt).toBe(exchange.time.now);
  expect(await exchange.ringAll(1)).toEqual([]);
  expect(await exchange.count("notifications", "heartbeat")).toBe(2);
});

test("a body sent again because its answer was lost rings once", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  await exchange.post(inboxOf(1, 10), wireBody());
  await exchange.ringAll(1);
  const again = await exchange.post(inboxOf(1, 10), wireBody());
  expect(statusOf(again)).toBe("OK");
  expect(isDurable(again)).toBe(true);
  expect(await exchange.ringAll(1)).toEqual([]);
  expect(await exchange.count("notifications", "duplicate")).toBe(1);
});

test("a missed notification is counted", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  const post = (previousWatermark: string, watermark: string) =>
    exchange.post(inboxOf(1, 10), write([{ previousWatermark, events: newMail("f", 1, watermark) }]));
  await post("w0", "w1");
  await post("w1", "w2");
  expect(await exchange.count("watermarkGaps")).toBe(0);
  await post("w3", "w4");
  expect(await exchange.count("watermarkGaps")).toBe(1);
});

test("a newer generation, once heard, ends the older; the newer goes on", async () => {
  const exchange = await open();
  await exchange.put(1, 20, [inbox(20)]);
  expect(statusOf(await exchange.post(inboxOf(1, 10), write([{ events: newMail("f", 1, "w1") }])))).toBe(
    "OK",
  );
  expect(statusOf(await exchange.post(inboxOf(1, 20), STATUS))).toBe("OK");
  const ended = await exchange.post(inboxOf(1, 10), write([{ events: newMail("f", 2, "w2") }]));
  expect(statusOf(ended)).toBe("Unsubscribe");
  expect(isDurable(ended)).toBe(true);
  expect((await exchange.folderOf(1)).endedGeneration).toBe(10);
  expect(statusOf(await exchange.post(inboxOf(1, 20), STATUS))).toBe("OK");
  await exchange.reopen();
  expect((await exchange.folderOf(1)).endedGeneration).toBe(10);
  expect(exchange.lines.filter((line) => line.includes("A subscription ends."))).toHaveLength(1);
});

test("a deleted registration's subscription is told to end", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  await exchange.store.submit({
    registrationId: id(1),
    decide: () => ({ change: { delete: { at: exchange.time.now } }, result: null }),
  });
  expect(statusOf(await exchange.post(inboxOf(1, 10), wireBody()))).toBe("Unsubscribe");
  expect(await exchange.count("notifications", "refused")).toBe(1);
});

test("a token that the provider called dead ends its subscription; one that only stopped does not", async () => {
  for (const [ends, word] of [
    [true, "Unsubscribe"],
    [false, "OK"],
  ] as const) {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10)]);
    await exchange.post(inboxOf(1, 10), wireBody());
    const ring = await exchange.nextRing(1);
    await exchange.store.settle([
      { ring: ring!, kind: "dead", ends, outcome: "Unregistered", at: exchange.time.now },
    ]);
    const post = () => exchange.post(inboxOf(1, 10), write([{ events: newMail("f", 2, "w9") }]));
    expect(statusOf(await post())).toBe(word);
    expect((await exchange.folderOf(1)).endedGeneration).toBe(ends ? 10 : 0);
  }
});

test("an error notification is answered OK, marks the folder and asks the app to subscribe again", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  await exchange.post(inboxOf(1, 10), STATUS);
  const body = sample("syn-31-error-ErrorReadEventsFailed.xml");
  expect(statusOf(await exchange.post(inboxOf(1, 10), body))).toBe("OK");
  expect((await exchange.folderOf(1)).failedAt).toBe(exchange.time.now);
  expect(await exchange.ringAll(1)).toEqual([{ reason: "resubscribe", badge: null, folder: "inbox" }]);
  expect(exchange.lines.filter((line) => line.includes("ErrorReadEventsFailed"))).toHaveLength(1);
  expect(statusOf(await exchange.post(inboxOf(1, 10), STATUS))).toBe("OK");
  expect((await exchange.folderOf(1)).failedAt).toBeNull();
});

test("news for a registration that is not there is answered OK and rings once it arrives", async () => {
  const exchange = await open();
  const answer = await exchange.post(inboxOf(1, 10), wireBody());
  expect(statusOf(answer)).toBe("OK");
  expect(isDurable(answer)).toBe(true);
  expect(await exchange.ringAll(1)).toEqual([]);
  await exchange.put(1, 10, [inbox(10)]);
  expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 1, folder: null }]);
});

test("a body that cannot be used is answered OK, counted, and wakes the phone without a badge", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  const gzip = new Map([["content-encoding", "gzip"]]);
  const bodies: [Buffer, object][] = [
    [Buffer.from("<a>"), {}],
    [Buffer.from('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), {}],
    [Buffer.of(0xff, 0x3c), {}],
    [Buffer.alloc(0), {}],
    [Buffer.alloc(0), { oversize: true }],
    [Bun.gzipSync(new Uint8Array(wireBody())) as Buffer, { headers: gzip }],
    [wireBody(), { headers: gzip }],
  ];
  for (const [body, more] of bodies) {
    const answer = await exchange.post(inboxOf(1, 10), Buffer.from(body), more);
    expect(statusOf(answer)).toBe("OK");
    expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: null, folder: null }]);
    // A phone is woken a few times an hour only.
    exchange.time.now += 1_200_000;
  }
  expect(await exchange.count("notifications", "malformed")).toBe(bodies.length);
  // One warning an hour for one registration, not one a POST.
  expect(exchange.lines.filter((line) => line.includes("cannot be used"))).toHaveLength(
    Math.ceil((bodies.length * 1_200_000) / 3_600_000),
  );
});

test("a body larger than the listener keeps is named as such", async () => {
  const exchange = await open();
  await exchange.post(inboxOf(1, 10), Buffer.alloc(0), { oversize: true });
  expect(exchange.lines.some((line) => line.includes('"why":"too_large"'))).toBe(true);
});

test("a forged, cut or misspelt capability is 404 without a look at the database", async () => {
  const exchange = await open();
  const good = keyring.mintCapability(inboxOf(1, 10));
  const foreign = createKeyring(generateKeys(0)).mintCapability(inboxOf(1, 10));
  await exchange.store.stop();
  const flipped = `${good.slice(0, -3)}${good.at(-3) === "A" ? "B" : "A"}${good.slice(-2)}`;
  for (const segment of [
    "x",
    "",
    flipped,
    good.slice(0, -4),
    `${good}/`,
    `${good}%20`,
    `/${good}`,
    `${good}A`,
  ]) {
    expect(statusOf(await exchange.ask({ path: `/ews/${segment}`, body: wireBody() }))).toBe("404");
  }
  // Well formed, but made with a key that this node lacks: perhaps the other node's, so Exchange tries again.
  expect(statusOf(await exchange.ask({ path: `/ews/${foreign}`, body: wireBody() }))).toBe("503");
  expect(await exchange.count("keyUnknown")).toBe(1);
});

test("a capability of an unknown key raises one alarm a minute", async () => {
  const exchange = await open();
  const path = `/ews/${createKeyring(generateKeys(0)).mintCapability(inboxOf(1, 10))}`;
  for (let i = 0; i < 5; i += 1) await exchange.ask({ path, body: wireBody() });
  const alarms = () => exchange.lines.filter((line) => line.includes('"key_unknown"'));
  expect(alarms()).toHaveLength(1);
  exchange.time.now += 60_000;
  await exchange.ask({ path, body: wireBody() });
  expect(alarms()).toHaveLength(2);
});

test("other paths and methods are 404, and the shared route is off by default", async () => {
  const exchange = await open();
  const capability = keyring.mintCapability(inboxOf(1, 10));
  for (const [method, path] of [
    ["GET", `/ews/${capability}`],
    ["HEAD", `/ews/${capability}`],
    ["PUT", `/ews/${capability}`],
    ["post", `/ews/${capability}`],
    ["POST", "/"],
    ["POST", "/ews"],
    ["POST", "/EWS"],
    ["POST", "/v1/registrations"],
    ["OPTIONS", "*"],
  ] as const) {
    expect(statusOf(await exchange.ask({ method, path, body: wireBody() }))).toBe("404");
  }
  expect(await exchange.count("answers", "404")).toBe(9);
});

test("a store that cannot commit makes Exchange try again", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  await exchange.store.stop();
  expect(statusOf(await exchange.post(inboxOf(1, 10), wireBody()))).toBe("503");
  expect(await exchange.count("answers", "503")).toBe(1);
});

test("an error that is not the store's rejects, so that the listener reports it", async () => {
  const failure = new BellError("internal", "x");
  const exchange = await open({
    store: {
      submit: () => Promise.reject(failure),
      findSubscription: () => Promise.reject(failure),
    },
  });
  expect(exchange.post(inboxOf(1, 10), wireBody())).rejects.toBe(failure);
});

test("credentials are ignored and never logged; the unpatched server is named once an hour", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  const headers = new Map([["authorization", "NTLM TlRMTVNTUAABAAAA"]]);
  const from = (remoteAddress: string) => exchange.post(inboxOf(1, 10), STATUS, { headers, remoteAddress });
  const warnings = () => exchange.lines.filter((line) => line.includes("CVE-2018-8581"));
  expect(statusOf(await from("10.1.0.5"))).toBe("OK");
  await from("10.1.0.5");
  await from("10.1.0.6");
  expect(warnings()).toHaveLength(2);
  exchange.time.now += 3_600_000;
  await from("10.1.0.5");
  expect(warnings()).toHaveLength(3);
  expect(exchange.lines.join("")).not.toContain("TlRMTVNTUAABAAAA");
  const counted = await exchange.metrics.unpatchedExchange.get();
  expect(counted.values[0]?.value).toBe(4);
});

test("while the node may lack rows nothing is ended", async () => {
  let starting = true;
  const exchange = await open({ starting: () => starting });
  await exchange.put(1, 20, [inbox(20, { boundGeneration: 20 })]);
  const post = () => exchange.post(inboxOf(1, 10), wireBody());
  expect(statusOf(await post())).toBe("OK");
  expect((await exchange.folderOf(1)).endedGeneration).toBe(0);
  starting = false;
  expect(statusOf(await post())).toBe("Unsubscribe");
});

test("the log holds neither ids of Exchange, nor capabilities, nor registration ids, nor bodies", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  await exchange.post(inboxOf(1, 10), wireBody());
  await exchange.post(inboxOf(1, 10), Buffer.from("<secret>"));
  await exchange.post(inboxOf(1, 10), sample("syn-32-error-ErrorServerBusy.xml"));
  const log = exchange.lines.join("");
  for (const secret of [
    SAMPLE.subscription,
    SAMPLE.inbox,
    keyring.mintCapability(inboxOf(1, 10)),
    id(1),
    "secret",
    "cannot service",
  ]) {
    expect(log).not.toContain(secret);
  }
  expect(log).toContain(keyring.logId(id(1)));
  expect(log).toContain('"correlationId":"c0ffee"');
});
