// The listener as Exchange meets it: TLS, one connection for each POST, the header set of a captured request.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { request, startListener, statuses, type TestListener } from "../net/helpers.ts";
import { keyring } from "../store/helpers.ts";
import { inbox, inboxOf, openExchange, SAMPLE, sample, wireBody } from "./helpers.ts";

let exchange: Awaited<ReturnType<typeof openExchange>>;
let server: TestListener;
beforeAll(async () => {
  exchange = await openExchange();
  await exchange.put(1, 10, [inbox(10)]);
  server = await startListener("tls", { name: "exchange", handler: exchange.handler });
});
afterAll(async () => {
  await server.stop();
  await exchange.close();
});

const path = `/ews/${keyring.mintCapability(inboxOf(1, 10))}`;

test("a POST exactly as Exchange writes it is answered, rung for, and its connection closed", async () => {
  const captured = sample("wire-50-exchange-post.http").toString("latin1");
  const received = await server.ask(Buffer.from(captured.replace("/ews/SECRET-PATH-TOKEN", path), "latin1"));
  const [head, body] = received.split("\r\n\r\n");
  expect(statuses(received)).toEqual([200]);
  expect(head).toContain("\r\nInboxbell-Durable: node");
  expect(head?.toLowerCase()).toContain("\r\nconnection: close");
  expect(body).toBe(sample("resp-40-ok.xml").toString());
  expect(Buffer.byteLength(received)).toBeLessThan(1024);
  expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 1, folder: null }]);
});

test("a client that keeps its connection may post again on it", async () => {
  const client = await server.connect();
  const keep = { Connection: "keep-alive", "Content-Type": "text/xml; charset=utf-8" };
  client.send(request(`POST ${path}`, keep, sample("syn-20-status.xml")));
  await client.until("</s:Envelope>");
  client.send(request(`POST ${path}`, { ...keep, Connection: "close" }, sample("syn-20-status.xml")));
  expect(statuses(await client.closed())).toEqual([200, 200]);
  client.destroy();
});

test("a body of five megabytes is answered OK and wakes the phone", async () => {
  const client = await server.connect();
  const body = Buffer.alloc(5 * 1024 * 1024, 0x20);
  client.send(request(`POST ${path}`, {}, body));
  expect(statuses(await client.closed())).toEqual([200]);
  client.destroy();
  expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: null, folder: null }]);
});

test("no path and no header draws a challenge, a redirect or a cookie", async () => {
  for (const line of [
    "GET /",
    `GET ${path}`,
    "POST /ews",
    "POST /ews/forged",
    "POST /autodiscover",
    `POST ${path}`,
  ]) {
    const headers = { Authorization: "Negotiate YII", "Accept-Encoding": "gzip", Expect: "" };
    const received = await server.ask(request(line, headers, line.startsWith("POST") ? wireBody() : ""));
    expect([200, 400, 404, 417]).toContain(statuses(received)[0]!);
    expect(received).not.toMatch(
      /www-authenticate|proxy-authenticate|location:|set-cookie|content-encoding/i,
    );
  }
  expect(exchange.lines.join("")).not.toContain("YII");
});

test("many servers posting at once are all answered, and the newest count is what is owed", async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => {
      const body = wireBody()
        .toString()
        .replace("<t:UnreadCount>1<", `<t:UnreadCount>${i + 2}<`)
        .replaceAll("AAAAAAAAAAE=", `AAAAAAAA${String(i).padStart(3, "0")}=`);
      return server.ask(request(`POST ${path}`, {}, body));
    }),
  );
  expect(answers.map((answer) => statuses(answer))).toEqual(Array.from({ length: 20 }, () => [200]));
  const [ring] = await exchange.ringAll(1);
  expect(ring?.reason).toBe("mail");
  expect(ring?.badge).toBeGreaterThanOrEqual(2);
});

test("the listener's log names nothing of Exchange's", () => {
  const log = [...exchange.lines, ...server.lines].join("");
  for (const secret of [SAMPLE.subscription, SAMPLE.inbox, path]) expect(log).not.toContain(secret);
});
