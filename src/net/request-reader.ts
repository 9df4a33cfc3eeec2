// Reads one request after another from a connection's bytes, within the limits on size and address:
// the parser checks the shape, this file decides what is kept of the body and who may ask.
import { BodyBuffer } from "./body-buffer.ts";
import type { Limits, OversizePolicy } from "./limits.ts";
import { type ParserEvents, RequestParser } from "./request-parser.ts";
import { CHUNKED, type RequestHead, type RequestLine, ShapeError } from "./shape.ts";

// What a path that does not exist gets: Exchange must never be challenged (401, 403, 407).
const NOT_FOUND = 404;

/** What the readers of a listener share. */
export interface ReaderRules {
  readonly limits: Limits;
  readonly chunked: boolean;
  readonly oversize: OversizePolicy;
  readonly healthPaths: ReadonlySet<string>;
  /** Whether an address is in the allow list. */
  isAllowed(address: string): boolean;
  /** The client of a request that a trusted proxy passes on. */
  clientOf(proxy: string, forwardedFor: string | undefined): string;
  /** Body bytes held by all connections; readers keep it up to date. */
  bufferedBytes: number;
}

/** Who sends the requests of a connection. */
export interface Sender {
  readonly address: string;
  /** Whether the address may ask for more than health. */
  readonly isAllowed: boolean;
  /** A trusted proxy: each request tells whose it is. */
  readonly isProxy: boolean;
}

export class RequestReader implements ParserEvents {
  private readonly rules: ReaderRules;
  private readonly sender: Sender;
  private isAllowed: boolean;
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

  /** The client's address: the sender's, or what a trusted proxy said. */
  address: string;

  constructor(rules: ReaderRules, sender: Sender) {
    this.rules = rules;
    this.sender = sender;
    this.isAllowed = sender.isAllowed;
    this.address = sender.address;
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

  /**
   * Whether there are answers at all: the client's address is allowed, or it asks for health. A proxy always gets one,
   * since it would take a closed connection for a fault of this node and could stop using it.
   */
  get mayBeAnswered(): boolean {
    return this.isAllowed || this.isHealth || this.sender.isProxy;
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
    this.address = this.sender.address;
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
    if (this.sender.isProxy) this.readClient(head);
    if (!this.isAllowed && (length !== 0 || !this.isHealth)) {
      const status = this.sender.isProxy ? NOT_FOUND : 0;
      throw new ShapeError(status, "more than health from an address that is not allowed", "allow");
    }
    if (length > limits.bodyBytes) {
      if (oversize === "refuse") throw new ShapeError(413, "body too large", "oversize");
      if (length > limits.drainBytes) throw new ShapeError(0, "body too large to be heard out", "oversize");
      this.isOversize = true;
    }
    this.head = head;
  }

  private readClient(head: RequestHead): void {
    const { rules, sender } = this;
    this.address = rules.clientOf(sender.address, head.headers.get("x-forwarded-for"));
    this.isAllowed = rules.isAllowed(this.address);
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
