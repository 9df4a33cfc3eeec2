// The reasons for which APNs refuses a push (Apple, "Handling notification responses from APNs"), with their
// status, and whose fault each is.

interface ReasonEntry {
  readonly status: number;
  /** A correct sender never causes it, however it is configured: it is written down as a violation. */
  readonly violation: boolean;
}

export const REASONS = {
  BadCollapseId: { status: 400, violation: true },
  BadDeviceToken: { status: 400, violation: false },
  BadExpirationDate: { status: 400, violation: true },
  BadMessageId: { status: 400, violation: true },
  BadPriority: { status: 400, violation: true },
  BadTopic: { status: 400, violation: true },
  DeviceTokenNotForTopic: { status: 400, violation: false },
  DuplicateHeaders: { status: 400, violation: true },
  IdleTimeout: { status: 400, violation: false },
  InvalidPushType: { status: 400, violation: true },
  MissingDeviceToken: { status: 400, violation: true },
  MissingTopic: { status: 400, violation: true },
  PayloadEmpty: { status: 400, violation: true },
  TopicDisallowed: { status: 400, violation: false },
  // Not in Apple's table: a malformed payload is mostly accepted there and silently never shown. Here it is
  // refused, since a rehearsal must not let it pass.
  BadPayload: { status: 400, violation: true },
  BadCertificate: { status: 403, violation: false },
  BadCertificateEnvironment: { status: 403, violation: false },
  BadEnvironmentKeyIdInToken: { status: 403, violation: false },
  ExpiredProviderToken: { status: 403, violation: false },
  Forbidden: { status: 403, violation: false },
  InvalidProviderToken: { status: 403, violation: false },
  MissingProviderToken: { status: 403, violation: false },
  UnrelatedKeyIdInToken: { status: 403, violation: true },
  BadPath: { status: 404, violation: true },
  MethodNotAllowed: { status: 405, violation: true },
  ExpiredToken: { status: 410, violation: false },
  Unregistered: { status: 410, violation: false },
  PayloadTooLarge: { status: 413, violation: true },
  TooManyProviderTokenUpdates: { status: 429, violation: true },
  TooManyRequests: { status: 429, violation: false },
  InternalServerError: { status: 500, violation: false },
  ServiceUnavailable: { status: 503, violation: false },
  Shutdown: { status: 503, violation: false },
} as const satisfies Record<string, ReasonEntry>;

export type ApnsReason = keyof typeof REASONS;

/** Thrown by the checks: the push is refused for `reason`; `message` says what exactly was wrong. */
export class ApnsRefusal extends Error {
  readonly reason: ApnsReason;
  /** Since when the token is dead, epoch milliseconds; answered with 410 only. */
  readonly timestampMs: number | undefined;

  constructor(reason: ApnsReason, detail: string, timestampMs?: number) {
    super(detail);
    this.name = "ApnsRefusal";
    this.reason = reason;
    this.timestampMs = timestampMs;
  }
}

/** The body of an error answer. */
export function reasonBody(reason: ApnsReason, timestampMs?: number): string {
  return JSON.stringify(timestampMs === undefined ? { reason } : { reason, timestamp: timestampMs });
}
