// The listener's limits in time, size and number, scaled down to milliseconds and bytes.
import { describe, expect, test } from "bun:test";
import { connect as connectPlain } from "node:net";
import type { ListenerOptions } from "../../src/net/listener.ts";
import type { RequestRate } from "../../src/net/request-rate.ts";
import {
  type connect,
  eventually,
  type OK,
  QUICK,
  request,
  startListener,
  statuses,
  type TestListener,
  TRANSPORTS,
  type Transport,
  watch,
} from "./helpers.ts";

async function withBell(
  transport: Transport,
  options: Partial<ListenerOptions>,
  use: (bell: TestListener) => Promise<void>,
): Promise<void> {
  const bell = await startListener(transport, options);
  try {
    await use(bell);
    expect(bell.listener.connections).toBeGreaterThanOrEqual(0);
  } finally {
    await bell.stop();
  }
}

/** Sends one byte at a time, slowly, until the other side closes. */
async function trickle(client: Awaited<ReturnType<typeof connect>>, bytes: string): Promise<void> {
  for (const byte of bytes) {
    if (client.isEnded) return;
    client.send(byte);
    await Bun.sleep(10);
  }
}

describe("in time", () => {
  test("a connection that never begins its handshake is closed", async () => {
    await withBell("tls", { limits: QUICK }, async (bell) => {
      const client = await watch(connectPlain(bell.port, "127.0.0.1"), "connect");
      expect(await client.closed()).toBe("");
      expect(await bell.refused("handshake_time")).toBe(1);
      client.destroy();
    });
  });

  for (const transport of TRANSPORTS) {
    test(`a client that sends nothing over ${transport} is closed`, async () => {
      await withBell(transport, { limits: QUICK }, async (bell) => {
        const client = await bell.connect();
        expect(await client.closed()).toBe("");
        expect(await bell.refused("headers_time")).toBe(1);
        client.destroy();
      });
    });

    test(`slow headers over ${transport} are closed without an answer, however steadily they come`, async () => {
      await withBell(transport, { limits: QUICK }, async (bell) => {
        const client = await bell.connect();
        await trickle(client, `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(50)}`);
        expect(await client.closed()).toBe("");
        expect(await bell.refused("headers_time")).toBe(1);
        expect(bell.requests).toEqual([]);
        client.destroy();
      });
    });

    test(`a slow body over ${transport} is closed without an answer`, async () => {
      await withBell(transport, { name: "exchange", limits: QUICK }, async (bell) => {
        const client = await bell.connect();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
        await trickle(client, "a".repeat(200));
        expect(await client.closed()).toBe("");
        expect(await bell.refused("body_time")).toBe(1);
        expect(bell.requests).toEqual([]);
        await eventually("the connection is forgotten", () => bell.listener.connections === 0);
        client.destroy();
      });
    });

    test(`an idle kept connection over ${transport} is ended, and is no refusal`, async () => {
      await withBell(transport, { limits: { ...QUICK, headersMs: 5000 } }, async (bell) => {
        const client = await bell.connect();
        client.send(request("GET /", { Connection: "keep-alive" }));
        expect(statuses(await client.closed())).toEqual([200]);
        expect(client.failure).toBeNull();
        expect(await bell.refused("headers_time")).toBe(0);
        client.destroy();
      });
    });
  }

  test("the next request of a kept connection has the headers' time from its first byte", async () => {
    await withBell("plain", { limits: { ...QUICK, keepAliveMs: 5000 } }, async (bell) => {
      const client = await bell.connect();
      client.send(request("GET /", { Connection: "keep-alive" }));
      await client.until("OK");
      await Bun.sleep(250);
      expect(client.isEnded).toBe(false);
      client.send("GET /");
      await client.closed();
      expect(await bell.refused("headers_time")).toBe(1);
      client.destroy();
    });
  });

  test("a request that its handler never answers is closed and logged", async () => {
    const handler = () => new Promise<typeof OK>(() => {});
    await withBell("tls", { limits: { ...QUICK, answerMs: 80 }, handler }, async (bell) => {
      expect(await bell.ask(request("GET /"))).toBe("");
      expect(await bell.refused("answer_time")).toBe(1);
      expect(bell.lines.join("")).toContain(bell.requests[0]?.correlationId ?? "?");
    });
  });

  test("a client that does not read its answer is closed", async () => {
    const handler = () => ({ status: 200, body: Buffer.alloc(20_000_000) });
    await withBell("plain", { limits: { ...QUICK, writeMs: 80 }, handler }, async (bell) => {
      const client = await bell.connect();
      client.socket.pause();
      client.send(request("GET /"));
      await eventually(
        "the connection is forgotten",
        () => bell.requests.length === 1 && bell.listener.connections === 0,
      );
      expect(await bell.refused("write_time")).toBe(1);
      client.destroy();
    });
  });

  test("a client that keeps its side open after the end is closed", async () => {
    await withBell("tls", { limits: QUICK }, async (bell) => {
      const client = await bell.connect();
      client.send(request("GET /"));
      await client.closed();
      await eventually("the connection is forgotten", () => bell.listener.connections === 0);
      // Closed, not reset: a reset could take the answer away from a client that is slow to read it.
      await Bun.sleep(20);
      expect(client.failure).toBeNull();
      client.destroy();
    });
  });
});

