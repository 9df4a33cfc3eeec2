// How connections begin, move on to other addresses, and are replaced.
import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { spawn } from "bun";
import { CONNECTION_TIMES } from "../../src/delivery/http2-connection.ts";
import { createTransport } from "../../src/delivery/transport.ts";
import { tcpServer } from "./egress-proxies.ts";
import { certificates, type FrameConnection, frameServer, poolTo, post, until } from "./helpers.ts";

const QUICK = { connectMs: 400, answerMs: 5_000, silentMs: 200, pingMs: 200, idlePingMs: 60_000 };
const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function answering(more: Partial<Parameters<typeof frameServer>[0]> = {}) {
  const server = await frameServer({
    onRequest: (connection, stream) => connection.answer(stream),
    ...more,
  });
  endings.push(server.close);
  return server;
}

type PoolOptions = Parameters<typeof poolTo>[1];

async function poolOf(origin: string, more: PoolOptions = {}) {
  const pool = await poolTo(origin, { times: QUICK, ...more });
  endings.push(pool.stop);
  return pool;
}

/** A transport whose names have the addresses that `find` gives. */
async function resolving(find: () => readonly string[]) {
  const { authority } = await certificates();
  return createTransport({ ca: authority, lookup: async () => find() });
}

/** A relay to a local port that can stop forwarding on the connections of that moment, without closing them. */
async function relay(target: number) {
  const frozen = new Set<Socket>();
  const backs = new Set<Socket>();
  const server = await tcpServer((front) => {
    const back = connect({ host: "127.0.0.1", port: target });
    backs.add(back);
    for (const [from, to] of [
      [front, back],
      [back, front],
    ] as const) {
      from.on("data", (chunk: Buffer) => {
        if (!frozen.has(front)) to.write(chunk);
      });
      from.on("error", () => {});
      from.on("close", () => to.destroy());
    }
  });
  endings.push(async () => {
    for (const back of backs) back.destroy();
    await server.stop();
  });
  return {
    url: `https://localhost:${server.port}`,
    server,
    freeze() {
      for (const socket of server.sockets) frozen.add(socket);
    },
  };
}

test("a connection that is warm before the first ring is the one it goes over", async () => {
  const server = await answering();
  const pool = await poolOf(server.url);
  pool.warm();
  await until(() => server.connections.length === 1, "a connection");
  expect(await pool.request(post("ring"))).toMatchObject({ status: 200 });
  expect(server.connections.length).toBe(1);
});

test("a way that stops forwarding is noticed within seconds of a ring, which goes out again on a new one", async () => {
  const seen: string[] = [];
  const server = await answering({
    onRequest(connection, stream, body) {
      seen.push(body);
      connection.answer(stream);
    },
  });
  const way = await relay(server.port);
  const pool = await poolOf(way.url);
  expect(await pool.request(post("before"))).toMatchObject({ status: 200 });
  way.freeze();
  const started = performance.now();
  expect(await pool.request(post("after"))).toMatchObject({ status: 200 });
  expect(performance.now() - started).toBeLessThan(2_000);
  expect(seen).toEqual(["before", "after"]);
  // With the product's own times it is this long.
  expect(CONNECTION_TIMES.silentMs + CONNECTION_TIMES.pingMs).toBeLessThanOrEqual(6_000);
});

test("rings that are in flight when the way stops forwarding all arrive", async () => {
  const seen = new Set<string>();
  let requests = 0;
  const server = await answering({
    onRequest(connection, stream, body) {
      requests += 1;
      if (requests === 40) way.freeze();
      seen.add(body);
      connection.answer(stream);
    },
  });
  const way = await relay(server.port);
  const pool = await poolOf(way.url, { maxConnections: 2 });
  const rings = Array.from({ length: 200 }, (_, at) => pool.request(post(String(at))));
  const results = await Promise.all(rings);
  expect(results.filter((result) => result.kind !== "answer")).toEqual([]);
  expect(seen.size).toBe(200);
});

test("an address that refuses is passed over", async () => {
  const server = await answering();
  const transport = await resolving(() => ["127.0.0.3", "127.0.0.2", "127.0.0.1"]);
  const pool = await poolOf(server.url, { transport });
  expect(await pool.request(post("ring"))).toMatchObject({ status: 200 });
});

test("an address that does not answer delays a connect by no more than a moment", async () => {
  const server = await answering();
  const dead = await deafAddress("127.0.0.2", server.port);
  const transport = await resolving(() => ["127.0.0.2", "127.0.0.1"]);
  const pool = await poolOf(server.url, { transport, times: { ...QUICK, connectMs: 5_000 } });
  const started = performance.now();
  expect(await pool.request(post("ring"))).toMatchObject({ status: 200 });
  expect(performance.now() - started).toBeGreaterThan(200);
  expect(performance.now() - started).toBeLessThan(2_000);
  await dead();
});

test("after an address that accepts and says nothing the next connect begins with another", async () => {
  const server = await answering();
  const silent = await frameServer({
    address: "127.0.0.2",
    port: server.port,
    streams: null,
    onRequest: () => {},
  });
  endings.push(silent.close);
  const transport = await resolving(() => ["127.0.0.2", "127.0.0.1"]);
  const pool = await poolOf(server.url, { transport });
  expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "ETIMEDOUT" });
  await until(async () => (await pool.request(post("ring"))).kind === "answer", "the other address");
  expect(silent.connections.length).toBe(1);
  // It stays with what works.
  pool.renew();
  expect(await pool.request(post("ring"))).toMatchObject({ status: 200 });
  expect(silent.connections.length).toBe(1);
});

