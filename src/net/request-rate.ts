// Holds back a client that repeats one request without end, before its handler works on it.
import { addressKey } from "./address.ts";
import { createLimiter, type Rate } from "./rate.ts";
import type { Answer, HttpRequest, RequestHandler } from "./types.ts";

export interface RequestRate extends Rate {
  /**
   * What is counted: the credential or the registration that the request is about; null is not counted. Clients are
   * told apart by address only beneath that, since a gateway puts all of them behind one.
   */
  readonly keyOf: (request: HttpRequest) => string | null;
}

export interface RequestRateOptions {
  readonly rate: RequestRate;
  readonly handler: RequestHandler;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** Counts the refusal and answers it. */
  readonly refuse: (request: HttpRequest) => Answer;
}

/**
 * The handler behind a limit. Of one key each client has its own allowance: who knows another's callback URL cannot
 * use up the allowance of the server that it belongs to.
 */
export function createRequestRate({ rate, handler, now, refuse }: RequestRateOptions): RequestHandler {
  const limiter = createLimiter(rate);
  return (request) => {
    const key = rate.keyOf(request);
    if (key === null) return handler(request);
    const waitMs = limiter.take(`${key} ${addressKey(request.remoteAddress)}`, now());
    return waitMs > 0 ? refuse(request) : handler(request);
  };
}