describe("in size", () => {
  const small = { ...QUICK, bodyBytes: 1000, drainBytes: 100_000, bodyMs: 3000 };

  for (const transport of TRANSPORTS) {
    test(`Exchange over ${transport}: an oversize body is heard out and handed on as such`, async () => {
      await withBell(transport, { name: "exchange", limits: small }, async (bell) => {
        const received = await bell.ask(request("POST /", {}, Buffer.alloc(50_000, "a")));
        expect(statuses(received)).toEqual([200]);
        expect(bell.requests[0]).toMatchObject({ oversize: true });
        expect(bell.requests[0]?.body.length).toBe(0);
      });
    });

    test(`Exchange over ${transport}: beyond that the connection is closed without an answer`, async () => {
      await withBell(transport, { name: "exchange", limits: small }, async (bell) => {
        const client = await bell.connect();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n");
        expect(await client.closed()).toBe("");
        expect(await bell.refused("oversize")).toBe(1);
        expect(bell.requests).toEqual([]);
        client.destroy();
      });
    });

    test(`a phone over ${transport}: an oversize body is 413 at once, and the answer arrives`, async () => {
      await withBell(transport, { limits: small }, async (bell) => {
        const client = await bell.connect();
        client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n");
        for (let i = 0; i < 50; i += 1) client.send(Buffer.alloc(100_000, "a"));
        const received = await client.closed();
        expect(statuses(received)).toEqual([413]);
        expect(received).toContain("Connection: close\r\n");
        expect(bell.requests).toEqual([]);
        expect(await bell.refused("oversize")).toBe(1);
        client.destroy();
      });
    });

    test(`a phone over ${transport}: a chunked body is 413 once it has grown too large`, async () => {
      await withBell(transport, { limits: small }, async (bell) => {
        const client = await bell.connect();
        client.send("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (let i = 0; i < 20; i += 1) client.send(`64\r\n${"a".repeat(100)}\r\n`);
        expect(statuses(await client.closed())).toEqual([413]);
        client.destroy();
      });
    });
  }

  test("an oversize body with `Expect` is refused before it is sent", async () => {
    await withBell("tls", { limits: small }, async (bell) => {
      const received = await bell.ask(
        "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n",
      );
      expect(statuses(received)).toEqual([413]);
    });
  });

  test("a chunked body may be heard out too", async () => {
    await withBell("plain", { limits: small, oversizePolicy: "drain" }, async (bell) => {
      const chunks = `64\r\n${"a".repeat(100)}\r\n`.repeat(20);
      const head = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
      expect(statuses(await bell.ask(`${head}${chunks}0\r\n\r\n`))).toEqual([200]);
      expect(bell.requests[0]).toMatchObject({ oversize: true });
    });
  });

  test("a body of exactly the limit is kept, and the next request of the connection starts afresh", async () => {
    await withBell("plain", { limits: small, name: "exchange" }, async (bell) => {
      const client = await bell.connect();
      const sizes = [1000, 1001, 0, 999];
      for (const [i, size] of sizes.entries()) {
        client.send(request("POST /", { Connection: "keep-alive" }, Buffer.alloc(size, "a")));
        await eventually("the answer", () => statuses(client.received).length === i + 1);
      }
      expect(bell.requests.map(({ oversize, body }) => [oversize, body.length])).toEqual([
        [false, 1000],
        [true, 0],
        [false, 0],
        [false, 999],
      ]);
      client.destroy();
    });
  });

  test("bodies in memory have a common limit, which is free again once they are answered", async () => {
    const limits = { ...QUICK, bodyMs: 3000, bufferedBytes: 100_000, bodyBytes: 64 * 1024 };
    await withBell("plain", { limits }, async (bell) => {
      const clients: Awaited<ReturnType<typeof connect>>[] = [];
      for (let i = 0; i < 4; i += 1) {
        const client = await bell.connect();
        client.send("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 40000\r\n\r\n");
        client.send(Buffer.alloc(39_999, "a"));
        clients.push(client);
        await Bun.sleep(20);
      }
      await eventually("some are closed", () => clients.some(({ isEnded }) => isEnded));
      const open = clients.filter(({ isEnded }) => !isEnded);
      expect(open.length).toBeGreaterThan(0);
      expect(await bell.refused("memory")).toBe(clients.length - open.length);
      for (const client of open) {
        client.send("a");
        expect(statuses(await client.closed())).toEqual([200]);
      }
      for (let i = 0; i < 6; i += 1) {
        expect(statuses(await bell.ask(request("PUT /", {}, Buffer.alloc(40_000, "a"))))).toEqual([200]);
      }
      for (const client of clients) client.destroy();
    });
  });
});

describe("in number", () => {
  const dial = (port: number, localAddress = "127.0.0.1") =>
    watch(connectPlain({ port, host: "127.0.0.1", localAddress }), "connect");

  test("connections of one address: the one that has waited longest makes room, and other addresses are not touched", async () => {
    await withBell("tls", { limits: { connectionsPerAddress: 3 } }, async (bell) => {
      const other = await dial(bell.port, "127.0.0.2");
      const clients = [await bell.connect(), await bell.connect(), await bell.connect()];
      await eventually("all are there", () => bell.listener.connections === 4);
      const fourth = await bell.connect();
      await clients[0]?.closed();
      expect(await bell.refused("address_connections")).toBe(1);
      expect(bell.listener.connections).toBe(4);
      for (const client of [...clients.slice(1), fourth]) {
        client.send(request("GET /"));
        expect(statuses(await client.closed())).toEqual([200]);
      }
      expect(other.isEnded).toBe(false);
      for (const client of [...clients, fourth, other]) client.destroy();
    });
  });

  test("connections altogether: whoever has no request in work makes room, the longest waiting first", async () => {
    await withBell("plain", { limits: { connections: 2 } }, async (bell) => {
      const clients = [await dial(bell.port, "127.0.0.2"), await dial(bell.port, "127.0.0.3")];
      await eventually("both are there", () => bell.listener.connections === 2);
      const third = await dial(bell.port, "127.0.0.4");
      await clients[0]?.closed();
      expect(await bell.refused("connections")).toBe(1);
      expect(bell.listener.connections).toBe(2);
      for (const client of [clients[1], third]) {
        client?.send(request("GET /"));
        expect(statuses((await client?.closed()) ?? "")).toEqual([200]);
      }
      for (const client of [...clients, third]) client.destroy();
    });
  });

  test("a crowd makes room before a single client does, although that has waited longer", async () => {
    await withBell("plain", { limits: { connections: 4 } }, async (bell) => {
      const single = await dial(bell.port, "127.0.0.2");
      await eventually("it is there", () => bell.listener.connections === 1);
      const crowd = [];
      for (let n = 0; n < 6; n += 1) crowd.push(await dial(bell.port, "127.0.0.3"));
      await crowd[2]?.closed();
      expect(await bell.refused("connections")).toBe(3);
      single.send(request("GET /"));
      expect(statuses(await single.closed())).toEqual([200]);
      for (const client of [single, ...crowd]) client.destroy();
    });
  });

  test("a request that waits for its answer is never given up for a new connection", async () => {
    let release: (() => void) | undefined;
    const handler = () =>
      new Promise<{ readonly status: number }>((resolve) => {
        release = () => resolve({ status: 200 });
      });
    await withBell("tls", { limits: { connections: 1 }, handler }, async (bell) => {
      const working = await bell.connect();
      working.send(request("GET /"));
      await eventually("it waits", () => release !== undefined);
      const refused = await dial(bell.port, "127.0.0.2");
      expect(await refused.closed()).toBe("");
      expect(await bell.refused("connections")).toBe(1);
      release?.();
      expect(statuses(await working.closed())).toEqual([200]);
      for (const client of [working, refused]) client.destroy();
    });
  });

  test("addresses that are not allowed have a few places of their own, however many they open", async () => {
    const limits = { connections: 20, strangers: 2 };
    await withBell("plain", { name: "exchange", limits, allow: ["127.0.0.1"] }, async (bell) => {
      const allowed = await bell.connect();
      const strangers = [];
      for (let n = 2; n < 12; n += 1) strangers.push(await dial(bell.port, `127.0.0.${n}`));
      await eventually("two of them are left", () => bell.listener.connections === 3);
      allowed.send(request("POST /"));
      expect(statuses(await allowed.closed())).toEqual([200]);
      strangers.at(-1)?.send(request("GET /livez"));
      expect(statuses((await strangers.at(-1)?.closed()) ?? "")).toEqual([200]);
      for (const client of [allowed, ...strangers]) client.destroy();
    });
  });
});

describe("in requests", () => {
  const requestRate: RequestRate = {
    burst: 3,
    refillMs: 60_000,
    maxKeys: 100,
    keyOf: ({ path }) => (path.startsWith("/ews/") ? path : null),
  };

  test("one callback URL takes so many at once, and no other URL suffers", async () => {
    await withBell("plain", { name: "exchange", requestRate }, async (bell) => {
      const ask = async (path: string) => statuses(await bell.ask(request(`POST ${path}`)))[0];
      const seen = [];
      for (let n = 0; n < 5; n += 1) seen.push(await ask("/ews/one"));
      expect(seen).toEqual([200, 200, 200, 503, 503]);
      expect(await ask("/ews/two")).toBe(200);
      for (let n = 0; n < 5; n += 1) expect(await ask("/other")).toBe(200);
      expect(bell.requests).toHaveLength(9);
      expect(await bell.refused("rate")).toBe(2);
      expect(await bell.answers(503)).toBe(2);
    });
  });

  test("a stranger who knows the URL uses up an allowance of its own", async () => {
    await withBell("plain", { name: "exchange", requestRate }, async (bell) => {
      for (let n = 0; n < 6; n += 1) {
        const stranger = await watch(
          connectPlain({ port: bell.port, host: "127.0.0.1", localAddress: "127.0.0.9" }),
          "connect",
        );
        stranger.send(request("POST /ews/one"));
        expect(statuses(await stranger.closed())).toEqual([n < 3 ? 200 : 503]);
        stranger.destroy();
      }
      expect(statuses(await bell.ask(request("POST /ews/one")))).toEqual([200]);
    });
  });
});
