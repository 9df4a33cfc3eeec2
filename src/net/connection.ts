// One connection: reads a request within its deadlines, hands it on, writes the answer, and ends or starts over.
// It never throws and knows nothing of the other connections; `listener.ts` owns it and the clock.
import type { Socket } from "bun";
import { isBellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";
import { CONTINUE, headOnly, isFixed, isHangup, renderAnswer } from "./answer.ts";
import { firstFrame } from "./labels.ts";
import type { ListenerName } from "./limits.ts";
import type { Held } from "./places.ts";
import type { RefusalReason } from "./refusals.ts";
import { type ReaderRules, RequestReader, type Sender } from "./request-reader.ts";
import { ShapeError } from "./shape.ts";
import type { SocketUser } from "./socket-user.ts";
import type { Answer, FixedAnswer, HttpRequest, RequestHandler } from "./types.ts";

/** What all connections of a listener share. */
export interface ConnectionOwner extends ReaderRules {
  readonly name: ListenerName;
  readonly tls: boolean;
  readonly handler: RequestHandler;
  readonly healthHandler: RequestHandler;
  readonly log: Logger;
  /** The listener is being stopped: every answer is the last one of its connection. */
  readonly stopping: boolean;
  /** Monotonic, milliseconds. */
  now(): number;
  /** The value of the `Date` header. */
  date(): string;
  correlationId(): string;
  refused(why: RefusalReason, address: string): void;
  /** The answer to a request that no handler sees, or that its handler failed at. */
  refusalAnswer(status: number): FixedAnswer;
  /** An answer was given here, by no handler. */
  answeredHere(status: number): void;
  /** Counts a request of a trusted proxy as one of its client's connections; false when that has too many. */
  enter(connection: Connection, address: string): boolean;
  leave(connection: Connection, address: string): void;
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

// The client, or the proxy before it, may try again at once.
const TOO_MANY = 503;

export class Connection implements Held, SocketUser {
  readonly address: string;
  /** Monotonic time at which `expire` is due. */
  deadlineAt: number;
  private readonly owner: ConnectionOwner;
  private readonly socket: Socket<SocketUser>;
  private readonly isProxy: boolean;
  private readonly reader: RequestReader;
  private state: State;
  private answered = 0;
  private unsent = NOTHING;
  private closesAfterAnswer = false;
  private correlationId = "";
  /** The client whose request a proxy passes on at the moment. */
  private entered: string | null = null;

  /** @param arrivedAt monotonic, when the connection was made: the handshake's time counts from then */
  constructor(owner: ConnectionOwner, socket: Socket<SocketUser>, sender: Sender, arrivedAt: number) {
    this.owner = owner;
    this.socket = socket;
    this.address = sender.address;
    this.isProxy = sender.isProxy;
    this.reader = new RequestReader(owner, sender);
    this.state = owner.tls ? "handshake" : "idle";
    this.deadlineAt = arrivedAt + (owner.tls ? owner.limits.handshakeMs : owner.limits.headersMs);
  }

  get canYield(): boolean {
    return this.state !== "answering" && this.state !== "writing";
  }

  // What the socket reports

  /** The TLS handshake has ended. */
  onHandshake(isDone: boolean): void {
    if (this.state !== "handshake") return;
    if (!isDone) {
      this.owner.refused("handshake", this.address);
      // The socket closes by itself once its TLS alert, which tells the client why, has been sent.
      this.enter("lingering", this.owner.limits.lingerMs);
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
    this.reader.release();
    this.leave();
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
          { code: "internal", listener: this.owner.name, correlationId: this.correlationId },
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

  // The way of a request

  private read(bytes: Buffer): void {
    const { reader } = this;
    try {
      reader.feed(bytes);
      if (this.isProxy && reader.head !== null && this.entered === null) this.enterFor(reader.address);
    } catch (error) {
      this.refuse(error);
      return;
    }
    if (reader.isComplete) {
      this.handOn();
    } else if (reader.head !== null && this.state === "headers") {
      this.enter("body", this.owner.limits.bodyMs);
      if (reader.head.expectContinue) this.socket.write(CONTINUE);
    }
  }

  private enterFor(client: string): void {
    // Its own requests, a monitor's for example.
    if (client === this.address) return;
    if (!this.owner.enter(this, client)) {
      throw new ShapeError(TOO_MANY, "too many requests of one client", "address_connections");
    }
    this.entered = client;
  }

  private leave(): void {
    if (this.entered !== null) this.owner.leave(this, this.entered);
    this.entered = null;
  }

  private refuse(error: unknown): void {
    const known = error instanceof ShapeError ? error : new ShapeError(500, "parser");
    this.owner.refused(known.why, this.reader.address);
    if (known.status === 0 || !this.reader.mayBeAnswered) {
      this.abandon();
      return;
    }
    // The rest of the request is not read: the connection lingers so that the client sees the answer first.
    this.closesAfterAnswer = true;
    this.reader.release();
    this.owner.answeredHere(known.status);
    this.write(this.owner.refusalAnswer(known.status).rendered.close);
  }

  private handOn(): void {
    const { owner, reader } = this;
    const { head } = reader;
    if (head === null) return;
    if (reader.hasSurplus) this.closesAfterAnswer = true;
    this.enter("answering", owner.limits.answerMs);
    this.correlationId = owner.correlationId();
    const request: HttpRequest = {
      method: head.method,
      path: head.path,
      query: head.query,
      headers: head.headers,
      body: reader.body,
      oversize: reader.isOversize,
      remoteAddress: reader.address,
      correlationId: this.correlationId,
      receivedAtMs: owner.now(),
    };
    let answer: Answer | Promise<Answer>;
    try {
      answer = reader.isHealth ? owner.healthHandler(request) : owner.handler(request);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (answer instanceof Promise) {
      answer.then(
        (value) => this.answer(value),
        (error: unknown) => this.fail(error),
      );
    } else {
      this.answer(answer);
    }
  }

  private answer(answer: Answer): void {
    if (this.state !== "answering") return;
    if (isHangup(answer)) {
      this.abandon();
      return;
    }
    const fixed = isFixed(answer);
    const close =
      this.closesAfterAnswer ||
      this.owner.stopping ||
      this.reader.head?.keepAlive !== true ||
      (!fixed && answer.close === true);
    let bytes: Buffer;
    try {
      if (fixed) bytes = close ? answer.rendered.close : answer.rendered.keepAlive;
      else bytes = renderAnswer(answer, close, this.owner.date());
    } catch (error) {
      this.fail(error);
      return;
    }
    this.closesAfterAnswer = close;
    this.reader.release();
    this.write(this.fitting(bytes));
  }

  private fail(error: unknown): void {
    this.owner.log.error(
      {
        code: isBellError(error) ? error.code : "internal",
        // Only where it happened: a message could carry what must not be logged.
        at: error instanceof Error ? firstFrame(error) : "",
        listener: this.owner.name,
        correlationId: this.correlationId,
      },
      "A request failed.",
    );
    if (this.state !== "answering") return;
    this.closesAfterAnswer = true;
    this.reader.release();
    this.owner.answeredHere(500);
    this.write(this.fitting(this.owner.refusalAnswer(500).rendered.close));
  }

  private fitting(bytes: Buffer): Buffer {
    return this.reader.head?.method === "HEAD" ? headOnly(bytes) : bytes;
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
    if (this.closesAfterAnswer || this.owner.stopping) this.finish();
    else this.startOver();
  }

  // Plain sockets close both ways on end(): with unread bytes that is a reset, which can overtake the answer.
  private canEndAtOnce(): boolean {
    return this.owner.tls || (this.reader.isComplete && !this.reader.hasSurplus);
  }

  /** Ends this side after everything was written; over TLS with a close_notify. */
  private finish(): void {
    this.enter("lingering", this.owner.limits.lingerMs);
    if (this.owner.tls) this.socket.end();
    else this.socket.shutdown();
  }

  private startOver(): void {
    this.leave();
    this.reader.next();
    this.enter("idle", this.owner.limits.keepAliveMs);
  }

  private drop(why: RefusalReason): void {
    this.owner.refused(why, this.reader.address);
    this.abandon();
  }

  private enter(state: State, limitMs: number): void {
    this.state = state;
    this.deadlineAt = this.owner.now() + limitMs;
  }
}
