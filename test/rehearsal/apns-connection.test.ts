// How the simulated APNs behaves on the wire, and how it misbehaves when told to.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect as connectTls } from "node:tls";
import type { AcceptedPush } from "../../src/rehearsal/apns/judge.ts";
import { apnsRefusal } from "../../src/rehearsal/apns/simulator.ts";
import { createApnsToken } from "../../src/rehearsal/credentials.ts";
import {
  APP,
  authority,
  type Client,
  connect,
  NOON,
  push,
  random,
  reasonOf,
  startApns,
  within,
} from "./provider-helpers.ts";

// HTTP/2 error codes (RFC 9113 §7).
const REFUSED_STREAM = 7;
// Loopback answers within a few milliseconds; what has not come by then does not come.
const SILENCE_MS = 120;

let apns: Awaited<ReturnType<typeof startApns>>;
let client: Client;
const rung: AcceptedPush[] = [];

beforeEach(async () => {
  rung.length = 0;
  apns = await startApns({ streams: 50, onAccepted: (accepted) => rung.push(accepted) });
  client = await connect(apns.url);
});
afterEach(async () => {
  client.end();
  await apns.simulator.stop();
});

const send = (badge = 1, to = client, token = apns.token) =>
  push(to, token, NOON, { body: JSON.stringify({ aps: { badge }, bell: { reason: "mail" } }) });

test("speaks HTTP/2 only: a client without it gets no connection", async () => {
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = connectTls({
      port: apns.port,
      host: "127.0.0.1",
      servername: "localhost",
      ca: authority.certificate,
      ALPNProtocols: ["http/1.1"],
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.once("close", () => resolve(undefined));
  });
  expect(code).toContain("NO_APPLICATION_PROTOCOL");
});

test("allows one stream until the sender is known, then many", async () => {
  expect(client.session.remoteSettings.maxConcurrentStreams).toBe(1);
  const raised = new Promise((resolve) => client.session.once("remoteSettings", resolve));
  expect(reasonOf(await send())).toBe("accepted");
  await raised;
  expect(client.session.remoteSettings.maxConcurrentStreams).toBe(50);
  const replies = await Promise.all(Array.from({ length: 40 }, () => send()));
  expect(replies.map(reasonOf)).toEqual(Array(40).fill("accepted"));
});

test("refuses streams that come before that as REFUSED_STREAM, unprocessed", async () => {
  // A sender that does not wait for SETTINGS: nothing holds its streams back.
  apns.simulator.misbehave({ kind: "delay", ms: 30 });
  const eager = await import("node:http2").then((http2) =>
    http2.connect(apns.url, { ca: authority.certificate }),
  );
  const { promise, resolve } = Promise.withResolvers<number[]>();
  const codes: number[] = [];
  for (let n = 0; n < 4; n += 1) {
    const stream = eager.request({ ":method": "POST", ":path": `/3/device/${apns.token}` });
    stream.on("error", () => {});
    stream.on("close", () => {
      codes.push(stream.rstCode ?? 0);
      if (codes.length === 4) resolve(codes);
    });
    stream.resume();
    stream.end("{}");
  }
  expect((await promise).filter((code) => code === REFUSED_STREAM)).toHaveLength(3);
  expect(apns.simulator.totals().requests).toBe(1);
  eager.destroy();
});

test("goes back to one stream when it refuses the sender", async () => {
  await send();
  const lowered = new Promise((resolve) => client.session.once("remoteSettings", resolve));
  const reply = await push(client, apns.token, NOON, { headers: { authorization: "bearer x.y.z" } });
  expect(reasonOf(reply)).toBe("InvalidProviderToken");
  await lowered;
  expect(client.session.remoteSettings.maxConcurrentStreams).toBe(1);
});

test("lowers SETTINGS in mid-flight: what is above is refused unprocessed", async () => {
  await send();
  apns.simulator.misbehave({ kind: "delay", ms: 50 }, { every: 1 });
  apns.simulator.allowStreams(1);
  // These leave before the new SETTINGS arrive.
  const replies = await Promise.all(Array.from({ length: 5 }, () => send()));
  expect(replies.filter(({ rst }) => rst === REFUSED_STREAM)).toHaveLength(4);
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
});