test("each connect asks for the addresses anew", async () => {
  const server = await answering();
  let addresses = ["127.0.0.2"];
  const transport = await resolving(() => addresses);
  const pool = await poolOf(server.url, { transport });
  expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "ECONNREFUSED" });
  addresses = ["127.0.0.1"];
  await until(async () => (await pool.request(post("ring"))).kind === "answer", "the new address");
});

test("a name without addresses is unreachable, with the reason", async () => {
  const transport = await resolving(() => []);
  const pool = await poolOf("https://apple.test", { transport });
  expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "ENOTFOUND" });
});

test("a connection that is still being made when all are retired keeps to the connect limit", async () => {
  const silent = await tcpServer((socket) => void socket.resume());
  endings.push(silent.stop);
  const pool = await poolOf(`https://localhost:${silent.port}`);
  pool.warm();
  pool.retireAll();
  expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "ETIMEDOUT" });
  await until(() => silent.sockets.size === 0, "the connection to end");
});

test("a peer that says GOAWAY before its SETTINGS is left at once, and does not hold up the rings", async () => {
  const ended: Promise<void>[] = [];
  const server = await answering({
    streams: null,
    onConnection(connection) {
      ended.push(connection.ended);
      if (connection.number > 0) connection.settings(100);
      else connection.goaway(0, 0, '{"reason":"Shutdown"}');
    },
  });
  const pool = await poolOf(server.url, { times: { ...QUICK, connectMs: 60_000 } });
  expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "GOAWAY_Shutdown" });
  await ended[0];
  await until(async () => (await pool.request(post("ring"))).kind === "answer", "a new connection");
});

test("renewed connections finish the rings in flight, once each, and new ones go over a new connection", async () => {
  const seen: [number, string][] = [];
  const held: [FrameConnection, number][] = [];
  const server = await answering({
    onRequest(connection, stream, body) {
      seen.push([connection.number, body]);
      if (body.startsWith("slow")) held.push([connection, stream]);
      else connection.answer(stream);
    },
  });
  const pool = await poolOf(server.url, { times: { ...QUICK, silentMs: 60_000 }, maxConnections: 1 });
  const slow = Array.from({ length: 20 }, (_, at) => pool.request(post(`slow ${at}`)));
  await until(() => held.length === 20, "the slow rings");
  pool.renew();
  // As when two apps share the way: the second one leaves the new connection alone.
  pool.renew();
  await until(() => server.connections.length === 2, "a new connection");
  expect(await pool.request(post("new"))).toMatchObject({ status: 200 });
  for (const [connection, stream] of held) connection.answer(stream);
  expect((await Promise.all(slow)).every((result) => result.kind === "answer")).toBe(true);
  expect(seen.filter(([number]) => number === 0).length).toBe(20);
  expect(seen.filter(([number]) => number === 1)).toEqual([[1, "new"]]);
  await server.connections[0]?.ended;
  expect(server.connections.length).toBe(2);
});

test("a connection that was renewed while its peer is dead does not stay open", async () => {
  const server = await answering();
  const way = await relay(server.port);
  const pool = await poolOf(way.url);
  expect(await pool.request(post("ring"))).toMatchObject({ status: 200 });
  way.freeze();
  pool.renew();
  await until(() => way.server.sockets.size === 1, "the old connection to end");
  expect(await pool.request(post("ring"))).toMatchObject({ status: 200 });
});

test("connections that nobody uses and the peer ends are no outage", async () => {
  const server = await answering();
  const pool = await poolOf(server.url, { random: () => 0.99 });
  for (let round = 0; round < 3; round += 1) {
    pool.warm();
    await until(() => server.connections.length === 2 * round + 1, "a connection");
    await Bun.sleep(20);
    server.connections.at(-1)?.destroy();
    await Bun.sleep(20);
    expect(await pool.request(post("ring"))).toMatchObject({ kind: "answer", status: 200 });
    server.connections.at(-1)?.destroy();
    await Bun.sleep(20);
  }
});

test("a stopped pool leaves no connection behind, not even one that is being made", async () => {
  const silent = await tcpServer((socket) => void socket.resume());
  endings.push(silent.stop);
  const pool = await poolOf(`https://localhost:${silent.port}`);
  const ring = pool.request(post("ring"));
  await until(() => silent.sockets.size === 1, "the connection");
  pool.stop();
  expect(await ring).toEqual({ kind: "stopped" });
  await until(() => silent.sockets.size === 0, "the connection to end");
});

// Listens, and never accepts: once its queue is full, the kernel drops what comes, as a firewall does.
const DEAF = `
const server = require("node:net").createServer();
server.listen({ host: process.argv[1], port: Number(process.argv[2]), backlog: 1 }, () => {
  process.stdout.write("ready");
});
`;

/** Makes an address and port of this machine swallow every connect. Returns what ends it. */
async function deafAddress(host: string, port: number): Promise<() => Promise<void>> {
  const child = spawn({
    cmd: [process.execPath, "-e", DEAF, host, String(port)],
    stdout: "pipe",
    env: { ...process.env, BUN_BE_BUN: "1" },
  });
  const sockets: Socket[] = [];
  const end = async () => {
    for (const socket of sockets) socket.destroy();
    child.kill("SIGKILL");
    await child.exited;
  };
  endings.push(end);
  await child.stdout.getReader().read();
  child.kill("SIGSTOP");
  for (let tries = 0; tries < 2_000; tries += 1) {
    const socket = connect({ host, port });
    sockets.push(socket);
    socket.on("error", () => {});
    const taken = await Promise.race([
      new Promise<boolean>((resolve) => socket.once("connect", () => resolve(true))),
      Bun.sleep(150).then(() => false),
    ]);
    if (!taken) return end;
  }
  throw new Error("the queue did not fill");
}
