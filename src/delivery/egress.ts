// What a failure on the way to a provider means for the ring: the same for both senders.
import type { Http2Failure } from "./http2-job.ts";
import { cleanReason, type Verdict } from "./outcome.ts";

// What an administrator has to repair: asked again slowly, also because a company's directory may lock an account
// after a few wrong passwords.
const CONFIGURATION: ReadonlySet<string> = new Set(["credential", "proxy_authentication", "proxy_refused"]);

/**
 * The verdict where no connection can be made.
 * @param code a system's or TLS error code, or one of `hints.ts`
 * @param retryAfterMs when it makes sense to try again, or null
 */
export function verdictOfNoConnection(code: string, retryAfterMs: number | null): Verdict {
  const reason = cleanReason(code);
  return CONFIGURATION.has(reason)
    ? { kind: "configuration", reason, personal: false }
    : { kind: "unreachable", reason, retryAfterMs };
}

/** The verdict of a request that got no answer. */
export function verdictOfFailure(failure: Http2Failure): Verdict {
  switch (failure.kind) {
    case "unreachable":
      return verdictOfNoConnection(failure.code, failure.retryInMs);
    case "stopped":
      return { kind: "unreachable", reason: "stopped", retryAfterMs: null };
    case "timeout":
    case "lost":
    case "busy":
      return { kind: "transient", reason: failure.kind, retryAfterMs: null };
  }
}
