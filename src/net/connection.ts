// One connection: reads a request within its deadlines, hands it on, writes the answer, and ends or starts over.
// It never throws and knows nothing of the other connections; `listener.ts` owns it and the clock.
import type { Socket } from "bun";
import { isBellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";
import { bareAnswer, CONTINUE, headOnly, isFixed, isHangup, renderAnswer } from "./answer.ts";
import { BodyBuffer } from "./body-buffer.ts";
import type { Limits, ListenerName, OversizePolicy } from "./limits.ts";
import { type ParserEvents, RequestParser } from "./request-parser.ts";
import { CHUNKED, type RequestHead, type RequestLine, ShapeError } from "./shape.ts";
import type { Answer, HttpRequest, RequestHandler } from "./types.ts";

/** Why a connection was closed without (or before) an ordinary answer; a label of the metrics. */
export type RefusalReason =
  | "connections"
  | "address_connections"
  | "allow"
  | "handshake"
  | "handshake_time"
  | "headers_time"
  | "body_time"
  | "answer_time"
  | "write_time"
  | "malformed"
  | "oversize"
  | "memory";

/** What all connections of a listener share. */
export interface ConnectionOwner {
  readonly name: ListenerName;
  readonly tls: boolean;
  readonly limits: Limits;
  readonly chunked: boolean;
  readonly oversize: OversizePolicy;
  readonly handler: RequestHandler;
  readonly healthHandler: RequestHandler;
  readonly healthPaths: ReadonlySet<string>;
  readonly log: Logger;
  /** The listener is being stopped: every answer is the last one of its connection. */
  readonly stopping: boolean;
  /** Monotonic, milliseconds. */
  now(): number;
  /** The value of the `Date` header. */
  date(): string;
  correlationId(): string;
  /** Body bytes held by all connections. */
  bufferedBytes: number;
  refused(why: RefusalReason, address: string): void;
  closed(connection: Connection): void;
}

type State =
  | "handshake"
  /** Waiting for the first byte of a request. */
  | "idle"
  | "headers"
  | "body"
  | "answering"
  /** The answer waits for the client to read. */
  | "writing"
  /** Ended from this side; whatever still arrives is thrown away. */
  | "lingering"
  | "closed";

// An answer that fits any socket's send buffer, so that it can be written and the connection ended in one go.
const ONE_WRITE_BYTES = 4096;
const NOTHING: Buffer = Buffer.alloc(0);

export class Connection implements ParserEvents {
  readonly address: string;
  /** Monotonic time at which `expire` is due. */
  deadlineAt: number;
  private readonly owner: ConnectionOwner;
  private readonly socket: Socket<Connection>;
  private readonly isAllowed: boolean;
  private readonly parser: RequestParser;
  private readonly body = new BodyBuffer();
  private state: State;
  private head: RequestHead | null = null;
  private isHealth = false;
  private isOversize = false;
  private bodyBytes = 0;
  private heldBytes = 0;
  private answered = 0;
  private unsent = NOTHING;
  private closesAfterAnswer = false;

  constructor(owner: ConnectionOwner, socket: Socket<Connection>, address: string, isAllowed: boolean) {
    this.owner = owner;
    this.socket = socket;
    this.address = address;
    this.isAllowed = isAllowed;
    this.parser = new RequestParser(owner, this);
    this.state = owner.tls ? "handshake" : "idle";
    this.deadlineAt = owner.now() + (owner.tls ? owner.limits.handshakeMs : owner.limits.headersMs);
  }

  // What the socket reports

  /** The TLS handshake has ended. */
  onHandshake(isDone: boolean): void {
    if (this.state !== "handshake") return;
    if (!isDone) {
      this.drop("handshake");
      return;
    }
    this.enter("idle", this.owner.limits.headersMs);
  }

  onData(bytes: Buffer): void {
    switch (this.state) {
      case "idle":
        // A first request has its time from the handshake on, a later one from its first byte.
        if (this.answered > 0) this.enter("headers", this.owner.limits.headersMs);
        else this.state = "headers";
        this.read(bytes);
        break;
      case "headers":
      case "body":
        this.read(bytes);
        break;
      case "answering":
      case "writing":
        // Pipelined: nothing is queued, the client sends it again on a new connection.
        this.closesAfterAnswer = true;
        break;
      case "handshake":
      case "lingering":
      case "closed":
        break;
    }
  }

  onDrain(): void {
    if (this.state === "writing") this.write(this.unsent);
  }

  /** The client has closed its side; a complete request is still answered. */
  onPeerEnd(): void {
    switch (this.state) {
      case "answering":
      case "writing":
        this.closesAfterAnswer = true;
        break;
      case "handshake":
      case "idle":
      case "headers":
      case "body":
      case "lingering":
        this.socket.end();
        break;
      case "closed":
        break;
    }
  }

  onClose(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.releaseBody();
    this.unsent = NOTHING;
    this.owner.closed(this);
  }

  // What the listener asks for

  /** The deadline has passed. */
  expire(): void {
    switch (this.state) {
      case "handshake":
        this.drop("handshake_time");
        break;
      case "idle":
        if (this.answered === 0) this.drop("headers_time");
        else this.finish();
        break;
      case "headers":
        this.drop("headers_time");
        break;
      case "body":
        // No answer: Exchange delivers a notification again only if it got none.
        this.drop("body_time");
        break;
      case "answering":
        this.owner.log.error(
          { code: "internal", listener: this.owner.name },
          "A request was not answered in time; its connection was closed.",
        );
        this.drop("answer_time");
        break;
      case "writing":
        this.drop("write_time");
        break;
      case "lingering":
        this.abandon();
        break;
      case "closed":
        break;
    }
  }

  /** The listener stops: ends what is idle; a client that is about to send, or to close, has until `byMs`. */
  wind(byMs: number): void {
    if (this.state === "idle" && this.answered > 0) this.finish();
    if (this.state === "idle" || this.state === "handshake" || this.state === "lingering") {
      this.deadlineAt = Math.min(this.deadlineAt, byMs);
    }
  }

  /** Closes without further ado. */
  abandon(): void {
    if (this.state === "closed") return;
    // After an earlier end this closes the socket without a reset, so that the client keeps what it was sent.
    if (this.state === "lingering") this.socket.end();
    this.socket.terminate();
    this.onClose();
  }

  // What the parser reports

  onRequestLine(line: RequestLine): void {
    this.isHealth = this.owner.healthPaths.has(line.path);
    if (!this.isAllowed && !this.isHealth) {
      this.owner.refused("allow", this.address);
      throw new ShapeError(0, "address not allowed");
    }
  }

  onHead(head: RequestHead): void {
    const { limits, oversize } = this.owner;
    this.head = head;
    const length = head.contentLength;
    if (!this.isAllowed && length !== 0)
      throw new ShapeError(0, "a body from an address that is not allowed");
    if (length > limits.bodyBytes) {
      if (oversize === "refuse") throw new ShapeError(413, "body too large");
      if (length > limits.drainBytes) throw new ShapeError(0, "body too large to be heard out");
      this.isOversize = true;
    }
    if (length === 0) return;
    this.enter("body", limits.bodyMs);
    if (head.expectContinue) this.socket.write(CONTINUE);
  }

  onBody(piece: Buffer): void {
    const { limits, oversize } = this.owner;
    this.bodyBytes += piece.length;
    if (this.bodyBytes > limits.bodyBytes && !this.isOversize) {
      if (oversize === "refuse") throw new ShapeError(413, "body too large");
      this.isOversize = true;
      this.releaseBody();
    }
    if (this.bodyBytes > limits.drainBytes) throw new ShapeError(0, "body too large to be heard out");
    if (this.isOversize) return;
    const length = this.head?.contentLength ?? CHUNKED;
    this.body.add(piece, length === CHUNKED ? limits.bodyBytes : length);
    this.owner.bufferedBytes += this.body.capacity - this.heldBytes;
    this.heldBytes = this.body.capacity;
    if (this.owner.bufferedBytes > limits.bufferedBytes) {
      this.owner.refused("memory", this.address);
      throw new ShapeError(0, "too many bytes held");
    }
  }

  // The way of a request

  private read(bytes: Buffer): void {
    try {
      this.parser.feed(bytes);
    } catch (error) {
      this.refuse(error);
      return;
    }
    if (this.parser.complete) this.handOn();
  }

  private refuse(error: unknown): void {
    const status = error instanceof ShapeError ? error.status : 500;
    if (status === 0) {
      this.abandon();
      return;
    }
    this.owner.refused(status === 413 ? "oversize" : "malformed", this.address);
    // The rest of the request is not read: the connection lingers so that the client sees the answer first.
    this.closesAfterAnswer = true;
    this.releaseBody();
    this.write(bareAnswer(status).rendered.close);
  }

  private handOn(): void {
    const { owner, head } = this;
    if (head === null) return;
    if (this.parser.surplus) this.closesAfterAnswer = true;
    this.enter("answering", owner.limits.answerMs);
    const request: HttpRequest = {
      method: head.method,
      path: head.path,
      query: head.query,
      headers: head.headers,
      body: this.isOversize ? NOTHING : this.body.take(),
      oversize: this.isOversize,
      remoteAddress: this.address,
      correlationId: owner.correlationId(),
      receivedAtMs: owner.now(),
    };
    let answer: Answer | Promise<Answer>;
    try {
      answer = this.isHealth ? owner.healthHandler(request) : owner.handler(request);
    } catch (error) {
      this.fail(error, request);
      return;
    }
    if (answer instanceof Promise) {
      answer.then(
        (value) => this.answer(value, request),
        (error: unknown) => this.fail(error, request),
      );
    } else {
      this.answer(answer, request);
    }
  }

  private answer(answer: Answer, request: HttpRequest): void {
    if (this.state !== "answering") return;
    if (isHangup(answer)) {
      this.abandon();
      return;
    }
    const fixed = isFixed(answer);
    const close =
      this.closesAfterAnswer ||
      this.owner.stopping ||
      this.head?.keepAlive !== true ||
      (!fixed && answer.close === true);
    let bytes: Buffer;
    try {
      if (fixed) bytes = close ? answer.rendered.close : answer.rendered.keepAlive;
      else bytes = renderAnswer(answer, close, this.owner.date());
    } catch (error) {
      this.fail(error, request);
      return;
    }
    this.closesAfterAnswer = close;
    this.releaseBody();
    this.write(request.method === "HEAD" ? headOnly(bytes) : bytes);
  }

  private fail(error: unknown, request: HttpRequest): void {
    this.owner.log.error(
      {
        code: isBellError(error) ? error.code : "internal",
        // Only where it happened: a message could carry what must not be logged.
        at: error instanceof Error ? firstFrame(error) : "",
        listener: this.owner.name,
        correlationId: request.correlationId,
      },
      "A request failed.",
    );
    if (this.state !== "answering") return;
    this.closesAfterAnswer = true;
    this.releaseBody();
    const bytes = bareAnswer(500).rendered.close;
    this.write(request.method === "HEAD" ? headOnly(bytes) : bytes);
  }

  private write(bytes: Buffer): void {
    const isLast = this.closesAfterAnswer;
    if (isLast && this.answered === 0 && bytes.length <= ONE_WRITE_BYTES && this.canEndAtOnce()) {
      this.enter("lingering", this.owner.limits.lingerMs);
      this.answered += 1;
      this.socket.end(bytes);
      return;
    }
    const written = this.socket.write(bytes);
    if (written < 0) {
      this.abandon();
      return;
    }
    if (written < bytes.length) {
      this.unsent = bytes.subarray(written);
      if (this.state !== "writing") this.enter("writing", this.owner.limits.writeMs);
      return;
    }
    this.unsent = NOTHING;
    this.answered += 1;
    if (this.closesAfterAnswer) this.finish();
    else this.startOver();
  }

  // Plain sockets close both ways on end(): with unread bytes that is a reset, which can overtake the answer.
  private canEndAtOnce(): boolean {
    return this.owner.tls || (this.parser.complete && !this.parser.surplus);
  }

  /** Ends this side after everything was written; over TLS with a close_notify. */
  private finish(): void {
    this.enter("lingering", this.owner.limits.lingerMs);
    if (this.owner.tls) this.socket.end();
    else this.socket.shutdown();
  }

  private startOver(): void {
    this.parser.next();
    this.head = null;
    this.isOversize = false;
    this.bodyBytes = 0;
    this.enter("idle", this.owner.limits.keepAliveMs);
  }

  private drop(why: RefusalReason): void {
    this.owner.refused(why, this.address);
    this.abandon();
  }

  private enter(state: State, limitMs: number): void {
    this.state = state;
    this.deadlineAt = this.owner.now() + limitMs;
  }

  private releaseBody(): void {
    this.owner.bufferedBytes -= this.heldBytes;
    this.heldBytes = 0;
    this.body.clear();
  }
}

/** The place an error comes from, without its message. */
function firstFrame(error: Error): string {
  const frame = (error.stack ?? "").split("\n").find((line) => line.trimStart().startsWith("at "));
  return frame?.trim().slice(0, 200) ?? "";
}
