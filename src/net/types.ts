// What net/ hands to the rooms behind it: complete requests in, answers out. No socket travels further.

/** One complete HTTP request, read within the listener's limits. */
export interface HttpRequest {
  /** Upper case, as sent. */
  readonly method: string;
  /** Path without query string, still percent-encoded. */
  readonly path: string;
  /** Query string without the question mark, "" if there is none. */
  readonly query: string;
  /** Header names in lower case; repeated headers are joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** The body; empty when `oversize` is true (the bytes were read and thrown away). */
  readonly body: Buffer;
  /** The body was complete but larger than the listener keeps. */
  readonly oversize: boolean;
  /** The client's address: of the TCP peer, or as a trusted proxy tells it. */
  readonly remoteAddress: string;
  /** Short random id that log lines of this request carry. */
  readonly correlationId: string;
  /** Monotonic time (`performance.now()`, milliseconds) at which the last byte was read. */
  readonly receivedAtMs: number;
}

/** An answer that net/ renders. `Content-Length`, `Connection` and `Date` are net's business. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Close the connection after this answer, whatever the client asked for. */
  readonly close?: boolean;
}

/** An answer rendered once and written as it is: nothing is built for it on the hot path. */
export interface FixedAnswer {
  readonly status: number;
  /** The whole response as bytes, for a connection that closes after it and for one that stays. */
  readonly rendered: { readonly close: Buffer; readonly keepAlive: Buffer };
}

/** Drops the connection without an answer. */
export interface Hangup {
  readonly hangup: true;
}

export type Answer = HttpAnswer | FixedAnswer | Hangup;

/** Answers one request. A rejected promise becomes a bare 500 and an error line in the log. */
export type RequestHandler = (request: HttpRequest) => Answer | Promise<Answer>;
