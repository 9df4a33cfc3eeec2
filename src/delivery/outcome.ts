// What a provider's answer means for a ring, in one vocabulary for both providers. The tables that map answers
// to it are in apns/outcome.ts and fcm/outcome.ts; what follows from it is decided in lane.ts and dispatcher.ts.

/** What the dispatcher acts on. `reason` is the provider's own word, for logs, `status` and `why`. */
export type Verdict =
  | { readonly kind: "accepted" }
  /** The app is gone from the device: rings and subscriptions end. */
  | { readonly kind: "token_dead"; readonly reason: string }
  /** The token is unusable as it stands: rings stop, nothing ends. */
  | { readonly kind: "token_bad"; readonly reason: string }
  /** Said to be dead, but renewed since, or without a time: a few more tries, then this ring is given up. */
  | { readonly kind: "token_doubtful"; readonly reason: string }
  /**
   * Credential, topic, project or address are wrong: the app's queue pauses, nothing is dropped.
   * `personal`: a single phone with a foreign token can cause it as well.
   */
  | { readonly kind: "configuration"; readonly reason: string; readonly personal: boolean }
  /** The provider takes no new provider token for a while: as a pause, with the last token kept. */
  | { readonly kind: "auth_hold"; readonly reason: string }
  /** A request that the provider will never take: this ring is given up, loudly. */
  | { readonly kind: "our_bug"; readonly reason: string }
  /** Too much for this one device. */
  | { readonly kind: "device_slow"; readonly reason: string; readonly retryAfterMs: number | null }
  /** Too much for the whole project: the whole sender waits. */
  | { readonly kind: "project_quota"; readonly reason: string; readonly retryAfterMs: number | null }
  /** The provider has trouble: try again with back-off. */
  | { readonly kind: "transient"; readonly reason: string; readonly retryAfterMs: number | null }
  /** No connection to the provider at all. */
  | { readonly kind: "unreachable"; readonly reason: string; readonly retryAfterMs: number | null };

/** One answer as classified. The last two are dealt with inside the sender, which then has a verdict. */
export type Outcome =
  | Verdict
  /** Get a new provider or access token, once, and send again. */
  | { readonly kind: "refresh_auth"; readonly reason: string }
  /** This connection is of no use any more: send again on another one. */
  | { readonly kind: "new_connection"; readonly reason: string };

export type VerdictKind = Verdict["kind"];

// Long enough for every reason in the providers' tables, short enough for a log line and a database column.
const REASON_CHARACTERS = 64;

/** A provider's own word made safe for logs and rows: printable ASCII without spaces, cut to 64 characters. */
export function cleanReason(reason: string): string {
  return reason.replace(/[^A-Za-z0-9_.:-]+/g, "_").slice(0, REASON_CHARACTERS);
}
