// What a failure on the way to a provider means for the ring: the same for both senders.
import type { Http2Failure } from "./http2-job.ts";
import { cleanReason, type Verdict } from "./outcome.ts";

/** The verdict of a request that got no answer. */
export function verdictOfFailure(failure: Http2Failure): Verdict {
  switch (failure.kind) {
    case "unreachable":
      return { kind: "unreachable", reason: cleanReason(failure.code), retryAfterMs: failure.retryInMs };
    case "stopped":
      return { kind: "unreachable", reason: "stopped", retryAfterMs: null };
    case "timeout":
    case "lost":
    case "busy":
      return { kind: "transient", reason: failure.kind, retryAfterMs: null };
  }
}
