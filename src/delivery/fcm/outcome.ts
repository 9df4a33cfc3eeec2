// What Google's answers mean: one table, without I/O. Firebase documentation, Cloud Messaging: "Error codes",
// "Throttling and quotas"; the shape of an error is google.rpc.Status with its details.
import { cleanReason, type Outcome } from "../outcome.ts";
import { parseRetryAfter } from "../retry-after.ts";

export interface FcmAnswer {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | null;
}

/** What is used of an error's body. */
export interface FcmFault {
  /** `errorCode` of the FcmError detail, or null without one. */
  readonly fcm: string | null;
  /** `error.status`, for example `NOT_FOUND`. */
  readonly status: string | null;
  /** `reason` of an ErrorInfo detail, for example `SERVICE_DISABLED`. */
  readonly info: string | null;
  readonly message: string;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  readonly quotas: readonly string[];
}

interface Case {
  readonly answer: FcmAnswer;
  readonly fault: FcmFault;
  readonly reason: string;
  readonly now: number;
}
type Rule = (given: Case) => Outcome;

const configuration: Rule = ({ reason }) => ({ kind: "configuration", reason, personal: false });
const bug: Rule = ({ reason }) => ({ kind: "our_bug", reason });
const dead: Rule = ({ reason }) => ({ kind: "token_dead", reason });
// Only FcmError speaks of the phone: the same word elsewhere in the answer proves nothing about it.
const deadByFcm: Rule = (given) => (given.fault.fcm === null ? configuration(given) : dead(given));
const refresh: Rule = ({ reason }) => ({ kind: "refresh_auth", reason });
const transient: Rule = ({ reason, answer, now }) => ({
  kind: "transient",
  reason,
  retryAfterMs: parseRetryAfter(answer.retryAfter, now),
});

// Deleting a token by a mere 400 is the classic mistake: it also comes for a payload of ours that is wrong.
const invalidArgument: Rule = (given) => (blamesToken(given.fault) ? dead(given) : bug(given));

const quota: Rule = ({ reason, fault, answer, now }) => ({
  kind: isDeviceQuota(fault) ? "device_slow" : "project_quota",
  reason,
  retryAfterMs: parseRetryAfter(answer.retryAfter, now),
});

/**
 * Every answer that Google documents: a table without one of them does not compile. The code is FcmError's, else
 * ErrorInfo's, else the status word; `*`: any other.
 */
export type FcmCase =
  | `${200 | 400 | 401 | 403 | 404 | 429 | 500 | 503} *`
  | "400 INVALID_ARGUMENT"
  | `401 ${"UNAUTHENTICATED" | "THIRD_PARTY_AUTH_ERROR"}`
  | `403 ${"SENDER_ID_MISMATCH" | "PERMISSION_DENIED" | "SERVICE_DISABLED"}`
  | "404 UNREGISTERED"
  | "429 QUOTA_EXCEEDED"
  | "500 INTERNAL"
  | "503 UNAVAILABLE";

/** Status and code to meaning. */
export const FCM_TABLE: Readonly<Record<FcmCase, Rule>> = {
  "200 *": () => ({ kind: "accepted" }),

  "400 INVALID_ARGUMENT": invalidArgument,
  "400 *": bug,

  "401 THIRD_PARTY_AUTH_ERROR": configuration,
  "401 UNAUTHENTICATED": refresh,
  // Whatever Google adds beside it: a new access token tells.
  "401 *": refresh,

  "403 SENDER_ID_MISMATCH": deadByFcm,
  "403 PERMISSION_DENIED": configuration,
  "403 SERVICE_DISABLED": configuration,
  "403 *": configuration,

  "404 UNREGISTERED": deadByFcm,
  // Without FcmError it is the project or the address that was not found, not the phone.
  "404 *": configuration,

  "429 QUOTA_EXCEEDED": quota,
  "429 *": quota,

  "500 INTERNAL": transient,
  "500 *": transient,
  "503 UNAVAILABLE": transient,
  "503 *": transient,
};

// The same table for words that come over the wire.
const RULES: ReadonlyMap<string, Rule> = new Map(Object.entries(FCM_TABLE));

/** @param now epoch milliseconds */
export function classifyFcm(answer: FcmAnswer, now: number): Outcome {
  const fault = parseFcmFault(answer.body);
  const word = fault.fcm ?? fault.info ?? fault.status;
  const reason = cleanReason(word ?? `status_${answer.status}`);
  const rule =
    RULES.get(`${answer.status} ${word ?? ""}`) ??
    RULES.get(`${answer.status} *`) ??
    undocumented(answer.status);
  return rule({ answer, fault, reason, now });
}

function undocumented(status: number): Rule {
  if (status >= 500 || status === 408) return transient;
  if (status === 407 || (status >= 300 && status < 400)) return configuration;
  return bug;
}

const TOKEN_TEXT = /registration[ -]token/i;
const INVALID_TEXT = /not (a )?valid|invalid|malformed/i;

/** Whether an INVALID_ARGUMENT says that the registration token itself is not valid. */
export function blamesToken(fault: FcmFault): boolean {
  // Where Google names the fields, they decide: a message may mention the token while another field is wrong.
  if (fault.violations.length > 0) {
    return fault.violations.every(
      ({ field, description }) => field === "message.token" || saysTokenInvalid(description),
    );
  }
  return saysTokenInvalid(fault.message);
}

function saysTokenInvalid(sentence: string): boolean {
  return TOKEN_TEXT.test(sentence) && INVALID_TEXT.test(sentence);
}

/** Whether a 429 is about one device; without a hint it is about the project. */
export function isDeviceQuota(fault: FcmFault): boolean {
  const texts = fault.quotas.length > 0 ? fault.quotas : [fault.message];
  return texts.some((text) => /device|registration[ -]token/i.test(text) && !/project/i.test(text));
}

/** Reads an error's body; anything but Google's JSON gives an empty fault. Never throws. */
export function parseFcmFault(body: string): FcmFault {
  const error = record(parseJson(body)?.error) ?? {};
  const details = Array.isArray(error.details) ? error.details.map(record).filter((d) => d !== null) : [];
  const ofType = (name: string) => details.filter((d) => text(d["@type"])?.endsWith(name) === true);
  const list = (value: unknown) => (Array.isArray(value) ? value.map(record).filter((v) => v !== null) : []);
  return {
    fcm: text(ofType("google.firebase.fcm.v1.FcmError")[0]?.errorCode),
    status: text(error.status),
    info: text(ofType("google.rpc.ErrorInfo")[0]?.reason),
    message: text(error.message) ?? "",
    violations: ofType("google.rpc.BadRequest").flatMap((detail) =>
      list(detail.fieldViolations).map((v) => ({
        field: text(v.field) ?? "",
        description: text(v.description) ?? "",
      })),
    ),
    quotas: ofType("google.rpc.QuotaFailure").flatMap((detail) =>
      list(detail.violations).map((v) => `${text(v.subject) ?? ""} ${text(v.description) ?? ""}`),
    ),
  };
}

function parseJson(body: string): Record<string, unknown> | null {
  try {
    return record(JSON.parse(body));
  } catch {
    return null;
  }
}

function record(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
