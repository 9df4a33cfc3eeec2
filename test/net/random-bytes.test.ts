// Whatever bytes arrive, in whatever packets: nothing crashes, and only what is well formed is a request.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { PROFILES } from "../../src/net/limits.ts";
import { RequestParser } from "../../src/net/request-parser.ts";
import { type RequestHead, ShapeError } from "../../src/net/shape.ts";
import { QUICK, request, startListener, statuses } from "./helpers.ts";

interface Reading {
  readonly heads: RequestHead[];
  body: string;
  refusal: number | null;
  complete: boolean;
}

/** Feeds pieces to a parser and tells what it made of them. */
function read(pieces: readonly Buffer[]): Reading {
  const reading: Reading = { heads: [], body: "", refusal: null, complete: false };
  const parser = new RequestParser(
    { limits: PROFILES.registration.limits, chunked: true },
    {
      onRequestLine() {},
      onHead: (head) => void reading.heads.push(head),
      onBody(piece) {
        reading.body += piece.toString("latin1");
      },
    },
  );
  for (const piece of pieces) {
    try {
      parser.feed(piece);
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      reading.refusal = error.status;
      break;
    }
    if (parser.complete) break;
  }
  reading.complete = parser.complete;
  return reading;
}

/** Cuts bytes at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const ends = [...sorted, bytes.length];
  let start = 0;
  return ends.map((end) => {
    const piece = bytes.subarray(start, end);
    start = end;
    return piece;
  });
}

// Fragments that readers of HTTP disagree about, mixed with well-formed ones, so that chance gets far.
const fragment = fc.constantFrom(
  "GET / HTTP/1.1\r\n",
  "POST /a?b HTTP/1.1\r\n",
  "PUT /v1/registrations/x HTTP/1.0\r\n",
  "Host: x\r\n",
  "host: y\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 05\r\n",
  "Content-Length: +5\r\n",
  "Content-Length : 5\r\n",
  "Content-Length: 5\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: \tchunked \r\n",
  "Transfer-Encoding: gzip\r\n",
  "Connection: close\r\n",
  "Connection: upgrade\r\nUpgrade: h2c\r\n",
  "A: b\r\n",
  " folded\r\n",
  "\r\n",
  "\n",
  "\r",
  "\0",
  "hello",
  "5\r\nhello\r\n",
  "0\r\n\r\n",
  "0\r\n",
  ";ext",
  "ffffffff\r\n",
  "\xff",
);
const junk = fc.oneof(
  fc.array(fragment, { maxLength: 14 }).map((parts) => Buffer.from(parts.join(""), "latin1")),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(300)).map(([bytes, place]) => {
    const whole = request("POST /ews/abc", { A: "b" }, "hello world");
    const at = place % whole.length;
    return Buffer.concat([whole.subarray(0, at), Buffer.from(bytes), whole.subarray(at)]);
  }),
);

test("bytes mean the same in one packet as in any others", () => {
  fc.assert(
    fc.property(junk, fc.array(fc.nat(400), { maxLength: 30 }), (bytes, places) => {
      expect(read(cut(bytes, places))).toEqual(read([bytes]));
      expect(read([...bytes].map((byte) => Buffer.of(byte)))).toEqual(read([bytes]));
    }),
    { numRuns: 2000 },
  );
});

// A second opinion, written as a grammar of its own: the whole request as one expression over its bytes.
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const HEAD = new RegExp(
  `^(?:\r\n)?[A-Z]+ /[!-~]* HTTP/1\\.[01]\r\n((?:${TOKEN}:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n`,
);

test("what is taken as a request is well formed, to its last byte", () => {
  let taken = 0;
  fc.assert(
    fc.property(junk, (bytes) => {
      const reading = read([bytes]);
      if (!reading.complete) return;
      taken += 1;
      const text = bytes.toString("latin1");
      const match = HEAD.exec(text);
      expect(match).not.toBeNull();
      const fields = (match?.[1] ?? "").split("\r\n").map((line) => line.toLowerCase());
      const named = (name: string) => fields.filter((line) => line.startsWith(`${name}:`));
      const rest = text.slice(match?.[0].length);
      expect(named("host").length).toBeLessThanOrEqual(1);
      const [length, ...more] = named("content-length");
      const codings = named("transfer-encoding");
      expect(more).toEqual([]);
      if (codings.length > 0) {
        expect(length).toBeUndefined();
        expect(codings.map((line) => line.slice("transfer-encoding:".length).trim())).toEqual(["chunked"]);
      } else {
        expect(reading.body).toBe(rest.slice(0, Number((length ?? "x:0").split(":")[1])));
      }
    }),
    { numRuns: 4000 },
  );
  expect(taken).toBeGreaterThan(50);
});

test("a well-formed request is taken, whatever it carries", () => {
  const name = fc.stringMatching(/^X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/);
  const value = fc.stringMatching(/^[!-~](?:[ -~]{0,40}[!-~])?$/);
  const body = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, value), { maxLength: 20 }),
      body,
      fc.array(fc.nat(4000), { maxLength: 10 }),
      fc.boolean(),
      (fields, bytes, places, isChunked) => {
        const lines = fields.map(([key, text]) => `${key}: ${text}\r\n`).join("");
        const size = Math.max(1, Math.floor(bytes.length / 3));
        const chunks: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += size) {
          const chunk = bytes.subarray(at, at + size);
          chunks.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
        }
        const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${bytes.length}`;
        const whole = Buffer.concat([
          Buffer.from(`PUT /v1 HTTP/1.1\r\nHost: x\r\n${lines}${framing}\r\n\r\n`),
          ...(isChunked ? [...chunks, Buffer.from("0\r\n\r\n")] : [bytes]),
        ]);
        const reading = read(cut(whole, places));
        expect(reading.refusal).toBeNull();
        expect(reading.complete).toBe(true);
        expect(reading.body).toBe(bytes.toString("latin1"));
        const [head] = reading.heads;
        for (const [key] of fields) {
          const values = fields.filter(([other]) => other.toLowerCase() === key.toLowerCase());
          expect(head?.headers.get(key.toLowerCase())).toBe(values.map(([, text]) => text).join(", "));
        }
      },
    ),
    { numRuns: 500 },
  );
});

for (const transport of ["tls", "plain"] as const) {
  test(`a listener over ${transport} survives them and still serves`, async () => {
    const bell = await startListener(transport, { limits: QUICK });
    await fc.assert(
      fc.asyncProperty(junk, async (bytes) => {
        const before = bell.requests.length;
        const client = await bell.connect();
        client.socket.end(bytes);
        const received = await client.closed();
        client.destroy();
        const isRequest = read([bytes]).complete;
        expect(bell.requests.length - before).toBe(isRequest ? 1 : 0);
        expect(statuses(received).includes(200)).toBe(isRequest);
      }),
      { numRuns: 300 },
    );
    expect(statuses(await bell.ask(request("GET /")))).toEqual([200]);
    await bell.stop();
  });
}
