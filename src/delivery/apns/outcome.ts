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

/** Status and reason to meaning; `*` stands for every reason that is not named. */
export const APNS_TABLE: Readonly<Record<string, Rule>> = {
  "200 *": () => ({ kind: "accepted" }),

  "400 BadDeviceToken": (reason) => ({ kind: "token_bad", reason }),
  // A foreign app's token causes it for one phone, a wrong topic for all.
  "400 DeviceTokenNotForTopic": (reason) => ({ kind: "configuration", reason, personal: true }),
  "400 MissingTopic": configuration,
  "400 TopicDisallowed": configuration,
  "400 BadTopic": configuration,
  "400 IdleTimeout": newConnection,
  // The payload, an identifier, a date, a priority, the push type, duplicate headers: all of our making.
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

  "404 *": bug,
  "405 *": bug,
  "410 *": gone,
  "413 *": bug,

  "429 TooManyProviderTokenUpdates": (reason) => ({ kind: "auth_hold", reason }),
  "429 *": deviceSlow,

  "503 Shutdown": newConnection,
  "500 *": transient,
  "503 *": transient,
};

/** Classifies one answer. Statuses that Apple does not document: 5xx are trouble, 401 and 407 are configuration. */
export function classifyApns(answer: ApnsAnswer, context: ApnsContext): Outcome {
  const { status } = answer;
  const reason = cleanReason(answer.reason ?? `status_${status}`);
  const rule = APNS_TABLE[`${status} ${reason}`] ?? APNS_TABLE[`${status} *`] ?? undocumented(status);
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
