// The shape of a request, checked more strictly than the parser does: whatever two HTTP readers could
// understand differently (request smuggling) is refused. Pure functions over lines and the header list.

import type { RefusalReason } from "./refusals.ts";

/** A request that is not read further. */
export class ShapeError extends Error {
  /** The status it is answered with; 0 closes the connection without an answer. */
  readonly status: number;
  readonly why: RefusalReason;

  /** @param what what is wrong, for tests and debuggers; it is neither logged nor sent */
  constructor(status: number, what: string, why: RefusalReason = "malformed") {
    super(what);
    this.name = "ShapeError";
    this.status = status;
    this.why = why;
  }
}

export interface RequestLine {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** The y of HTTP/1.y: 0 or 1. */
  readonly minor: number;
}

export interface RequestHead extends RequestLine {
  readonly headers: ReadonlyMap<string, string>;
  /** Bytes of the body, or `CHUNKED`. */
  readonly contentLength: number;
  /** Whether the client wants the connection kept open. */
  readonly keepAlive: boolean;
  /** Whether the client waits for `100 Continue` before it sends the body. */
  readonly expectContinue: boolean;
}

/** Stands for a length that only the body itself tells. */
export const CHUNKED = -1;

// What the rooms behind can route. Everything else is 501 (RFC 9110, 9.1).
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

// RFC 9112, 3: exactly one space between the three parts.
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP\/(\d)\.(\d)$/;
// RFC 3986: what a path and a query may consist of. Neither the absolute form (proxies) nor `*`.
const TARGET = /^\/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?$/;
// RFC 9112, 5: no space before the colon, no folded lines, no control characters but the tab.
const FIELD_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*$/;
// RFC 9112, 7.1: the size, then extensions, which are ignored. Eight digits are 4 GB: no number is rounded.
const CHUNK_LINE = /^[0-9A-Fa-f]{1,8}(?:[\t ]*;[\t -~]*)?$/;
// RFC 3986: a name, an address or an address in brackets, and a port.
const HOST = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
// Fifteen digits stay an exact number.
const DECIMAL = /^\d{1,15}$/;

/**
 * Reads the first line of a request.
 * @param targetBytes the longest target
 * @throws ShapeError 400, 414, 501 or 505
 */
export function readRequestLine(line: string, targetBytes: number): RequestLine {
  const match = REQUEST_LINE.exec(line);
  if (match === null) throw new ShapeError(400, "request line");
  const [, method = "", target = "", major, minor] = match;
  // HTTP/2 opens with "PRI * HTTP/2.0".
  if (major !== "1" || (minor !== "0" && minor !== "1")) throw new ShapeError(505, "HTTP version");
  if (target.length > targetBytes) throw new ShapeError(414, "target too long");
  if (!TARGET.test(target)) throw new ShapeError(400, "request target");
  if (!METHODS.has(method)) throw new ShapeError(501, "method");
  const question = target.indexOf("?");
  return {
    method,
    path: question < 0 ? target : target.slice(0, question),
    query: question < 0 ? "" : target.slice(question + 1),
    minor: minor === "1" ? 1 : 0,
  };
}

/** Checks one line of a header or trailer section. Throws ShapeError 400. */
export function checkFieldLine(line: string): void {
  if (!FIELD_LINE.test(line)) throw new ShapeError(400, "header line");
}

/** Checks the line before a chunk. Throws ShapeError 400. */
export function checkChunkLine(line: string): void {
  if (!CHUNK_LINE.test(line)) throw new ShapeError(400, "chunk line");
}

// Named twice, these would let two readers choose differently.
const SINGLE = new Set(["host", "content-length", "transfer-encoding"]);

/**
 * Reads the header list and decides how long the body is.
 * @param fields names and values in turn
 * @param chunked whether a chunked body is accepted
 * @throws ShapeError 400, 411 or 417
 */
export function readHead(line: RequestLine, fields: readonly string[], chunked: boolean): RequestHead {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] ?? "").toLowerCase();
    const value = fields[i + 1] ?? "";
    const earlier = headers.get(name);
    if (earlier === undefined) {
      headers.set(name, value);
    } else {
      if (SINGLE.has(name)) throw new ShapeError(400, "header repeated");
      headers.set(name, `${earlier}, ${value}`);
    }
  }
  const host = headers.get("host");
  if (host === undefined ? line.minor === 1 : !HOST.test(host)) throw new ShapeError(400, "Host");
  return {
    method: line.method,
    path: line.path,
    query: line.query,
    minor: line.minor,
    headers,
    contentLength: bodyLength(headers, line.minor, chunked),
    keepAlive: wantsKeepAlive(headers.get("connection"), line.minor),
    expectContinue: expectsContinue(headers.get("expect"), line.minor),
  };
}

// RFC 9112, 6: the two ways of telling a body's length, never both.
function bodyLength(headers: ReadonlyMap<string, string>, minor: number, chunked: boolean): number {
  const length = headers.get("content-length");
  const coding = headers.get("transfer-encoding");
  if (coding !== undefined) {
    if (length !== undefined) throw new ShapeError(400, "two body lengths");
    if (minor === 0 || coding.toLowerCase() !== "chunked") throw new ShapeError(400, "transfer coding");
    if (!chunked) throw new ShapeError(411, "chunked body");
    return CHUNKED;
  }
  if (length === undefined) return 0;
  if (!DECIMAL.test(length)) throw new ShapeError(400, "Content-Length");
  return Number(length);
}

function wantsKeepAlive(connection: string | undefined, minor: number): boolean {
  if (connection === undefined) return minor === 1;
  // Exchange writes "Close".
  const options = connection.toLowerCase().split(",");
  let keep = minor === 1;
  for (const option of options) {
    const name = option.trim();
    if (name === "close") return false;
    if (name === "keep-alive") keep = true;
  }
  return keep;
}

function expectsContinue(expect: string | undefined, minor: number): boolean {
  // RFC 9110, 10.1.1: an HTTP/1.0 client's expectation is ignored.
  if (expect === undefined || minor === 0) return false;
  if (expect.toLowerCase() !== "100-continue") throw new ShapeError(417, "Expect");
  return true;
}
