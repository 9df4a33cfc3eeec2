// The errors of the FCM HTTP v1 API in the shape in which Google sends them.

const FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest";
const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure";

interface Shape {
  readonly status: number;
  /** google.rpc code name. */
  readonly code: string;
  readonly message: string;
  readonly details: readonly Readonly<Record<string, unknown>>[];
  /** A correct sender never causes it, however it is configured. */
  readonly violation: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

const fcmError = (errorCode: string) => ({ "@type": FCM_ERROR, errorCode });
const serviceError = (reason: string) => ({ "@type": ERROR_INFO, reason, domain: "googleapis.com" });
const quota = (subject: string, description: string) => ({
  "@type": QUOTA_FAILURE,
  violations: [{ subject, description }],
});

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
    details: [
      fcmError("INVALID_ARGUMENT"),
      {
        "@type": BAD_REQUEST,
        fieldViolations: [{ field: "message.token", description: "Invalid registration token" }],
      },
    ],
    violation: false,
  },
  INVALID_ARGUMENT: {
    status: 400,
    code: "INVALID_ARGUMENT",
    message: "Request contains an invalid argument.",
    details: [fcmError("INVALID_ARGUMENT")],
    violation: true,
  },
  UNAUTHENTICATED: {
    status: 401,
    code: "UNAUTHENTICATED",
    message: "Request had invalid authentication credentials. Expected OAuth 2 access token.",
    details: [serviceError("ACCESS_TOKEN_TYPE_UNSUPPORTED")],
    violation: false,
    headers: { "www-authenticate": 'Bearer realm="https://accounts.google.com/"' },
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
    message: "Permission 'cloudmessaging.messages.create' denied on resource.",
    details: [serviceError("IAM_PERMISSION_DENIED")],
    violation: false,
  },
  SERVICE_DISABLED: {
    status: 403,
    code: "PERMISSION_DENIED",
    message: "Firebase Cloud Messaging API has not been used in this project before or it is disabled.",
    details: [serviceError("SERVICE_DISABLED")],
    violation: false,
  },
  PROJECT_QUOTA: {
    status: 429,
    code: "RESOURCE_EXHAUSTED",
    message: "Quota exceeded for quota metric 'Messages sent' and limit 'Messages sent per minute'.",
    details: [fcmError("QUOTA_EXCEEDED"), quota("project:simulated", "Message rate of the project exceeded")],
    violation: false,
    headers: { "retry-after": "60" },
  },
  DEVICE_QUOTA: {
    status: 429,
    code: "RESOURCE_EXHAUSTED",
    message: "Device message rate exceeded.",
    details: [fcmError("QUOTA_EXCEEDED"), quota("device:simulated", "Device message rate exceeded")],
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

/** Thrown by the checks: the message is refused. `fields` are the fields that an INVALID_ARGUMENT names. */
export class FcmRefusal extends Error {
  readonly reason: FcmReason;
  readonly fields: readonly { readonly field: string; readonly description: string }[];

  constructor(reason: FcmReason, fields: FcmRefusal["fields"] = []) {
    super(
      fields.map(({ field, description }) => `${field}: ${description}`).join("; ") || SHAPES[reason].message,
    );
    this.name = "FcmRefusal";
    this.reason = reason;
    this.fields = fields;
  }
}

/** Status, headers and body of a refusal. */
export function refusalAnswer(reason: FcmReason, fields: FcmRefusal["fields"] = []) {
  const shape: Shape = SHAPES[reason];
  const details =
    fields.length === 0
      ? shape.details
      : [...shape.details, { "@type": BAD_REQUEST, fieldViolations: fields }];
  return {
    status: shape.status,
    headers: { "content-type": "application/json; charset=UTF-8", ...shape.headers },
    body: JSON.stringify({
      error: { code: shape.status, message: shape.message, status: shape.code, details },
    }),
  };
}
