// Reads one request after another from a connection's bytes, within the limits on size and address:
// the parser checks the shape, this file decides what is kept of the body and who may ask.
import { BodyBuffer } from "./body-buffer.ts";
import type { Limits, OversizePolicy } from "./limits.ts";
import { type ParserEvents, RequestParser } from "./request-parser.ts";
import { CHUNKED, type RequestHead, type RequestLine, ShapeError } from "./shape.ts";

/** What the readers of a listener share. */
export interface ReaderRules {
  readonly limits: Limits;
  readonly chunked: boolean;
  readonly oversize: OversizePolicy;
  readonly healthPaths: ReadonlySet<string>;
  /** Body bytes held by all connections; readers keep it up to date. */
  bufferedBytes: number;
}

export class RequestReader implements ParserEvents {
  private readonly rules: ReaderRules;
  private readonly isAllowed: boolean;
  private readonly parser: RequestParser;
  private readonly buffer = new BodyBuffer();
  private bodyBytes = 0;
  private heldBytes = 0;
  /** Set once the header section has been read. */
  head: RequestHead | null = null;
  /** The request asks for a health path. */
  isHealth = false;
  /** The body is larger than what is kept; it is read and thrown away. */
  isOversize = false;

  /** @param isAllowed whether the client's address may ask for more than health */
  constructor(rules: ReaderRules, isAllowed: boolean) {
    this.rules = rules;
    this.isAllowed = isAllowed;
    this.parser = new RequestParser(rules, this);
  }

  /** The request has been read to its end. */
  get isComplete(): boolean {
    return this.parser.complete;
  }

  /** More than the request has arrived; the rest was thrown away. */
  get hasSurplus(): boolean {
    return this.parser.surplus;
  }

  /** Whether the client gets answers at all: its address is allowed, or it asks for health. */
  get mayBeAnswered(): boolean {
    return this.isAllowed || this.isHealth;
  }

  /** The body, as far as it is kept. */
  get body(): Buffer {
    return this.buffer.take();
  }

  /** Takes the next bytes. Throws ShapeError; then this reader must not be used again. */
  feed(bytes: Buffer): void {
    this.parser.feed(bytes);
  }

  /** Prepares for the next request of the connection. */
  next(): void {
    this.release();
    this.parser.next();
    this.head = null;
    this.isHealth = false;
    this.isOversize = false;
    this.bodyBytes = 0;
  }

  /** Gives the body's memory back. */
  release(): void {
    this.rules.bufferedBytes -= this.heldBytes;
    this.heldBytes = 0;
    this.buffer.clear();
  }

  onRequestLine(line: RequestLine): void {
    this.isHealth = this.rules.healthPaths.has(line.path);
    if (!this.mayBeAnswered) throw new ShapeError(0, "address not allowed", "allow");
  }

  onHead(head: RequestHead): void {
    const { limits, oversize } = this.rules;
    const length = head.contentLength;
    if (!this.isAllowed && length !== 0) {
      throw new ShapeError(0, "a body from an address that is not allowed", "allow");
    }
    if (length > limits.bodyBytes) {
      if (oversize === "refuse") throw new ShapeError(413, "body too large", "oversize");
      if (length > limits.drainBytes) throw new ShapeError(0, "body too large to be heard out", "oversize");
      this.isOversize = true;
    }
    this.head = head;
  }

  onBody(piece: Buffer): void {
    const { limits, oversize } = this.rules;
    this.bodyBytes += piece.length;
    if (this.bodyBytes > limits.bodyBytes && !this.isOversize) {
      if (oversize === "refuse") throw new ShapeError(413, "body too large", "oversize");
      this.isOversize = true;
      this.release();
    }
    if (this.bodyBytes > limits.drainBytes) {
      throw new ShapeError(0, "body too large to be heard out", "oversize");
    }
    if (!this.isOversize) this.keep(piece);
  }

  private keep(piece: Buffer): void {
    const { rules, buffer } = this;
    const length = this.head?.contentLength ?? CHUNKED;
    buffer.add(piece, length === CHUNKED ? rules.limits.bodyBytes : length);
    rules.bufferedBytes += buffer.capacity - this.heldBytes;
    this.heldBytes = buffer.capacity;
    if (rules.bufferedBytes > rules.limits.bufferedBytes) {
      throw new ShapeError(0, "too many body bytes held", "memory");
    }
  }
}
