// Reads an HTTP/1.1 answer from a socket, piece by piece, and keeps no more of its body than Exchange does.
import { ANSWER_BYTES, type RawAnswer } from "./answer.ts";

// Bytes of status line and headers that are accepted; .NET's client stops at 64 KB.
const HEAD_BYTES = 65_536;

export interface AnswerReader {
  /** Takes what arrived. `done`: nothing more is needed. */
  read(chunk: Buffer): "more" | "done" | "malformed";
  /** The peer ended the connection. */
  end(): "more" | "done" | "malformed";
  /** The answer once it is complete, else null. */
  answer(): RawAnswer | null;
}

interface Head {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly framing: "length" | "chunked" | "close";
  readonly length: number;
}

/** A reader for one answer. Interim answers (1xx) are skipped. */
export function createAnswerReader(): AnswerReader {
  let pending = Buffer.alloc(0);
  let head: Head | null = null;
  let answer: RawAnswer | null = null;

  function complete(body: Buffer): "done" {
    if (head !== null)
      answer = { status: head.status, headers: head.headers, body: body.subarray(0, ANSWER_BYTES) };
    return "done";
  }
  function step(ended: boolean): "more" | "done" | "malformed" {
    while (head === null) {
      const end = pending.indexOf("\r\n\r\n");
      if (end < 0) return pending.length > HEAD_BYTES || ended ? "malformed" : "more";
      const parsed = parseHead(pending.toString("latin1", 0, end));
      if (parsed === null) return "malformed";
      pending = pending.subarray(end + 4);
      if (parsed.status >= 200) head = parsed;
    }
    switch (head.framing) {
      case "length":
        // Cut off at the limit: what comes after it is never read.
        if (pending.length >= Math.min(head.length, ANSWER_BYTES))
          return complete(pending.subarray(0, head.length));
        return "more";
      case "chunked": {
        const chunks = readChunks(pending);
        if (chunks === null) return "malformed";
        return chunks.last || chunks.body.length >= ANSWER_BYTES ? complete(chunks.body) : "more";
      }
      case "close":
        return ended || pending.length >= ANSWER_BYTES ? complete(pending) : "more";
    }
  }
  return {
    read(chunk) {
      pending = Buffer.concat([pending, chunk]);
      return step(false);
    },
    end: () => (pending.length === 0 && head === null ? "more" : step(true)),
    answer: () => answer,
  };
}

function parseHead(text: string): Head | null {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const status = /^HTTP\/1\.[01] (\d{3})( |$)/.exec(statusLine)?.[1];
  if (status === undefined) return null;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) return null;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const length = headers.get("content-length");
  if (length !== undefined && !/^\d+$/.test(length)) return null;
  const bodyless = status === "204" || status === "304";
  return {
    status: Number(status),
    headers,
    framing:
      headers.get("transfer-encoding")?.toLowerCase() === "chunked" ? "chunked" : framing(length, bodyless),
    length: bodyless ? 0 : Number(length ?? 0),
  };
}

function framing(length: string | undefined, bodyless: boolean): "length" | "close" {
  return length !== undefined || bodyless ? "length" : "close";
}

/** Decodes what is there of a chunked body; null when it is not one. */
function readChunks(bytes: Buffer): { readonly body: Buffer; readonly last: boolean } | null {
  const pieces: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return { body: Buffer.concat(pieces), last: false };
    const size = /^([0-9a-f]{1,8})(;.*)?$/i.exec(bytes.toString("latin1", at, lineEnd))?.[1];
    if (size === undefined) return null;
    const length = Number.parseInt(size, 16);
    if (length === 0) return { body: Buffer.concat(pieces), last: true };
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
    if (at > bytes.length) return { body: Buffer.concat(pieces), last: false };
  }
}