test("remembers what each phone got, in order, and the badge it shows", async () => {
  const other = createApnsToken(random);
  apns.simulator.devices.register(other, APP);
  expect(apns.simulator.lastBadge(apns.token)).toBeUndefined();
  for (const badge of [2, 5, 0]) await send(badge);
  await send(9, client, other);
  expect(apns.simulator.history(apns.token).map(({ badge }) => badge)).toEqual([2, 5, 0]);
  expect(apns.simulator.lastBadge(apns.token)).toBe(0);
  expect(apns.simulator.lastBadge(apns.token.toUpperCase())).toBe(0);
  expect(rung.map(({ token, badge, reason }) => [token, badge, reason])).toEqual([
    [apns.token, 2, "mail"],
    [apns.token, 5, "mail"],
    [apns.token, 0, "mail"],
    [other, 9, "mail"],
  ]);
  expect(rung[0]).toMatchObject({ pushType: "alert", priority: 10, at: NOON, app: APP });
  expect(apns.simulator.totals()).toMatchObject({ connections: 1, openConnections: 1, accepted: 4 });
});

test("a push with content-available alone leaves the badge as it is", async () => {
  await send(4);
  await push(client, apns.token, NOON, {
    headers: { "apns-push-type": "background", "apns-priority": "5" },
    body: JSON.stringify({ aps: { "content-available": 1 } }),
  });
  expect(apns.simulator.lastBadge(apns.token)).toBe(4);
});

test("refuses the next n, or every n-th, or those of one token, until told to behave", async () => {
  const unavailable = apnsRefusal("ServiceUnavailable");
  const answers = async (count: number, token = apns.token) => {
    const reasons: string[] = [];
    for (let n = 0; n < count; n += 1) reasons.push(reasonOf(await send(1, client, token)));
    return reasons.map((reason) => (reason === "accepted" ? "+" : "-")).join("");
  };
  apns.simulator.misbehave(unavailable, { next: 2 });
  expect(await answers(4)).toBe("--++");
  apns.simulator.misbehave(unavailable, { every: 3 });
  expect(await answers(7)).toBe("++-++-+");
  apns.simulator.behave();
  const other = createApnsToken(random);
  apns.simulator.devices.register(other, APP);
  apns.simulator.misbehave(unavailable, { every: 1, token: other });
  expect([await answers(2), await answers(2, other)]).toEqual(["++", "--"]);
  apns.simulator.behave();
  expect(await answers(2, other)).toBe("++");
});

test("answers late", async () => {
  apns.simulator.misbehave({ kind: "delay", ms: 80 });
  const before = performance.now();
  expect(reasonOf(await send())).toBe("accepted");
  expect(performance.now() - before).toBeGreaterThanOrEqual(75);
});

test("hangs on one request and answers the others", async () => {
  await send();
  apns.simulator.misbehave({ kind: "hang" });
  const hung = send(7);
  expect(reasonOf(await send(8))).toBe("accepted");
  expect(await within(hung, SILENCE_MS)).toBeUndefined();
  expect(apns.simulator.history(apns.token).map(({ badge }) => badge)).toEqual([1, 8]);
});

test("loses an answer: the phone rings, the sender does not hear of it", async () => {
  await send();
  apns.simulator.misbehave({ kind: "lose-answer" });
  expect(await within(send(7), SILENCE_MS)).toBeUndefined();
  expect(apns.simulator.lastBadge(apns.token)).toBe(7);
});

test("GOAWAY names its reason; streams above the last one were not processed, those below are answered", async () => {
  await send();
  apns.simulator.misbehave({ kind: "delay", ms: 30 });
  const below = send(2);
  apns.simulator.misbehave({ kind: "goaway", processed: "unprocessed", reason: "Shutdown" });
  const [first, cut, above] = await Promise.all([below, send(3), send(4)]);
  expect(reasonOf(first)).toBe("accepted");
  expect([cut.rst, above.rst]).toEqual([REFUSED_STREAM, REFUSED_STREAM]);
  expect(await client.goaway).toMatchObject({ code: 0, lastStreamId: 3, data: '{"reason":"Shutdown"}' });
  await client.closed;
  expect(apns.simulator.history(apns.token).map(({ badge }) => badge)).toEqual([1, 2]);
});

