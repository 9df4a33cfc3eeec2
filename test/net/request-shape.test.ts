// What the listener takes as a request and what it refuses, byte by byte.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { request, startListener, statuses, type TestListener } from "./helpers.ts";

let bell: TestListener;
let exchange: TestListener;
beforeAll(async () => {
  bell = await startListener("plain");
  exchange = await startListener("plain", { name: "exchange" });
});
beforeEach(() => {
  bell.requests.length = 0;
  exchange.requests.length = 0;
});
afterAll(async () => {
  await bell.stop();
  await exchange.stop();
});

const END = "Connection: close\r\n\r\n";

/** Everything that two HTTP readers could understand differently, or that no client of ours sends. */
const REFUSED: readonly (readonly [what: string, status: number, bytes: string])[] = [
  ["a bare LF in the request line", 400, `GET / HTTP/1.1\nHost: x\r\n${END}`],
  ["bare LF throughout", 400, "GET / HTTP/1.1\nHost: x\n\n"],
  ["a bare LF after a header", 400, `GET / HTTP/1.1\r\nHost: x\nA: b\r\n${END}`],
  ["a bare CR in a header", 400, `GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n${END}`],
  ["a CR before CR LF", 400, `GET / HTTP/1.1\r\nHost: x\r\r\n${END}`],
  ["a NUL in a header", 400, `GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n${END}`],
  ["a NUL in the target", 400, `GET /\0 HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a folded header", 400, `GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n${END}`],
  ["a folded header at the start", 400, `GET / HTTP/1.1\r\n Host: x\r\n${END}`],
  ["a header without colon", 400, `GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n${END}`],
  ["a header without name", 400, `GET / HTTP/1.1\r\nHost: x\r\n: a\r\n${END}`],
  ["a space before the colon", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n${END}abc`],
  ["a header name that is no token", 400, `GET / HTTP/1.1\r\nHost: x\r\nA(b): c\r\n${END}`],
  ["a header name beyond ASCII", 400, `GET / HTTP/1.1\r\nHost: x\r\n\xe9: c\r\n${END}`],
  ["no Host", 400, `GET / HTTP/1.1\r\n${END}`],
  ["two Hosts", 400, `GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n${END}`],
  ["two Hosts in HTTP/1.0", 400, "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n"],
  ["a Host with a path", 400, `GET / HTTP/1.1\r\nHost: x/y\r\n${END}`],
  ["a Host with a user", 400, `GET / HTTP/1.1\r\nHost: a@x\r\n${END}`],
  [
    "two Content-Lengths",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n${END}abc`,
  ],
  [
    "the same Content-Length twice",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\ncontent-length: 3\r\n${END}abc`,
  ],
  ["a list of Content-Lengths", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n${END}abc`],
  ["a signed Content-Length", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n${END}abc`],
  ["a negative Content-Length", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n${END}abc`],
  ["a hexadecimal Content-Length", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n${END}abc`],
  ["a fractional Content-Length", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3.0\r\n${END}abc`],
  ["an exponent as Content-Length", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n${END}`],
  ["an empty Content-Length", 400, `POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n${END}abc`],
  [
    "a Content-Length beyond exact numbers",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n${END}`,
  ],
  [
    "both body lengths",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n${END}0\r\n\r\n`,
  ],
  [
    "both body lengths, the other way round",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n${END}0\r\n\r\n`,
  ],
  [
    "two Transfer-Encodings",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n${END}0\r\n\r\n`,
  ],
  [
    "a list of transfer codings",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n${END}0\r\n\r\n`,
  ],
  [
    "an unknown transfer coding",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n${END}0\r\n\r\n`,
  ],
  [
    "the transfer coding identity",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n${END}`,
  ],
  [
    "a quoted transfer coding",
    400,
    `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "chunked"\r\n${END}0\r\n\r\n`,
  ],
  [
    "a chunked body in HTTP/1.0",
    400,
    "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["an absolute target", 400, `GET http://x/ HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a target without slash", 400, `GET x HTTP/1.1\r\nHost: x\r\n${END}`],
  ["an asterisk as target", 400, `OPTIONS * HTTP/1.1\r\nHost: x\r\n${END}`],
  ["CONNECT", 400, `CONNECT x:443 HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a fragment", 400, `GET /a#b HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a backslash in the target", 400, `GET /a\\b HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a target beyond ASCII", 400, `GET /\xe9 HTTP/1.1\r\nHost: x\r\n${END}`],
  ["two spaces in the request line", 400, `GET  / HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a space at the end of the request line", 400, `GET / HTTP/1.1 \r\nHost: x\r\n${END}`],
  ["a space before the method", 400, ` GET / HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a tab in the request line", 400, `GET\t/ HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a method that is no token", 400, `G(T / HTTP/1.1\r\nHost: x\r\n${END}`],
  ["several empty lines before the request", 400, `\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n${END}`],
  ["HTTP/0.9", 400, "GET /\r\n\r\n"],
  ["a lower-case protocol", 400, `GET / http/1.1\r\nHost: x\r\n${END}`],
  ["a version without minor number", 400, `GET / HTTP/1\r\nHost: x\r\n${END}`],
  ["HTTP/1.2", 505, `GET / HTTP/1.2\r\nHost: x\r\n${END}`],
  ["HTTP/2.0", 505, `GET / HTTP/2.0\r\nHost: x\r\n${END}`],
  ["the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["a method that nobody answers", 501, `BREW / HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a lower-case method", 501, `get / HTTP/1.1\r\nHost: x\r\n${END}`],
  ["TRACE", 501, `TRACE / HTTP/1.1\r\nHost: x\r\n${END}`],
  [
    "an unknown expectation",
    417,
    `POST / HTTP/1.1\r\nHost: x\r\nExpect: coffee\r\nContent-Length: 3\r\n${END}`,
  ],
  ["a target that is too long", 414, `GET /${"a".repeat(4096)} HTTP/1.1\r\nHost: x\r\n${END}`],
  ["a request line without end", 414, `GET /${"a".repeat(9000)}`],
  ["a header that is too large", 431, `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(17_000)}\r\n${END}`],
  ["a header section without end", 431, `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(20_000)}`],
  ["too many headers", 431, `GET / HTTP/1.1\r\nHost: x\r\n${"A: b\r\n".repeat(101)}${END}`],
  ["an unknown chunk size", 400, chunked("x\r\nabc\r\n0\r\n\r\n")],
  ["an empty chunk size", 400, chunked("\r\n0\r\n\r\n")],
  ["a chunk size with a prefix", 400, chunked("0x3\r\nabc\r\n0\r\n\r\n")],
  ["a negative chunk size", 400, chunked("-3\r\nabc\r\n0\r\n\r\n")],
  ["a chunk size with a sign", 400, chunked("+3\r\nabc\r\n0\r\n\r\n")],
  ["a chunk size followed by other text", 400, chunked("3 abc\r\nabc\r\n0\r\n\r\n")],
  ["a chunk size after a space", 400, chunked(" 3\r\nabc\r\n0\r\n\r\n")],
  ["a chunk size that overflows", 400, chunked("100000003\r\nabc\r\n0\r\n\r\n")],
  ["a chunk that is longer than it says", 400, chunked("3\r\nabcd\r\n0\r\n\r\n")],
  ["a bare LF after a chunk size", 400, chunked("3\nabc\r\n0\r\n\r\n")],
  ["a bare LF after a chunk", 400, chunked("3\r\nabc\n0\r\n\r\n")],
  ["a bare LF after the last chunk", 400, chunked("0\r\n\n")],
  ["a bare CR in a chunk extension", 400, chunked("3;a\rb\r\nabc\r\n0\r\n\r\n")],
  ["an endless chunk extension", 400, chunked(`3;${"a".repeat(300)}`)],
  ["a malformed trailer", 400, chunked("3\r\nabc\r\n0\r\nA : b\r\n\r\n")],
  ["trailers without end", 431, chunked(`0\r\n${"A: b\r\n".repeat(101)}`)],
];

function chunked(body: string): string {
  return `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n${END}${body}`;
}

describe("refuses", () => {
  for (const [what, status, bytes] of REFUSED) {
    test(`${what} with ${status}`, async () => {
      const received = await bell.ask(Buffer.from(bytes, "latin1"));
      expect(statuses(received)).toEqual([status]);
      expect(received).toContain("Connection: close\r\n");
      expect(received.length).toBeLessThan(250);
      expect(bell.requests).toEqual([]);
    });
  }

  test("the same in single bytes, whatever the packets", async () => {
    for (const [what, status, bytes] of REFUSED.filter(([, , text]) => text.length < 250)) {
      const client = await bell.connect();
      client.socket.setNoDelay(true);
      for (const byte of Buffer.from(bytes, "latin1")) {
        if (client.isEnded) break;
        client.send(Buffer.of(byte));
        if (byte === 0x0a) await Bun.sleep(0);
      }
      expect([what, ...statuses(await client.closed())]).toEqual([what, status]);
      client.destroy();
    }
    expect(bell.requests).toEqual([]);
  });

  test("a chunked body from Exchange with 411", async () => {
    expect(statuses(await exchange.ask(chunked("3\r\nabc\r\n0\r\n\r\n")))).toEqual([411]);
    expect(exchange.requests).toEqual([]);
    expect(await exchange.answers(411)).toBe(1);
  });

  test("and counts what it refused as malformed", async () => {
    const before = await bell.refused("malformed");
    await bell.ask("nonsense\r\n\r\n");
    expect(await bell.refused("malformed")).toBe(before + 1);
  });
});

describe("takes", () => {
  test("a request with query, headers in any case, and repeated headers joined", async () => {
    await bell.ask(
      "PUT /v1/a%20b?x=%2F&y HTTP/1.1\r\nhOST: bell.test:8443\r\nA: 1\r\na:2\r\nEmpty:\r\nB: \t spaced \t\r\n" +
        `Latin: \xe9\r\nContent-Length: 5\r\n${END}hello`,
    );
    const [got] = bell.requests;
    expect(got).toMatchObject({ method: "PUT", path: "/v1/a%20b", query: "x=%2F&y", oversize: false });
    expect(got?.body.toString()).toBe("hello");
    expect(got?.remoteAddress).toBe("127.0.0.1");
    expect(got?.correlationId).toMatch(/^[0-9a-f]{12}$/);
    expect(got?.receivedAtMs).toBeGreaterThan(0);
    expect(Object.fromEntries(got?.headers ?? [])).toMatchObject({
      host: "bell.test:8443",
      a: "1, 2",
      empty: "",
      b: "spaced",
      "content-length": "5",
    });
  });

  test("an address as Host", async () => {
    for (const host of ["127.0.0.1:1", "[::1]", "[::1]:8443", "bell", ""]) {
      expect(statuses(await bell.ask(`GET / HTTP/1.1\r\nHost: ${host}\r\n${END}`))).toEqual([200]);
    }
  });

  test("a header section close to its limit, in several packets", async () => {
    const client = await bell.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n");
    for (let i = 0; i < 15; i += 1) {
      client.send(`A: ${"a".repeat(1000)}\r\n`);
      await Bun.sleep(2);
    }
    client.send(END);
    expect(statuses(await client.closed())).toEqual([200]);
    client.destroy();
  });

  test("one empty line before the request", async () => {
    expect(statuses(await bell.ask(`\r\nGET / HTTP/1.1\r\nHost: x\r\n${END}`))).toEqual([200]);
  });

  test("a body with every byte value, in one packet and in many", async () => {
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, i) => i & 0xff));
    await bell.ask(request("POST /", {}, bytes));
    const client = await bell.connect();
    client.socket.setNoDelay(true);
    for (const byte of request("POST /", {}, bytes)) client.send(Buffer.of(byte));
    await client.closed();
    client.destroy();
    expect(bell.requests.map(({ body }) => body.equals(bytes))).toEqual([true, true]);
  });

  test("a chunked body with extensions and trailers, which are thrown away", async () => {
    const body = "5;a=b\r\nhello\r\n00A ; c\r\n0123456789\r\n0\r\nX-Trailer: no\r\n\r\n";
    expect(statuses(await bell.ask(chunked(body)))).toEqual([200]);
    expect(bell.requests[0]?.body.toString()).toBe("hello0123456789");
    expect(bell.requests[0]?.headers.has("x-trailer")).toBe(false);
  });

  test("a chunked body whatever `Upgrade` says", async () => {
    await bell.ask(
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n" +
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    expect(bell.requests.map(({ body }) => body.toString())).toEqual(["abc"]);
  });

  test("a POST without any length as one with an empty body", async () => {
    expect(statuses(await bell.ask(`POST / HTTP/1.1\r\nHost: x\r\n${END}`))).toEqual([200]);
    expect(bell.requests[0]?.body.length).toBe(0);
  });

  test("HTTP/1.0 without Host, and closes after it", async () => {
    const received = await bell.ask("GET / HTTP/1.0\r\n\r\n");
    expect(statuses(received)).toEqual([200]);
    expect(received).toContain("Connection: close\r\n");
  });

  test("a compressed body as it is, for the handler to judge", async () => {
    await bell.ask(request("POST /", { "Content-Encoding": "gzip" }, "not gzip"));
    expect(bell.requests[0]?.headers.get("content-encoding")).toBe("gzip");
    expect(bell.requests[0]?.body.toString()).toBe("not gzip");
  });

  test("what Exchange sends, byte for byte", async () => {
    const sample = Buffer.from(
      await Bun.file(`${import.meta.dir}/../samples/wire-50-exchange-post.http`).arrayBuffer(),
    );
    expect(statuses(await exchange.ask(sample))).toEqual([200]);
    const length = Number(exchange.requests[0]?.headers.get("content-length"));
    expect(exchange.requests[0]?.body.length).toBe(length);
  });
});
