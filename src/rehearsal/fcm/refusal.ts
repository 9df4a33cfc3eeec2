// The errors of the FCM HTTP v1 API in the shape in which Google sends them: google.rpc.Status with details
// (Firebase documentation, Cloud Messaging, "Error codes"; REST reference, ErrorCode).

const FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest";
const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure";
const REALM = 'Bearer realm="https://accounts.google.com/"';

interface Shape {
  readonly status: number;
  /** google.rpc code name. */
  readonly code: string;
  readonly message: string;
  readonly details: readonly Readonly<Record<string, unknown>>[];
  /** A correct sender never causes it, however it is configured: it is written down as a violation. */
  readonly violation: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

const fcmError = (errorCode: string) => ({ "@type": FCM_ERROR, errorCode });
const errorInfo = (reason: string, metadata: Readonly<Record<string, string>>) => ({
  "@type": ERROR_INFO,
  reason,
  domain: "googleapis.com",
  metadata,
});
const SERVICE = { service: "fcm.googleapis.com" };

export const SHAPES = {
  UNREGISTERED: {
    status: 404,
    code: "NOT_FOUND",
    message: "Requested entity was not found.",
    details: [fcmError("UNREGISTERED")],
    violation: false,
  },
  SENDER_ID_MISMATCH: {
    status: 403,
    code: "PERMISSION_DENIED",
    message: "SenderId mismatch",
    details: [fcmError("SENDER_ID_MISMATCH")],
    violation: false,
  },
  /** The project, not the token: there is no FcmError. */
  WRONG_PROJECT: {
    status: 404,
    code: "NOT_FOUND",
    message: "Requested entity was not found.",
    details: [],
    violation: false,
  },
  INVALID_TOKEN: {
    status: 400,
    code: "INVALID_ARGUMENT",
    message: "The registration token is not a valid FCM registration token",
    details: [fcmError("INVALID_ARGUMENT")],
    violation: false,
  },
  /** FCM itself does not like a field. */
  INVALID_ARGUMENT: {
    status: 400,
    code: "INVALID_ARGUMENT",
    message: "Request contains an invalid argument.",
    details: [fcmError("INVALID_ARGUMENT")],
    violation: true,
  },
  /** Google's front end cannot read the JSON as a message: FCM was not asked, so there is no FcmError. */
  INVALID_JSON: {
    status: 400,
    code: "INVALID_ARGUMENT",
    message: "Invalid JSON payload received.",
    details: [],
    violation: true,
  },
  UNAUTHENTICATED: {
    status: 401,
    code: "UNAUTHENTICATED",
    message:
      "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
    details: [errorInfo("ACCESS_TOKEN_EXPIRED", SERVICE)],
    violation: false,
    headers: { "www-authenticate": `${REALM}, error="invalid_token"` },
  },
  CREDENTIALS_MISSING: {
    status: 401,
    code: "UNAUTHENTICATED",
    message: "Request is missing required authentication credential.",
    details: [errorInfo("CREDENTIALS_MISSING", SERVICE)],
    violation: true,
    headers: { "www-authenticate": REALM },
  },
  SCOPE_INSUFFICIENT: {
    status: 403,
    code: "PERMISSION_DENIED",
    message: "Request had insufficient authentication scopes.",
    details: [errorInfo("ACCESS_TOKEN_SCOPE_INSUFFICIENT", SERVICE)],
    violation: true,
    headers: { "www-authenticate": `${REALM}, error="insufficient_scope"` },
  },
  THIRD_PARTY_AUTH_ERROR: {
    status: 401,
    code: "UNAUTHENTICATED",
    message: "Auth error from APNS or Web Push Service",
    details: [fcmError("THIRD_PARTY_AUTH_ERROR")],
    violation: false,
  },
  PERMISSION_DENIED: {
    status: 403,
    code: "PERMISSION_DENIED",
    message: "Permission 'cloudmessaging.messages.create' denied on resource (or it may not exist).",
    details: [errorInfo("IAM_PERMISSION_DENIED", { permission: "cloudmessaging.messages.create" })],
    violation: false,
  },
  SERVICE_DISABLED: {
    status: 403,
    code: "PERMISSION_DENIED",
    message: "Firebase Cloud Messaging API has not been used in this project before or it is disabled.",
    details: [errorInfo("SERVICE_DISABLED", SERVICE)],
    violation: false,
  },
  // As a sender showed it (firebase/firebase-admin-go, issue 719): the front end counts the project's requests,
  // and its answer has no FcmError.
  PROJECT_QUOTA: {
    status: 429,
    code: "RESOURCE_EXHAUSTED",
    message:
      "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service 'fcm.googleapis.com'.",
    details: [
      errorInfo("RATE_LIMIT_EXCEEDED", {
        ...SERVICE,
        quota_metric: "fcm.googleapis.com/send_requests",
        quota_limit: "SendsPerMinutePerProject",
        quota_unit: "1/min/{project}",
      }),
    ],
    violation: false,
    headers: { "retry-after": "60" },
  },
  DEVICE_QUOTA: {
    status: 429,
    code: "RESOURCE_EXHAUSTED",
    message: "Message rate quota for the device exceeded.",
    details: [
      fcmError("QUOTA_EXCEEDED"),
      {
        "@type": QUOTA_FAILURE,
        violations: [{ subject: "device", description: "Device message rate exceeded" }],
      },
    ],
    violation: false,
    headers: { "retry-after": "60" },
  },
  INTERNAL: {
    status: 500,
    code: "INTERNAL",
    message: "Internal error encountered.",
    details: [fcmError("INTERNAL")],
    violation: false,
  },
  UNAVAILABLE: {
    status: 503,
    code: "UNAVAILABLE",
    message: "The service is currently unavailable.",
    details: [fcmError("UNAVAILABLE")],
    violation: false,
    headers: { "retry-after": "10" },
  },
} as const satisfies Record<string, Shape>;

export type FcmReason = keyof typeof SHAPES;

/** A field that an answer complains about, as google.rpc.BadRequest names it. */
export interface FieldFault {
  readonly field: string;
  readonly description: string;
}

/** Thrown by the checks: the message is refused. `fields` are the fields that the answer names. */
export class FcmRefusal extends Error {
  readonly reason: FcmReason;
  readonly fields: readonly FieldFault[];

  constructor(reason: FcmReason, fields: readonly FieldFault[] = []) {
    super(fields.map(({ description }) => description).join("\n") || SHAPES[reason].message);
    this.name = "FcmRefusal";
    this.reason = reason;
    this.fields = fields;
  }
}

/** Status, headers and body of a refusal. */
export function refusalAnswer(reason: FcmReason, fields: readonly FieldFault[] = []) {
  const shape: Shape = SHAPES[reason];
  const named = fields.length > 0;
  const details = named
    ? [...shape.details, { "@type": BAD_REQUEST, fieldViolations: fields }]
    : shape.details;
  const message = named ? fields.map(({ description }) => description).join("\n") : shape.message;
  return {
    status: shape.status,
    headers: { "content-type": "application/json; charset=UTF-8", ...shape.headers },
    body: JSON.stringify({
      error: {
        code: shape.status,
        message,
        status: shape.code,
        ...(details.length === 0 ? {} : { details }),
      },
    }),
  };
}
