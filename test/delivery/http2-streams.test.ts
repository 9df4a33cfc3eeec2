import { expect, test } from "bun:test";
import { type FrameConnection, frameServer, poolTo, post, until } from "./helpers.ts";

test("nothing is sent before the peer's first SETTINGS", async () => {
  let opened: FrameConnection | null = null;
  let requests = 0;
  const server = await frameServer({
    streams: null,
    onConnection: (connection) => {
      opened = connection;
    },
    onRequest(connection, stream) {
      requests += 1;
      connection.answer(stream);
    },
  });
  const pool = await poolTo(server.url);
  try {
    const rings = Array.from({ length: 10 }, (_, at) => pool.request(post(String(at))));
    await until(() => opened !== null, "a connection");
    await Bun.sleep(50);
    expect(requests).toBe(0);
    (opened as FrameConnection | null)?.settings(3);
    const results = await Promise.all(rings);
    expect(results.every((result) => result.kind === "answer")).toBe(true);
    expect(server.mostOpen).toBeLessThanOrEqual(3);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("Apple's server gets one stream until the first success, then as many as it allows", async () => {
  const waiting: (() => void)[] = [];
  const server = await frameServer({
    streams: 50,
    onRequest(connection, stream) {
      waiting.push(() => connection.answer(stream));
    },
  });
  const pool = await poolTo(server.url, { cautious: true, maxConnections: 1 });
  try {
    const rings = Array.from({ length: 80 }, (_, at) => pool.request(post(String(at))));
    await until(() => waiting.length === 1, "the first ring");
    await Bun.sleep(30);
    expect(waiting.length).toBe(1);
    waiting.shift()?.();
    await until(() => waiting.length === 50, "as many as the server allows");
    await Bun.sleep(30);
    expect(waiting.length).toBe(50);
    const answering = setInterval(() => waiting.shift()?.(), 0);
    await Promise.all(rings);
    clearInterval(answering);
    expect(server.mostOpen).toBe(50);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("an error is no success: the second stream waits for a 200", async () => {
  let requests = 0;
  const server = await frameServer({
    onRequest(connection, stream) {
      requests += 1;
      if (requests <= 3) setTimeout(() => connection.answer(stream, 400, '{"reason":"BadDeviceToken"}'), 2);
      else setTimeout(() => connection.answer(stream), 2);
    },
  });
  const pool = await poolTo(server.url, { cautious: true, maxConnections: 1 });
  try {
    const results = await Promise.all(["a", "b", "c"].map((body) => pool.request(post(body))));
    expect(results.map((result) => result.kind === "answer" && result.status)).toEqual([400, 400, 400]);
    expect(server.mostOpen).toBe(1);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a limit lowered to one at run time is kept at once, and raised again it is used", async () => {
  const waiting: (() => void)[] = [];
  const server = await frameServer({
    streams: 20,
    onRequest(connection, stream) {
      waiting.push(() => connection.answer(stream));
    },
  });
  const pool = await poolTo(server.url, { maxConnections: 1 });
  try {
    const rings = Array.from({ length: 60 }, (_, at) => pool.request(post(String(at))));
    await until(() => waiting.length === 20, "twenty rings");
    server.connections[0]?.settings(1);
    await Bun.sleep(30);
    while (waiting.length > 0) waiting.shift()?.();
    await until(() => waiting.length === 1, "one ring");
    await Bun.sleep(30);
    expect(waiting.length).toBe(1);
    server.connections[0]?.settings(20);
    waiting.shift()?.();
    await until(() => waiting.length >= 19, "many again");
    const answering = setInterval(() => waiting.shift()?.(), 0);
    await Promise.all(rings);
    clearInterval(answering);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a burst is spread over several connections, with a bounded number of streams on each", async () => {
  const waiting: (() => void)[] = [];
  const most = new Map<number, number>();
  const server = await frameServer({
    streams: 1_000,
    onRequest(connection, stream) {
      most.set(connection.number, Math.max(most.get(connection.number) ?? 0, connection.open.size));
      waiting.push(() => connection.answer(stream));
    },
  });
  const pool = await poolTo(server.url);
  try {
    const rings = Array.from({ length: 450 }, (_, at) => pool.request(post(String(at))));
    await until(() => waiting.length === 400, "four connections full of rings");
    await Bun.sleep(30);
    expect(waiting.length).toBe(400);
    expect(server.connections.length).toBe(4);
    expect([...most.values()]).toEqual([100, 100, 100, 100]);
    const answering = setInterval(() => {
      for (let at = 0; at < 20; at += 1) waiting.shift()?.();
    }, 0);
    const results = await Promise.all(rings);
    clearInterval(answering);
    expect(results.every((result) => result.kind === "answer")).toBe(true);
  } finally {
    pool.stop();
    await server.close();
  }
});