test("GOAWAY for the very first request says that nothing was processed", async () => {
  apns.simulator.misbehave({ kind: "goaway", processed: "unprocessed" });
  expect((await send()).rst).toBe(REFUSED_STREAM);
  expect((await client.goaway).lastStreamId).toBe(0);
  expect(rung).toHaveLength(0);
});

test("GOAWAY that includes the request answers it, or leaves it unknown", async () => {
  apns.simulator.misbehave({ kind: "goaway", processed: "answered" });
  expect(reasonOf(await send(2))).toBe("accepted");
  await client.closed;
  client = await connect(apns.url);
  apns.simulator.misbehave({ kind: "goaway", processed: "unanswered" });
  expect((await send(3)).status).toBeUndefined();
  await client.closed;
  expect(apns.simulator.lastBadge(apns.token)).toBe(3);
});

test("GOAWAY on all connections lets what is in flight finish", async () => {
  await send();
  apns.simulator.misbehave({ kind: "delay", ms: 50 }, { next: 3 });
  const flying = [send(2), send(3), send(4)];
  while (apns.simulator.history(apns.token).length < 4) await Bun.sleep(1);
  apns.simulator.goaway("Shutdown");
  expect((await Promise.all(flying)).map(reasonOf)).toEqual(["accepted", "accepted", "accepted"]);
  await client.closed;
});

test("resets one stream and leaves the connection", async () => {
  await send();
  apns.simulator.misbehave({ kind: "reset-stream" });
  expect((await send(2)).rst).toBe(REFUSED_STREAM);
  apns.simulator.misbehave({ kind: "reset-stream", code: 2 });
  expect((await send(2)).rst).toBe(2);
  expect(reasonOf(await send(3))).toBe("accepted");
  expect(rung).toHaveLength(2);
});

for (const kind of ["close", "abort"] as const) {
  test(`${kind}s the connection under the requests, which are not processed`, async () => {
    await send();
    apns.simulator.misbehave({ kind });
    const [first, second] = await Promise.all([send(2), send(3)]);
    expect([first.status, second.status]).toEqual([undefined, undefined]);
    await client.closed;
    expect(apns.simulator.history(apns.token)).toHaveLength(1);
    client = await connect(apns.url);
    expect(reasonOf(await send(4))).toBe("accepted");
  });
}

test("freezes: the connection stays open, but neither requests nor PING are answered", async () => {
  await send();
  apns.simulator.misbehave({ kind: "freeze" });
  const frozen = send(2);
  expect(await within(frozen, SILENCE_MS)).toBeUndefined();
  const pong = new Promise((resolve) => client.session.ping((error) => resolve(error ?? "pong")));
  expect(await within(pong, SILENCE_MS)).toBeUndefined();
  expect(client.session.closed).toBe(false);
  expect(apns.simulator.totals().openConnections).toBe(1);
  const other = await connect(apns.url);
  expect(reasonOf(await send(5, other))).toBe("accepted");
  other.end();
});

test("an outage ends every connection; afterwards it is back on the same port", async () => {
  await send(1);
  await apns.simulator.stop();
  await client.closed;
  await expect(connect(apns.url)).rejects.toThrow();
  expect((await apns.simulator.start()).port).toBe(apns.port);
  client = await connect(apns.url);
  expect(reasonOf(await send(2))).toBe("accepted");
  expect(apns.simulator.history(apns.token)).toHaveLength(2);
});

test("writes down every request with its id and answer, so that a retry can be told by its id", async () => {
  apns.simulator.misbehave(apnsRefusal("ServiceUnavailable"));
  const headers = { "apns-id": "0b0d6e0c-5a3c-4b0e-8f4e-6f5a0a5b1c2d" };
  await push(client, apns.token, NOON, { headers });
  await push(client, apns.token, NOON, { headers });
  expect(apns.simulator.requests()).toEqual([
    { at: NOON, token: apns.token, id: headers["apns-id"], status: 503, reason: "ServiceUnavailable" },
    { at: NOON, token: apns.token, id: headers["apns-id"], status: 200, reason: "accepted" },
  ]);
});
