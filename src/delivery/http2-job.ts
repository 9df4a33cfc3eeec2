// One request on its way through the HTTP/2 pool: what is asked, and what can become of it.

export interface Http2Request {
  readonly path: string;
  /** Lower-case names, without the pseudo-headers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Why there is no answer. */
export type Http2Failure =
  /** There is no connection and none can be made; `retryInMs`: when the next attempt is allowed. */
  | { readonly kind: "unreachable"; readonly code: string; readonly retryInMs: number }
  /** Sent, and nothing came back in time. */
  | { readonly kind: "timeout" }
  /** Lost with its connection, again and again; it may have been taken. */
  | { readonly kind: "lost" }
  /** Waited too long for a free stream, or the pool has too much to do. */
  | { readonly kind: "busy" }
  /** The pool was stopped. */
  | { readonly kind: "stopped" };

export type Http2Result =
  | {
      readonly kind: "answer";
      readonly status: number;
      /** Lower-case names. */
      readonly headers: Readonly<Record<string, string | string[] | undefined>>;
      readonly body: string;
      /** Takes the connection that this came over out of use: its streams finish, new ones go elsewhere. */
      readonly retire: () => void;
    }
  | Http2Failure;

/** A request with what the pool notes about it. */
export interface Job {
  readonly request: Http2Request;
  readonly finish: (result: Http2Result) => void;
  /** Monotonic milliseconds until which it may wait for a stream. */
  readonly queuedUntilMs: number;
  /** Monotonic milliseconds until which the answer must have come; set when it goes out. */
  answerUntilMs: number;
  /** Times it came back unprocessed. */
  refused: number;
  /** Times its connection was lost under it. */
  lost: number;
}
