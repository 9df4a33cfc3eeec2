// What Apple's answers mean: one table, without I/O. Apple Developer Documentation, "Handling notification
// responses from APNs"; where it is silent, the comments say why a row is as it is.
import { cleanReason, type Outcome } from "../outcome.ts";
import { parseRetryAfter } from "../retry-after.ts";

/** An answer as it came over the wire. */
export interface ApnsAnswer {
  readonly status: number;
  /** The JSON body's `reason`, or null. */
  readonly reason: string | null;
  /** The JSON body's `timestamp` (epoch milliseconds), only with 410. */
  readonly timestamp: number | null;
  readonly retryAfter: string | null;
}

export interface ApnsContext {
  /** When the registration was last renewed, epoch milliseconds. */
  readonly renewedAt: number;
  /** Epoch milliseconds. */
  readonly now: number;
}

type Rule = (reason: string, answer: ApnsAnswer, context: ApnsContext) => Outcome;

const configuration: Rule = (reason) => ({ kind: "configuration", reason, personal: false });
const bug: Rule = (reason) => ({ kind: "our_bug", reason });
const newConnection: Rule = (reason) => ({ kind: "new_connection", reason });
const transient: Rule = (reason, answer, { now }) => ({
  kind: "transient",
  reason,
  retryAfterMs: parseRetryAfter(answer.retryAfter, now),
});
const deviceSlow: Rule = (reason, answer, { now }) => ({
  kind: "device_slow",
  reason,
  retryAfterMs: parseRetryAfter(answer.retryAfter, now),
});

// Dead since `timestamp`. An app that registered again after that moment is alive, whatever this answer says;
// without a timestamp nothing is proven.
const gone: Rule = (reason, { timestamp }, { renewedAt }) =>
  timestamp !== null && timestamp > renewedAt
    ? { kind: "token_dead", reason }
    : { kind: "token_doubtful", reason };

/** What Apple answers for a reason that our own request caused. */
type OurMistake =
  | "400 BadCollapseId"
  | "400 BadExpirationDate"
  | "400 BadMessageId"
  | "400 BadPriority"
  | "400 DuplicateHeaders"
  | "400 InvalidPushType"
  | "400 MissingDeviceToken"
  | "400 PayloadEmpty"
  | "404 BadPath"
  | "405 MethodNotAllowed"
  | "413 PayloadTooLarge";

/** Every answer that Apple documents: a table without one of them does not compile. `*`: any other reason. */
export type ApnsCase =
  | `${200 | 400 | 403 | 404 | 405 | 410 | 413 | 429 | 500 | 503} *`
  | `400 ${"BadDeviceToken" | "DeviceTokenNotForTopic" | "MissingTopic" | "TopicDisallowed" | "BadTopic"}`
  | "400 IdleTimeout"
  | `403 ${"BadCertificate" | "BadCertificateEnvironment" | "BadEnvironmentKeyIdInToken" | "Forbidden"}`
  | `403 ${"InvalidProviderToken" | "MissingProviderToken" | "ExpiredProviderToken" | "UnrelatedKeyIdInToken"}`
  | `410 ${"Unregistered" | "ExpiredToken"}`
  | `429 ${"TooManyRequests" | "TooManyProviderTokenUpdates"}`
  | "500 InternalServerError"
  | `503 ${"ServiceUnavailable" | "Shutdown"}`
  | OurMistake;

/** Status and reason to meaning. */
export const APNS_TABLE: Readonly<Record<ApnsCase, Rule>> = {
  "200 *": () => ({ kind: "accepted" }),

  "400 BadDeviceToken": (reason) => ({ kind: "token_bad", reason }),
  // A foreign app's token causes it for one phone, a wrong topic for all.
  "400 DeviceTokenNotForTopic": (reason) => ({ kind: "configuration", reason, personal: true }),
  "400 MissingTopic": configuration,
  "400 TopicDisallowed": configuration,
  "400 BadTopic": configuration,
  "400 IdleTimeout": newConnection,
  "400 BadCollapseId": bug,
  "400 BadExpirationDate": bug,
  "400 BadMessageId": bug,
  "400 BadPriority": bug,
  "400 DuplicateHeaders": bug,
  "400 InvalidPushType": bug,
  "400 MissingDeviceToken": bug,
  "400 PayloadEmpty": bug,
  "400 *": bug,

  "403 InvalidProviderToken": configuration,
  "403 MissingProviderToken": configuration,
  "403 BadCertificate": configuration,
  "403 BadCertificateEnvironment": configuration,
  "403 BadEnvironmentKeyIdInToken": configuration,
  "403 Forbidden": configuration,
  "403 ExpiredProviderToken": (reason) => ({ kind: "refresh_auth", reason }),
  "403 UnrelatedKeyIdInToken": newConnection,
  // A new word for "you may not": pausing keeps everything, judging phones by it would not.
  "403 *": configuration,

  "404 BadPath": bug,
  "404 *": bug,
  "405 MethodNotAllowed": bug,
  "405 *": bug,

  "410 Unregistered": gone,
  "410 ExpiredToken": gone,
  "410 *": gone,

  "413 PayloadTooLarge": bug,
  "413 *": bug,

  "429 TooManyProviderTokenUpdates": (reason) => ({ kind: "auth_hold", reason }),
  "429 TooManyRequests": deviceSlow,
  "429 *": deviceSlow,

  "500 InternalServerError": transient,
  "500 *": transient,
  "503 ServiceUnavailable": transient,
  "503 Shutdown": newConnection,
  "503 *": transient,
};

// The same table for words that come over the wire.
const RULES: ReadonlyMap<string, Rule> = new Map(Object.entries(APNS_TABLE));

/** Classifies one answer. Statuses that Apple does not document: 5xx are trouble, 401 and 407 are configuration. */
export function classifyApns(answer: ApnsAnswer, context: ApnsContext): Outcome {
  const { status } = answer;
  const reason = cleanReason(answer.reason ?? `status_${status}`);
  const rule = RULES.get(`${status} ${reason}`) ?? RULES.get(`${status} *`) ?? undocumented(status);
  return rule(reason, answer, context);
}

// A proxy or gateway between Apple and us answers these.
function undocumented(status: number): Rule {
  if (status >= 500) return transient;
  if (status === 408 || status === 421) return newConnection;
  if (status === 401 || status === 407 || (status >= 300 && status < 400)) return configuration;
  return bug;
}

/** Reads an answer's body; anything but Apple's JSON gives nulls. */
export function parseApnsBody(body: string): { reason: string | null; timestamp: number | null } {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed !== "object" || parsed === null) return { reason: null, timestamp: null };
    const { reason, timestamp } = parsed as { reason?: unknown; timestamp?: unknown };
    return {
      reason: typeof reason === "string" ? reason : null,
      timestamp: typeof timestamp === "number" && Number.isFinite(timestamp) ? timestamp : null,
    };
  } catch {
    return { reason: null, timestamp: null };
  }
}
