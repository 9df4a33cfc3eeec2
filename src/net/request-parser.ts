// Reads HTTP/1.1 requests with http-parser-js, held to a strict shape: that parser accepts bare line feeds,
// drops malformed header lines and guesses at numbers. Here it sees only lines that have passed our checks,
// and the length of a body is decided by them. There is one reading of the bytes, not two that could differ.
import { HTTPParser } from "http-parser-js";
import type { Limits } from "./limits.ts";
import {
  CHUNKED,
  checkChunkLine,
  checkFieldLine,
  type RequestHead,
  type RequestLine,
  readHead,
  readRequestLine,
  ShapeError,
} from "./shape.ts";

/** What the parser reports while it is fed. Each may throw a ShapeError, which ends the request. */
export interface ParserEvents {
  /** The request line has been read; nothing of the header section yet. */
  onRequestLine(line: RequestLine): void;
  onHead(head: RequestHead): void;
  /** A piece of the body: a view of the bytes that were fed. */
  onBody(piece: Buffer): void;
}

export interface ParserRules {
  readonly limits: Pick<Limits, "headerBytes" | "headerLines" | "targetBytes">;
  readonly chunked: boolean;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
// Method, version and spaces around the target.
const REQUEST_LINE_EXTRA_BYTES = 40;
// A chunk's size with its extensions, which nobody reads.
const CHUNK_LINE_BYTES = 256;

// What is used of the parser, whose own types hide what a subclass needs. Its version is pinned exactly.
interface LibraryParser {
  state: string;
  chunk: Buffer;
  offset: number;
  isChunked: boolean;
  body_bytes: number | null;
  initialize(type: string): void;
  execute(bytes: Buffer): number | Error;
}
interface HeadInfo {
  readonly headers: readonly string[];
  upgrade: boolean;
}
const Library = HTTPParser as unknown as new (type: string) => LibraryParser;

export class RequestParser extends Library {
  private readonly rules: ParserRules;
  private readonly events: ParserEvents;
  /** Start of a line whose end has not arrived yet. */
  private partial = "";
  private headBytes = 0;
  private headLines = 0;
  private requestLine: RequestLine | null = null;
  /** The request has been read to its end. */
  complete = false;
  /** Bytes arrived after the end of the request; they were thrown away. */
  surplus = false;

  constructor(rules: ParserRules, events: ParserEvents) {
    super(HTTPParser.REQUEST);
    this.rules = rules;
    this.events = events;
  }

  /** Prepares for the next request on the same connection. */
  next(): void {
    this.partial = "";
    this.headBytes = 0;
    this.headLines = 0;
    this.requestLine = null;
    this.complete = false;
    this.surplus = false;
  }

  /**
   * Takes the next bytes of the connection; `complete` tells whether they ended the request.
   * @throws ShapeError when the request is refused: this parser must not be fed again
   */
  feed(bytes: Buffer): void {
    const result = this.execute(bytes);
    if (result instanceof Error && !this.complete) {
      throw result instanceof ShapeError ? result : new ShapeError(400, "request");
    }
  }

  // The library counts whole packets, bodies included, against this; the lines are counted here instead.
  get maxHeaderSize(): number {
    return Number.MAX_SAFE_INTEGER;
  }
  set maxHeaderSize(_bytes: number) {}

  // The library takes all its lines from here: request line, header lines, chunk sizes, trailers.
  consumeLine(): string | undefined {
    if (this.complete) {
      this.surplus = true;
      this.offset = this.chunk.length;
      return undefined;
    }
    const { chunk, offset } = this;
    const found = chunk.indexOf(LINE_FEED, offset);
    const isWhole = found >= 0;
    const end = isWhole ? found : chunk.length;
    this.checkSize(end - offset);
    this.offset = isWhole ? end + 1 : end;
    if (!isWhole) {
      this.partial += chunk.toString("latin1", offset, end);
      return undefined;
    }
    let line: string;
    if (this.partial === "" && end > offset && chunk[end - 1] === CARRIAGE_RETURN) {
      line = chunk.toString("latin1", offset, end - 1);
    } else {
      line = this.partial + chunk.toString("latin1", offset, end);
      if (!line.endsWith("\r")) throw new ShapeError(400, "line without CR LF");
      line = line.slice(0, -1);
    }
    this.partial = "";
    this.checkLine(line);
    return line;
  }

  private checkSize(lineBytes: number): void {
    const { limits } = this.rules;
    switch (this.state) {
      case "REQUEST_LINE":
        if (this.partial.length + lineBytes > limits.targetBytes + REQUEST_LINE_EXTRA_BYTES) {
          throw new ShapeError(414, "request line too long");
        }
        break;
      case "HEADER":
      case "BODY_CHUNKTRAILERS":
        this.headBytes += lineBytes;
        if (this.headBytes > limits.headerBytes) throw new ShapeError(431, "header section too large");
        break;
      default:
        if (this.partial.length + lineBytes > CHUNK_LINE_BYTES)
          throw new ShapeError(400, "chunk line too long");
    }
  }

  private checkLine(line: string): void {
    switch (this.state) {
      case "REQUEST_LINE":
        // RFC 9112, 2.2: an empty line before a request is passed over. One; the library skips it.
        if (line === "") {
          this.headLines += 1;
          if (this.headLines > 1) throw new ShapeError(400, "empty lines");
          break;
        }
        this.headBytes += line.length;
        this.requestLine = readRequestLine(line, this.rules.limits.targetBytes);
        this.headLines = 0;
        this.events.onRequestLine(this.requestLine);
        break;
      case "HEADER":
      case "BODY_CHUNKTRAILERS":
        if (line === "") break;
        this.headLines += 1;
        if (this.headLines > this.rules.limits.headerLines)
          throw new ShapeError(431, "too many header lines");
        checkFieldLine(line);
        break;
      case "BODY_CHUNKHEAD":
        checkChunkLine(line);
        break;
      default:
        // After a chunk: the library insists on an empty line.
        break;
    }
  }

  [HTTPParser.kOnHeadersComplete](info: HeadInfo): void {
    if (this.requestLine === null) throw new ShapeError(400, "request line");
    const head = readHead(this.requestLine, info.headers, this.rules.chunked);
    this.events.onHead(head);
    // The library's own idea of the body is replaced: it reads numbers loosely and lets `Upgrade` hide a body.
    info.upgrade = false;
    this.isChunked = head.contentLength === CHUNKED;
    this.body_bytes = this.isChunked ? null : head.contentLength;
  }

  [HTTPParser.kOnBody](piece: Buffer): void {
    this.events.onBody(piece);
  }

  [HTTPParser.kOnMessageComplete](): void {
    this.complete = true;
  }
}
