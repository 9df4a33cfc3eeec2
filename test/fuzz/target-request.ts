// What has to hold for the bytes of a connection, whatever they are: the reader refuses with its own error or takes a
// request that is well formed to its last byte, and cuts between packets change nothing.
import { PROFILES } from "../../src/net/limits.ts";
import { RequestParser } from "../../src/net/request-parser.ts";
import { type RequestHead, ShapeError } from "../../src/net/shape.ts";
import type { Target } from "./target.ts";

// biome-ignore format: many short words
const WORDS = [
  "GET / HTTP/1.1\r\n", "POST /a?b HTTP/1.1\r\n", "PUT /v1/x HTTP/1.0\r\n", "HEAD ",
  "PRI * HTTP/2.0\r\n\r\n", "Host: x\r\n", "host: [::1]:9\r\n", "Host: a b\r\n", "Content-Length: 5\r\n",
  "Content-Length: 05\r\n", "Content-Length: +5\r\n", "Content-Length : 5\r\n", "Content-Length: 5\n",
  "Content-Length: 5, 5\r\n", "Content-Length: 999999999999999\r\n", "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: \tChunked \r\n", "Transfer-Encoding: gzip, chunked\r\n",
  "Transfer-Encoding: identity\r\n", "Connection: close\r\n", "Connection: keep-alive, x\r\n",
  "Connection: upgrade\r\nUpgrade: h2c\r\n", "Expect: 100-continue\r\n", "Expect: 200-ok\r\n", "A: b\r\n",
  "A:\r\n", ": b\r\n", " folded\r\n", "\tfolded\r\n", "\r\n\r\n", "\r\n", "\n", "\r", "\0",
  "5\r\nhello\r\n", "0\r\n\r\n", "0\r\nA: b\r\n\r\n", "00000005;a=b\r\n", "ffffffff\r\n", "100000000\r\n",
  "5 \r\n", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "%", "?", "#", "//", "http://x/", "*", "__proto__: a\r\n",
  "constructor: a\r\n", "X-Forwarded-For: 1.2.3.4\r\n",
];

export const request: Target = {
  name: "request",
  words: WORDS,
  mostBytes: 3072,
  samples: /\.http$/,
  examples: [
    "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "PUT /v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
  ],
  run,
  read: (bytes) => void read(cut(bytes, 7), true),
  most: { bytes: PROFILES.registration.limits.bodyBytes, ms: 200 },
};

interface Reading {
  head: RequestHead | null;
  body: string;
  /** Status and what was wrong, or null. */
  refusal: string | null;
  complete: boolean;
  surplus: boolean;
}

function run(bytes: Buffer): readonly string[] {
  return [...readAs(bytes, true), ...readAs(bytes, false)];
}

function readAs(bytes: Buffer, chunked: boolean): readonly string[] {
  const whole = read([bytes], chunked);
  const { surplus: _, ...meaning } = whole;
  for (const size of [1, 7]) {
    const { surplus: __, ...other } = read(cut(bytes, size), chunked);
    if (JSON.stringify(show(other)) !== JSON.stringify(show(meaning))) {
      throw new Error(`another meaning in packets of ${size}`);
    }
  }
  if (whole.complete && whole.head !== null) checkTaken(bytes, whole, whole.head, chunked);
  const { head } = whole;
  return [
    `${chunked} ${whole.refusal} ${whole.complete} ${whole.surplus}`,
    head === null
      ? "no head"
      : `${head.method} ${head.minor} ${head.keepAlive} ${head.expectContinue} ${Math.sign(head.contentLength)}`,
  ];
}

function show(reading: Omit<Reading, "surplus">) {
  return {
    ...reading,
    head: reading.head === null ? null : { ...reading.head, headers: [...reading.head.headers] },
  };
}

function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
    bytes.subarray(n * size, (n + 1) * size),
  );
}

function read(pieces: readonly Buffer[], chunked: boolean): Reading {
  const reading: Reading = { head: null, body: "", refusal: null, complete: false, surplus: false };
  const parser = new RequestParser(
    { limits: PROFILES.registration.limits, chunked },
    {
      onRequestLine() {},
      onHead(head) {
        if (reading.head !== null) throw new Error("two heads in one request");
        reading.head = head;
      },
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
      reading.refusal = `${error.status} ${error.message}`;
      break;
    }
    if (parser.complete) break;
  }
  reading.complete = parser.complete;
  reading.surplus = parser.surplus;
  return reading;
}

// A second opinion: the head as one expression, and the body as the RFC cuts it.
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const HEAD = new RegExp(
  `^(?:\r\n)?[A-Z]+ /[!-~]* HTTP/1\\.[01]\r\n((?:${TOKEN}:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n`,
);
const CHUNK = /^([0-9A-Fa-f]{1,8})(?:[\t ]*;[^\r\n]*)?\r\n/;

function checkTaken(bytes: Buffer, reading: Reading, head: RequestHead, chunked: boolean): void {
  const text = bytes.toString("latin1");
  const match = HEAD.exec(text);
  if (match === null) throw new Error("a request that is not well formed was taken");
  if (reading.refusal !== null) throw new Error("a request was taken and refused");
  const fields = (match[1] ?? "").split("\r\n").map((line) => line.toLowerCase());
  const named = (name: string) =>
    fields.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
  if (named("host").length > 1) throw new Error("two hosts");
  const lengths = named("content-length");
  const codings = named("transfer-encoding");
  if (lengths.length + codings.length > 1) throw new Error("two lengths of one body");
  const rest = text.slice(match[0].length);
  if (codings.length > 0 && (!chunked || codings[0] !== "chunked"))
    throw new Error("a coding that is not served");
  const body = codings.length > 0 ? unchunk(rest) : rest.slice(0, Number(lengths[0] ?? 0));
  if (reading.body !== body) throw new Error("another body than the one that was sent");
  if (codings.length === 0 && body.length !== head.contentLength)
    throw new Error("a body cut short was taken");
}

function unchunk(text: string): string {
  let rest = text;
  let body = "";
  for (;;) {
    const match = CHUNK.exec(rest);
    if (match === null) throw new Error("a chunk without its size was taken");
    const size = Number.parseInt(match[1] ?? "", 16);
    rest = rest.slice(match[0].length);
    if (size === 0) return body;
    body += rest.slice(0, size);
    if (rest.slice(size, size + 2) !== "\r\n") throw new Error("a chunk without its end was taken");
    rest = rest.slice(size + 2);
  }
}
