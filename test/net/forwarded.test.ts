// Whom an HTTP proxy passes on: who is believed, and that allow list and limits then mean the client.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createTrustList } from "../../src/net/allow-list.ts";
import { clientAddress } from "../../src/net/forwarded.ts";
import type { ListenerOptions } from "../../src/net/listener.ts";
import { CLIENT, connect, eventually, OK, request, startListener, statuses } from "./helpers.ts";

const trusted = createTrustList(["10.0.0.0/24", "2001:db8:f::/48"]);

describe("the client", () => {
  test.each<readonly [string, string | undefined, string]>([
    // Nobody else is believed.
    ["192.0.2.1", "198.51.100.9", "192.0.2.1"],
    ["10.0.0.1", undefined, "10.0.0.1"],
    ["10.0.0.1", "198.51.100.9", "198.51.100.9"],
    ["10.0.0.1", " 198.51.100.9 ", "198.51.100.9"],
    // What the client wrote itself stands before what the proxy added.
    ["10.0.0.1", "127.0.0.1, 198.51.100.9", "198.51.100.9"],
    ["10.0.0.1", "10.0.0.7, 198.51.100.9", "198.51.100.9"],
    // Two proxies in a row.
    ["10.0.0.1", "203.0.113.5, 198.51.100.9, 10.0.0.2", "198.51.100.9"],
    ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
    ["2001:db8:f::1", "2001:DB8::9", "2001:db8::9"],
    ["10.0.0.1", "::ffff:198.51.100.9", "198.51.100.9"],
    ["10.0.0.1", "198.51.100.9:4711", "198.51.100.9"],
    ["10.0.0.1", "[2001:db8::9]:4711", "2001:db8::9"],
    ["10.0.0.1", "[2001:db8::9]", "2001:db8::9"],
    // Unknown: the last one that is known.
    ["10.0.0.1", "unknown", "10.0.0.1"],
    ["10.0.0.1", "", "10.0.0.1"],
    ["10.0.0.1", "198.51.100.9, unknown, 10.0.0.2", "10.0.0.2"],
    ["10.0.0.1", "<script>", "10.0.0.1"],
  ])("behind %s with %p is %s", (peer, header, client) => {
    expect(clientAddress(peer, header, trusted)).toBe(client);
  });

  test("cannot be moved by anything that it sends itself", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (made) => {
        expect(clientAddress("10.0.0.1", `${made}, 198.51.100.9`, trusted)).toBe("198.51.100.9");
      }),
    );
  });
});

const behindProxy: Partial<ListenerOptions> = { name: "exchange", trustedProxies: ["127.0.0.1"] };

async function ask(port: number, headers: Readonly<Record<string, string>>, line = "POST /a") {
  const client = await connect("tls", port);
  client.send(request(line, headers));
  const answer = await client.closed();
  client.destroy();
  return statuses(answer)[0];
}

describe("behind a trusted proxy", () => {
  test("the client's address reaches the handler, request by request on one connection", async () => {
    const bell = await startListener("tls", behindProxy);
    const proxy = await bell.connect();
    for (const [n, address] of [CLIENT, "2001:db8::9", "198.51.100.9"].entries()) {
      proxy.send(request("POST /a", { Connection: "keep-alive", "X-Forwarded-For": address }));
      await eventually("the answer", () => statuses(proxy.received).length === n + 1);
    }
    proxy.send(request("POST /a"));
    await proxy.closed();
    expect(bell.requests.map(({ remoteAddress }) => remoteAddress)).toEqual([
      CLIENT,
      "2001:db8::9",
      "198.51.100.9",
      "127.0.0.1",
    ]);
    proxy.destroy();
    await bell.stop();
  });

  test("the allow list means the client: others get 404 and only health, and the proxy is answered", async () => {
    const bell = await startListener("tls", { ...behindProxy, allow: ["192.0.2.0/24"] });
    expect(await ask(bell.port, { "X-Forwarded-For": CLIENT })).toBe(200);
    expect(await ask(bell.port, { "X-Forwarded-For": "198.51.100.9" })).toBe(404);
    expect(await ask(bell.port, { "X-Forwarded-For": `${CLIENT}, 198.51.100.9` })).toBe(404);
    expect(await ask(bell.port, {})).toBe(404);
    expect(await ask(bell.port, { "X-Forwarded-For": "198.51.100.9" }, "GET /livez")).toBe(200);
    expect(await ask(bell.port, {}, "GET /livez")).toBe(200);
    expect(bell.requests).toHaveLength(1);
    expect(await bell.refused("allow")).toBe(3);
    expect(bell.lines.join("")).toContain("198.51.100.9");
    await bell.stop();
  });

  test("a body of a client that is not allowed is not read", async () => {
    const bell = await startListener("tls", { ...behindProxy, allow: ["192.0.2.0/24"] });
    const client = await bell.connect();
    client.send(
      `POST /a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.9\r\nContent-Length: 1000000\r\n\r\n`,
    );
    expect(statuses(await client.closed())).toEqual([404]);
    client.destroy();
    await bell.stop();
  });

  test("so do the places: one client's requests are limited, the proxy's connections are not", async () => {
    const held: (() => void)[] = [];
    const handler = () => new Promise<typeof OK>((resolve) => held.push(() => resolve(OK)));
    const bell = await startListener("tls", {
      ...behindProxy,
      handler,
      limits: { connectionsPerAddress: 2 },
    });
    const open = [];
    for (const [n, address] of [CLIENT, CLIENT, "198.51.100.1", "198.51.100.2", "198.51.100.3"].entries()) {
      const client = await bell.connect();
      client.send(request("POST /a", { "X-Forwarded-For": address }));
      await eventually("it waits", () => held.length === n + 1);
      open.push(client);
    }
    expect(await ask(bell.port, { "X-Forwarded-For": CLIENT })).toBe(503);
    expect(await bell.refused("address_connections")).toBe(1);
    for (const release of held.splice(0)) release();
    for (const client of open) {
      expect(statuses(await client.closed())).toEqual([200]);
      client.destroy();
    }
    const again = ask(bell.port, { "X-Forwarded-For": CLIENT });
    await eventually("there is room again", () => held.length === 1);
    held[0]?.();
    expect(await again).toBe(200);
    await bell.stop();
  });

  test("a new list of proxies holds for new requests", async () => {
    const bell = await startListener("tls", behindProxy);
    bell.listener.setTrustedProxies([]);
    expect(await ask(bell.port, { "X-Forwarded-For": CLIENT })).toBe(200);
    expect(() => bell.listener.setTrustedProxies(["nonsense"])).toThrow("nonsense");
    bell.listener.setTrustedProxies(["127.0.0.0/8"]);
    expect(await ask(bell.port, { "X-Forwarded-For": CLIENT })).toBe(200);
    expect(bell.requests.map(({ remoteAddress }) => remoteAddress)).toEqual(["127.0.0.1", CLIENT]);
    await bell.stop();
  });
});

test("without trusted proxies the header means nothing, and a phone's address is never logged", async () => {
  const bell = await startListener("tls", { allow: ["192.0.2.0/24"] });
  const client = await bell.connect();
  client.send(request("POST /a", { "X-Forwarded-For": CLIENT }));
  expect(await client.closed()).toBe("");
  client.destroy();
  expect(bell.requests).toEqual([]);
  expect(bell.lines.join("")).not.toMatch(/127\.0\.0\.1|192\.0\.2\.7/);
  await bell.stop();
});
