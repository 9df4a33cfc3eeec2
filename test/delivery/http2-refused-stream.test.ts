import { expect, test } from "bun:test";
import { frameServer, poolTo, post } from "./helpers.ts";

const REFUSED_STREAM = 7;

test("a refused stream is sent again at once", async () => {
  const seen: string[] = [];
  const server = await frameServer({
    onRequest(connection, stream, body) {
      seen.push(body);
      if (seen.length === 1) connection.reset(stream, REFUSED_STREAM);
      else connection.answer(stream);
    },
  });
  const pool = await poolTo(server.url);
  try {
    expect(await pool.request(post("ring"))).toMatchObject({ kind: "answer", status: 200 });
    expect(seen).toEqual(["ring", "ring"]);
    expect(server.connections.length).toBe(1);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a burst of which most is refused loses nothing and ends with every ring answered once", async () => {
  const answered = new Map<string, number>();
  const server = await frameServer({
    streams: 100,
    onRequest(connection, stream, body) {
      // The server lowered its limit without a word: more than five at once are refused.
      if (connection.open.size > 5) {
        connection.reset(stream, REFUSED_STREAM);
        return;
      }
      setTimeout(() => {
        answered.set(body, (answered.get(body) ?? 0) + 1);
        connection.answer(stream);
      }, 1);
    },
  });
  const pool = await poolTo(server.url, { maxConnections: 1 });
  try {
    const rings = Array.from({ length: 200 }, (_, at) => pool.request(post(String(at))));
    const results = await Promise.all(rings);
    expect(results.filter((result) => result.kind !== "answer")).toEqual([]);
    expect(answered.size).toBe(200);
    expect([...answered.values()].every((count) => count === 1)).toBe(true);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a server that refuses everything is not asked without end", async () => {
  let requests = 0;
  const server = await frameServer({
    onRequest(connection, stream) {
      requests += 1;
      connection.reset(stream, REFUSED_STREAM);
    },
  });
  const pool = await poolTo(server.url);
  try {
    expect(await pool.request(post("ring"))).toEqual({ kind: "busy" });
    expect(requests).toBeLessThan(30);
  } finally {
    pool.stop();
    await server.close();
  }
});
