// Starting and stopping: what is in flight is finished, what is idle is ended, and errors name the listener.
import { describe, expect, test } from "bun:test";
import { isBellError } from "../../src/errors.ts";
import { eventually, makeIdentity, OK, request, startListener, statuses, TRANSPORTS } from "./helpers.ts";

async function thrownBy(action: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await action;
  } catch (error) {
    if (isBellError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("stop", () => {
  for (const transport of TRANSPORTS) {
    test(`lets requests over ${transport} that are read or answered finish, and ends the rest`, async () => {
      let release: (() => void) | null = null;
      const handler = () =>
        new Promise<typeof OK>((resolve) => {
          release = () => resolve(OK);
        });
      const bell = await startListener(transport, {
        handler: (got) => (got.path === "/held" ? handler() : OK),
      });
      const idle = await bell.connect();
      idle.send(request("GET /", { Connection: "keep-alive" }));
      await idle.until("OK");
      const held = await bell.connect();
      held.send(request("GET /held", { Connection: "keep-alive" }));
      await eventually("the held request", () => release !== null);
      const partial = await bell.connect();
      partial.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab");
      await eventually("all are there", () => bell.listener.connections === 3);
      await Bun.sleep(20);

      let isStopped = false;
      const stopped = bell.listener.stop(3000).then(() => {
        isStopped = true;
      });
      await idle.closed();
      expect(idle.failure).toBeNull();
      expect(isStopped).toBe(false);
      partial.send("c");
      expect(await partial.closed()).toContain("Connection: close\r\n");
      release!();
      const answer = await held.closed();
      expect(statuses(answer)).toEqual([200]);
      expect(answer).toContain("Connection: close\r\n");
      for (const client of [idle, held, partial]) client.destroy();
      await stopped;
      expect(bell.listener.connections).toBe(0);
    });
  }

  test("lets an answer that is being read finish, and ends its connection then", async () => {
    const large = Buffer.alloc(12_000_000, "a");
    const bell = await startListener("tls", { handler: () => ({ status: 200, body: large }) });
    const client = await bell.connect();
    client.socket.pause();
    client.send(request("GET /", { Connection: "keep-alive" }));
    await eventually("the request", () => bell.requests.length === 1);
    await Bun.sleep(50);
    const stopped = bell.listener.stop(60_000);
    client.socket.resume();
    const received = await client.closed();
    expect(received.length - received.indexOf("\r\n\r\n") - 4).toBe(large.length);
    client.destroy();
    await stopped;
  });

  test("closes what is not finished within the limit", async () => {
    const bell = await startListener("tls", { handler: () => new Promise<typeof OK>(() => {}) });
    const client = await bell.connect();
    client.send(request("GET /"));
    await eventually("the request", () => bell.requests.length === 1);
    const startedAt = performance.now();
    await bell.listener.stop(100);
    expect(performance.now() - startedAt).toBeGreaterThan(90);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(await client.closed()).toBe("");
    expect(bell.listener.connections).toBe(0);
    client.destroy();
  });

  test("does not wait for its limit where nothing is open, nor for a silent client", async () => {
    const empty = await startListener("tls");
    const startedAt = performance.now();
    await empty.listener.stop(10_000);
    expect(performance.now() - startedAt).toBeLessThan(500);

    const bell = await startListener("plain");
    const silent = await bell.connect();
    await eventually("it is there", () => bell.listener.connections === 1);
    await bell.listener.stop(10_000);
    expect(performance.now() - startedAt).toBeLessThan(4000);
    await silent.closed();
    silent.destroy();
  });

  test("refuses new connections, and may be called twice or before a start", async () => {
    const bell = await startListener("plain");
    await bell.listener.stop(0);
    await bell.listener.stop(0);
    const client = await bell.connect();
    expect(client.failure).toBe("ECONNREFUSED");
    expect(await bell.listener.start()).toMatchObject({ port: expect.any(Number) });
    await bell.listener.stop(0);
  });
});

describe("start", () => {
  test("says who wanted which port if it is in use", async () => {
    const first = await startListener("plain");
    const error = await thrownBy(startListener("plain", { name: "exchange", port: first.port }));
    expect(error.code).toBe("listen_in_use");
    expect(error.message).toContain("exchange");
    expect(error.message).toContain(`127.0.0.1:${first.port}`);
    await first.stop();
  });

  test("says which address it cannot use", async () => {
    const error = await thrownBy(startListener("plain", { name: "admin", address: "203.0.113.9", port: 9 }));
    expect(error.code).toBe("listen_failed");
    expect(error.message).toContain("admin");
    expect(error.message).toContain("203.0.113.9:9");
  });

  test("says so if certificate and key cannot be used", async () => {
    const { certificate } = await makeIdentity("ec");
    const error = await thrownBy(startListener("tls", { tls: { certificate, key: "nonsense" } }));
    expect(error.code).toBe("tls_invalid");
  });

  test("listens on IPv6 too", async () => {
    const bell = await startListener("plain", { address: "::", allow: ["127.0.0.0/8"] });
    expect(await bell.ask(request("GET /"))).toEndWith("OK");
    expect(bell.requests[0]?.remoteAddress).toBe("127.0.0.1");
    await bell.stop();
  });
});
