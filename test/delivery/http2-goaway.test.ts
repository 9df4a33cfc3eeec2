import { expect, test } from "bun:test";
import { frameServer, poolTo, post, until } from "./helpers.ts";

test("rings above GOAWAY's last stream go out again at once on a new connection", async () => {
  const seen: string[][] = [[], []];
  const server = await frameServer({
    onRequest(connection, stream, body) {
      seen[connection.number]?.push(body);
      if (connection.number > 0) connection.answer(stream);
      else if (connection.open.size === 4) {
        // The first two are done, the other two were never looked at.
        const [first = 0, second = 0] = [...connection.open];
        connection.goaway(second);
        connection.answer(first);
        connection.answer(second);
      }
    },
  });
  const pool = await poolTo(server.url);
  try {
    const results = await Promise.all(["a", "b", "c", "d"].map((body) => pool.request(post(body))));
    expect(results.every((result) => result.kind === "answer" && result.status === 200)).toBe(true);
    expect(seen[0]).toEqual(["a", "b", "c", "d"]);
    expect(seen[1]?.sort()).toEqual(["c", "d"]);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a ring below GOAWAY's last stream is still answered on the old connection while new ones go elsewhere", async () => {
  let held = 0;
  const server = await frameServer({
    onRequest(connection, stream, body) {
      if (body !== "slow") return connection.answer(stream);
      held = stream;
      connection.goaway(stream, 0, '{"reason":"Shutdown"}');
      return undefined;
    },
  });
  const pool = await poolTo(server.url);
  try {
    const slow = pool.request(post("slow"));
    await until(() => held > 0, "the slow ring to arrive");
    expect(await pool.request(post("new"))).toMatchObject({ status: 200 });
    expect(server.connections.length).toBe(2);
    server.connections[0]?.answer(held);
    expect(await slow).toMatchObject({ status: 200 });
  } finally {
    pool.stop();
    await server.close();
  }
});

test("a ring whose connection ends after GOAWAY without its answer goes out again", async () => {
  const seen: number[] = [];
  const server = await frameServer({
    onRequest(connection, stream) {
      seen.push(connection.number);
      if (connection.number > 0) return connection.answer(stream);
      connection.goaway(stream);
      setTimeout(connection.destroy, 5);
      return undefined;
    },
  });
  const pool = await poolTo(server.url);
  try {
    expect(await pool.request(post("ring"))).toMatchObject({ kind: "answer", status: 200 });
    expect(seen).toEqual([0, 1]);
  } finally {
    pool.stop();
    await server.close();
  }
});

test("GOAWAY in the middle of 500 rings loses none", async () => {
  const answered = new Set<string>();
  let requests = 0;
  const server = await frameServer({
    onRequest(connection, stream, body) {
      requests += 1;
      if (requests === 137 || requests === 300) {
        connection.goaway(Math.max(0, stream - 2));
        return;
      }
      setTimeout(() => {
        answered.add(body);
        connection.answer(stream);
      }, 1);
    },
  });
  const pool = await poolTo(server.url, { cautious: true });
  try {
    const rings = Array.from({ length: 500 }, (_, at) => pool.request(post(String(at))));
    const results = await Promise.all(rings);
    expect(results.filter((result) => result.kind !== "answer")).toEqual([]);
    expect(answered.size).toBe(500);
  } finally {
    pool.stop();
    await server.close();
  }
});
