import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { createHttp2Pool } from "../../src/delivery/http2-pool.ts";
import { realTimers } from "../../src/delivery/timers.ts";
import { createTransport } from "../../src/delivery/transport.ts";
import { frameServer, poolTo, post, until } from "./helpers.ts";

const QUICK = { connectMs: 400, answerMs: 600, silentMs: 300, pingMs: 300, idlePingMs: 300 };

test("a peer that went silent is noticed by a PING, and what it owed goes out on a new connection", async () => {
  const server = await frameServer({
    answerPings: false,
    onRequest(connection, stream) {
      if (connection.number > 0) connection.answer(stream);
    },
  });
  const pool = await poolTo(server.url, { times: { ...QUICK, answerMs: 10_000 } });
  try {
    expect(await pool.request(post("ring"))).toMatchObject({ kind: "answer", status: 200 });
    expect(server.connections.length).toBe(2);
    expect(server.pings).toBeGreaterThanOrEqual(1);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("an idle connection is kept and asked with a PING once in a while", async () => {
  const server = await frameServer({ onRequest: (connection, stream) => connection.answer(stream) });
  const pool = await poolTo(server.url, { times: QUICK });
  try {
    await pool.request(post("ring"));
    await until(() => server.pings >= 2, "two PINGs");
    await pool.request(post("ring"));
    expect(server.connections.length).toBe(1);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("an answer that does not come in time fails that ring only", async () => {
  const server = await frameServer({
    onRequest(connection, stream, body) {
      if (body !== "lost") connection.answer(stream);
    },
  });
  const pool = await poolTo(server.url, { times: { ...QUICK, silentMs: 10_000 } });
  try {
    const lost = pool.request(post("lost"));
    expect(await pool.request(post("other"))).toMatchObject({ status: 200 });
    expect(await lost).toEqual({ kind: "timeout" });
    expect(await pool.request(post("next"))).toMatchObject({ status: 200 });
    expect(server.connections.length).toBe(1);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a connection killed under its rings is replaced, and gives up on a ring that kills each", async () => {
  let kills = 0;
  const server = await frameServer({
    onRequest(connection, stream, body) {
      if (body !== "poison" && connection.number > 0) return connection.answer(stream);
      kills += 1;
      connection.destroy();
      return undefined;
    },
  });
  const pool = await poolTo(server.url);
  try {
    expect(await pool.request(post("ring"))).toMatchObject({ status: 200 });
    expect(kills).toBe(1);
    expect((await pool.request(post("poison"))).kind).toMatch(/lost|unreachable/);
    expect(kills).toBeLessThanOrEqual(4);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("an answer cut off in its body is not taken for an answer", async () => {
  let requests = 0;
  const server = await frameServer({
    onRequest(connection, stream) {
      requests += 1;
      if (requests > 1) return connection.answer(stream, 400, '{"reason":"BadTopic"}');
      connection.partial(stream, 400, '{"reason":"Bad');
      setTimeout(connection.destroy, 10);
      return undefined;
    },
  });
  const pool = await poolTo(server.url);
  try {
    expect(await pool.request(post("ring"))).toMatchObject({ status: 400, body: '{"reason":"BadTopic"}' });
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a refused connect fails its rings at once with the reason, and later ones without a new connect", async () => {
  const pool = await poolTo("https://localhost:1", { random: () => 0.99 });
  try {
    const first = await pool.request(post("ring"));
    expect(first).toMatchObject({ kind: "unreachable", code: "ECONNREFUSED" });
    const again = performance.now();
    expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "ECONNREFUSED" });
    expect(performance.now() - again).toBeLessThan(100);
  } finally {
    pool.stop();
  }
});

test("a peer that accepts and says nothing is given up after the connect limit", async () => {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const pool = await poolTo(`https://localhost:${port}`, { times: QUICK });
  try {
    expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "ETIMEDOUT" });
  } finally {
    pool.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test("a server whose certificate nobody trusts is unreachable, with the reason", async () => {
  const server = await frameServer({ onRequest: (connection, stream) => connection.answer(stream) });
  const pool = createHttp2Pool({
    origin: server.url,
    transport: createTransport(),
    cautious: false,
    timers: realTimers,
    monotonicNow: () => performance.now(),
    random: () => 0,
  });
  try {
    const result = await pool.request(post("ring"));
    expect(result).toMatchObject({ kind: "unreachable" });
    expect(result.kind === "unreachable" && result.code).toMatch(/CERT|SIGNED|VERIFY|ISSUER/);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a stopped pool finishes what is on its way and takes nothing more", async () => {
  let arrived = 0;
  const server = await frameServer({
    onRequest: () => {
      arrived += 1;
    },
  });
  const pool = await poolTo(server.url);
  const ring = pool.request(post("ring"));
  await until(() => arrived === 1, "the ring");
  pool.stop();
  expect(await ring).toEqual({ kind: "stopped" });
  expect(await pool.request(post("late"))).toEqual({ kind: "stopped" });
  await server.close();
});
