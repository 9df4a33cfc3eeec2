// How a connection goes on after a request: kept open, ended, or given up.
import { describe, expect, test } from "bun:test";
import { BellError } from "../../src/errors.ts";
import { fixedAnswer } from "../../src/net/answer.ts";
import type { Answer, RequestHandler } from "../../src/net/types.ts";
import {
  eventually,
  QUICK,
  request,
  startListener,
  statuses,
  type TestListener,
  TRANSPORTS,
  type Transport,
} from "./helpers.ts";

async function withBell(
  transport: Transport,
  handler: RequestHandler,
  use: (bell: TestListener) => Promise<void>,
): Promise<void> {
  const bell = await startListener(transport, {
    handler,
    limits: { ...QUICK, keepAliveMs: 2000, lingerMs: 2000 },
  });
  try {
    await use(bell);
  } finally {
    await bell.stop();
  }
}

const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const fixed = fixedAnswer(200, { "Content-Type": "text/plain" }, "fixed");

/** A handler that answers when the test says so. */
function heldHandler() {
  const held: ((answer: Answer) => void)[] = [];
  return {
    handler: () => new Promise<Answer>((resolve) => held.push(resolve)),
    release: (answer: Answer) => held.shift()?.(answer),
  };
}

for (const transport of TRANSPORTS) {
  describe(`over ${transport}`, () => {
    test("a connection serves many requests, with answers made at once and later", async () => {
      const handler: RequestHandler = ({ path }) =>
        path === "/fixed" ? fixed : Promise.resolve({ status: 201, body: `made for ${path}` });
      await withBell(transport, handler, async (bell) => {
        const client = await bell.connect();
        for (let i = 0; i < 20; i += 1) {
          client.send(
            request(`POST ${i % 2 === 0 ? "/fixed" : `/${i}`}`, { Connection: "keep-alive" }, `body ${i}`),
          );
          await client.until(i % 2 === 0 ? "fixed" : `made for /${i}`);
          await eventually("the answer", () => statuses(client.received).length === i + 1);
        }
        expect(client.received).not.toContain("Connection: close");
        expect(bell.requests.map(({ body }) => body.toString())).toEqual(
          Array.from({ length: 20 }, (_, i) => `body ${i}`),
        );
        expect(new Set(bell.requests.map(({ correlationId }) => correlationId)).size).toBe(20);
        expect(bell.listener.connections).toBe(1);
        client.destroy();
        await eventually("the connection is forgotten", () => bell.listener.connections === 0);
      });
    });

    test("is ended after `Connection: Close` in any case and anywhere in the list", async () => {
      await withBell(
        transport,
        () => fixed,
        async (bell) => {
          for (const value of ["close", "Close", "CLOSE", "TE, close", "keep-alive,Close"]) {
            const received = await bell.ask(request("GET /", { Connection: value }));
            expect(statuses(received)).toEqual([200]);
            expect(received).toContain("Connection: close\r\n");
            expect(received).toEndWith("fixed");
          }
        },
      );
    });

    test("is kept open for an HTTP/1.0 client only if it asks for that", async () => {
      await withBell(
        transport,
        () => fixed,
        async (bell) => {
          expect(await bell.ask("GET / HTTP/1.0\r\n\r\n")).toContain("Connection: close\r\n");
          const client = await bell.connect();
          client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
          expect(await client.until("fixed")).toContain("Connection: keep-alive\r\n");
          client.send("GET / HTTP/1.0\r\n\r\n");
          expect(statuses(await client.closed())).toEqual([200, 200]);
          client.destroy();
        },
      );
    });

    test("pipelined requests in one packet: the first is answered, the last of its connection", async () => {
      await withBell(
        transport,
        () => fixed,
        async (bell) => {
          const received = await bell.ask(GET + GET + GET);
          expect(statuses(received)).toEqual([200]);
          expect(received).toContain("Connection: close\r\n");
          expect(bell.requests.length).toBe(1);
        },
      );
    });

    test("bytes that arrive during a request make its answer the last one", async () => {
      const { handler, release } = heldHandler();
      await withBell(transport, handler, async (bell) => {
        const client = await bell.connect();
        client.send(GET);
        await eventually("the request", () => bell.requests.length === 1);
        client.send(GET);
        await Bun.sleep(30);
        release(fixed);
        const received = await client.closed();
        expect(statuses(received)).toEqual([200]);
        expect(received).toContain("Connection: close\r\n");
        expect(bell.requests.length).toBe(1);
        client.destroy();
      });
    });

    test("a client that has closed its side still gets its answer", async () => {
      const { handler, release } = heldHandler();
      await withBell(transport, handler, async (bell) => {
        const client = await bell.connect();
        client.socket.end(GET);
        await eventually("the request", () => bell.requests.length === 1);
        await Bun.sleep(30);
        release({ status: 200, body: "late" });
        expect(await client.closed()).toEndWith("late");
        await eventually("the connection is forgotten", () => bell.listener.connections === 0);
        client.destroy();
      });
    });

    test("a client that closes its side in the middle of a request is let go", async () => {
      await withBell(
        transport,
        () => fixed,
        async (bell) => {
          for (const part of ["", "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"]) {
            const client = await bell.connect();
            client.socket.end(part);
            expect(await client.closed()).toBe("");
            client.destroy();
          }
          await eventually("the connections are forgotten", () => bell.listener.connections === 0);
          expect(bell.requests.length).toBe(0);
        },
      );
    });

    test("a client that is gone before its answer does no harm", async () => {
      const { handler, release } = heldHandler();
      await withBell(transport, handler, async (bell) => {
        for (const leave of ["destroy", "resetAndDestroy"] as const) {
          bell.requests.length = 0;
          const client = await bell.connect();
          client.send(GET);
          await eventually("the request", () => bell.requests.length === 1);
          client.socket[leave]();
          await Bun.sleep(20);
          release({ status: 200, body: Buffer.alloc(1_000_000) });
          await eventually("the connection is forgotten", () => bell.listener.connections === 0);
        }
        expect(bell.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
      });
    });

    test("an answer larger than the socket's buffers arrives whole, and the connection goes on", async () => {
      const large = Buffer.alloc(12_000_000, "abcdefgh");
      const handler: RequestHandler = ({ path }) =>
        path === "/large" ? { status: 200, body: large } : fixed;
      await withBell(transport, handler, async (bell) => {
        const client = await bell.connect();
        client.socket.pause();
        client.send(request("GET /large", { Connection: "keep-alive" }));
        await eventually("the request", () => bell.requests.length === 1);
        await Bun.sleep(50);
        client.socket.resume();
        await eventually("the whole answer", () => client.received.length > large.length);
        client.send(request("GET /"));
        const received = await client.closed();
        expect(statuses(received)).toEqual([200, 200]);
        const start = received.indexOf("\r\n\r\n") + 4;
        expect(received.slice(start, start + large.length) === large.toString("latin1")).toBe(true);
        client.destroy();
      });
    });

    test("a large last answer arrives whole before the end", async () => {
      const large = Buffer.alloc(9_000_000, "abcdefgh");
      await withBell(
        transport,
        () => ({ status: 200, body: large }),
        async (bell) => {
          const client = await bell.connect();
          client.socket.pause();
          client.send(request("GET /large"));
          await Bun.sleep(50);
          client.socket.resume();
          const received = await client.closed();
          expect(received.length - received.indexOf("\r\n\r\n") - 4).toBe(large.length);
          expect(client.failure).toBeNull();
          client.destroy();
        },
      );
    });

    test("a handler may hang up", async () => {
      await withBell(
        transport,
        () => ({ hangup: true }),
        async (bell) => {
          expect(await bell.ask(GET)).toBe("");
          await eventually("the connection is forgotten", () => bell.listener.connections === 0);
        },
      );
    });
  });
}

describe("an answer", () => {
  test("carries Date, Content-Length and Connection, and no Server", async () => {
    const handler = () => ({
      status: 200,
      headers: { "X-A": "b", Date: "never", "content-length": "7" },
      body: "ä",
    });
    await withBell("plain", handler, async (bell) => {
      const received = await bell.ask(request("GET /"));
      expect(received).toMatch(
        /^HTTP\/1\.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\nDate: [A-Z][a-z]{2}, \d\d /,
      );
      expect(received.match(/date:/gi)).toHaveLength(1);
      expect(received.match(/content-length:/gi)).toHaveLength(1);
      expect(received.toLowerCase()).not.toContain("server:");
      const date = /Date: (.*)\r/.exec(received)?.[1] ?? "";
      expect(Math.abs(Date.parse(date) - Date.now())).toBeLessThan(5000);
    });
  });

  test("to HEAD has the length and no body, fixed or not", async () => {
    const handler: RequestHandler = ({ path }) =>
      path === "/fixed" ? fixed : { status: 200, body: "hello" };
    await withBell("plain", handler, async (bell) => {
      for (const path of ["/", "/fixed"]) {
        const received = await bell.ask(request(`HEAD ${path}`));
        expect(received).toContain("Content-Length: 5\r\n");
        expect(received).toEndWith("\r\n\r\n");
      }
      const client = await bell.connect();
      client.send(request("HEAD /fixed", { Connection: "keep-alive" }));
      await client.until("\r\n\r\n");
      client.send(request("HEAD /"));
      expect(statuses(await client.closed())).toEqual([200, 200]);
      client.destroy();
    });
  });

  test("of 204 and 304 has no body", async () => {
    const handler: RequestHandler = ({ path }) => ({ status: Number(path.slice(1)), body: "never" });
    await withBell("plain", handler, async (bell) => {
      for (const status of [204, 304]) {
        const received = await bell.ask(request(`GET /${status}`));
        expect(statuses(received)).toEqual([status]);
        expect(received).not.toContain("Content-Length");
        expect(received).toEndWith("\r\n\r\n");
      }
    });
  });

  test("may close the connection whatever the client asked for", async () => {
    await withBell(
      "plain",
      () => ({ status: 200, close: true }),
      async (bell) => {
        expect(await bell.ask(GET)).toContain("Connection: close\r\n");
      },
    );
  });

  test("cannot be given headers of its own making by a value", async () => {
    await withBell(
      "plain",
      () => ({ status: 200, headers: { "X-A": "b\r\nX-Evil: c" } }),
      async (bell) => {
        const received = await bell.ask(GET);
        expect(statuses(received)).toEqual([500]);
        expect(received).not.toContain("Evil");
      },
    );
  });
});

describe("a handler that fails", () => {
  test("is a bare 500 with the correlation id and no detail in the log", async () => {
    const handlers: RequestHandler[] = [
      () => {
        throw new Error("a secret detail");
      },
      () => Promise.reject(new BellError("store_corrupt", "a secret detail")),
      () => Promise.reject("a secret detail"),
    ];
    for (const handler of handlers) {
      await withBell("tls", handler, async (bell) => {
        const received = await bell.ask(GET);
        expect(statuses(received)).toEqual([500]);
        expect(received).toContain("Connection: close\r\n");
        const errors = bell.lines.filter((line) => line.includes('"level":"error"'));
        expect(errors).toHaveLength(1);
        expect(errors[0]).toContain(bell.requests[0]?.correlationId ?? "?");
        expect(received + bell.lines.join("")).not.toContain("secret");
      });
    }
  });
});

describe("100 Continue", () => {
  test("is sent to a client that waits for it, once, before the body", async () => {
    await withBell(
      "tls",
      () => fixed,
      async (bell) => {
        const client = await bell.connect();
        client.send(
          "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n",
        );
        expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
        client.send("abc");
        expect(statuses(await client.closed())).toEqual([100, 200]);
        expect(bell.requests[0]?.body.toString()).toBe("abc");
        client.destroy();
      },
    );
  });

  test("is not sent where nobody waits: no body, a body already there, HTTP/1.0", async () => {
    await withBell(
      "plain",
      () => fixed,
      async (bell) => {
        expect(statuses(await bell.ask(request("GET /", { Expect: "100-continue" })))).toEqual([200]);
        expect(statuses(await bell.ask(request("POST /", { Expect: "100-continue" }, "abc")))).toEqual([200]);
        expect(
          statuses(await bell.ask("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")),
        ).toEqual([200]);
      },
    );
  });
});
