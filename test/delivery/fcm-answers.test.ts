import { describe, expect, test } from "bun:test";
import { classifyFcm, FCM_TABLE, parseFcmFault } from "../../src/delivery/fcm/outcome.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { type FcmReason, refusalAnswer, SHAPES } from "../../src/rehearsal/fcm/refusal.ts";

const NOW = 1_760_000_000_000;
const FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest";

interface Fault {
  readonly status?: string;
  readonly message?: string;
  readonly fcm?: string;
  readonly info?: string;
  readonly violations?: readonly { readonly field: string; readonly description: string }[];
}

function body(code: number, fault: Fault): string {
  const details = [
    ...(fault.fcm === undefined ? [] : [{ "@type": FCM_ERROR, errorCode: fault.fcm }]),
    ...(fault.info === undefined ? [] : [{ "@type": ERROR_INFO, reason: fault.info }]),
    ...(fault.violations === undefined ? [] : [{ "@type": BAD_REQUEST, fieldViolations: fault.violations }]),
  ];
  return JSON.stringify({ error: { code, status: fault.status, message: fault.message ?? "", details } });
}

function meaning(status: number, fault: Fault, retryAfter: string | null = null): Outcome {
  return classifyFcm({ status, body: body(status, fault), retryAfter }, NOW);
}

const configuration = (reason: string): Outcome => ({ kind: "configuration", reason, personal: false });

interface Row {
  readonly fault: Fault;
  readonly means: Outcome;
}

/** By the row of the product's table that decides. */
const TABLE: Readonly<Record<string, Row>> = {
  "200 *": { fault: {}, means: { kind: "accepted" } },
  "400 INVALID_ARGUMENT": {
    fault: {
      status: "INVALID_ARGUMENT",
      fcm: "INVALID_ARGUMENT",
      message: "Request contains an invalid argument.",
    },
    means: { kind: "our_bug", reason: "INVALID_ARGUMENT" },
  },
  "400 *": {
    fault: { status: "FAILED_PRECONDITION" },
    means: { kind: "our_bug", reason: "FAILED_PRECONDITION" },
  },
  "401 THIRD_PARTY_AUTH_ERROR": {
    fault: { status: "UNAUTHENTICATED", fcm: "THIRD_PARTY_AUTH_ERROR" },
    means: configuration("THIRD_PARTY_AUTH_ERROR"),
  },
  "401 UNAUTHENTICATED": {
    fault: { status: "UNAUTHENTICATED" },
    means: { kind: "refresh_auth", reason: "UNAUTHENTICATED" },
  },
  "401 *": {
    fault: { status: "UNAUTHENTICATED", info: "ACCESS_TOKEN_EXPIRED" },
    means: { kind: "refresh_auth", reason: "ACCESS_TOKEN_EXPIRED" },
  },
  "403 SENDER_ID_MISMATCH": {
    fault: { status: "PERMISSION_DENIED", fcm: "SENDER_ID_MISMATCH" },
    means: { kind: "token_dead", reason: "SENDER_ID_MISMATCH" },
  },
  "403 PERMISSION_DENIED": {
    fault: { status: "PERMISSION_DENIED" },
    means: configuration("PERMISSION_DENIED"),
  },
  "403 SERVICE_DISABLED": {
    fault: { status: "PERMISSION_DENIED", info: "SERVICE_DISABLED" },
    means: configuration("SERVICE_DISABLED"),
  },
  "403 *": {
    fault: { status: "PERMISSION_DENIED", info: "IAM_PERMISSION_DENIED" },
    means: configuration("IAM_PERMISSION_DENIED"),
  },
  "404 UNREGISTERED": {
    fault: { status: "NOT_FOUND", fcm: "UNREGISTERED" },
    means: { kind: "token_dead", reason: "UNREGISTERED" },
  },
  "404 *": { fault: { status: "NOT_FOUND" }, means: configuration("NOT_FOUND") },
  "429 QUOTA_EXCEEDED": {
    fault: { status: "RESOURCE_EXHAUSTED", fcm: "QUOTA_EXCEEDED" },
    means: { kind: "project_quota", reason: "QUOTA_EXCEEDED", retryAfterMs: null },
  },
  "429 *": {
    fault: { status: "RESOURCE_EXHAUSTED", info: "RATE_LIMIT_EXCEEDED" },
    means: { kind: "project_quota", reason: "RATE_LIMIT_EXCEEDED", retryAfterMs: null },
  },
  "500 INTERNAL": {
    fault: { status: "INTERNAL", fcm: "INTERNAL" },
    means: { kind: "transient", reason: "INTERNAL", retryAfterMs: null },
  },
  "500 *": {
    fault: { status: "UNKNOWN" },
    means: { kind: "transient", reason: "UNKNOWN", retryAfterMs: null },
  },
  "503 UNAVAILABLE": {
    fault: { status: "UNAVAILABLE", fcm: "UNAVAILABLE" },
    means: { kind: "transient", reason: "UNAVAILABLE", retryAfterMs: null },
  },
  "503 *": {
    fault: {},
    means: { kind: "transient", reason: "status_503", retryAfterMs: null },
  },
};

/** What each error shape of the simulated Google means. */
const SHAPE_MEANS: Readonly<Record<FcmReason, Outcome["kind"]>> = {
  UNREGISTERED: "token_dead",
  SENDER_ID_MISMATCH: "token_dead",
  WRONG_PROJECT: "configuration",
  INVALID_TOKEN: "token_dead",
  INVALID_ARGUMENT: "our_bug",
  INVALID_JSON: "our_bug",
  CREDENTIALS_MISSING: "refresh_auth",
  SCOPE_INSUFFICIENT: "configuration",
  UNAUTHENTICATED: "refresh_auth",
  THIRD_PARTY_AUTH_ERROR: "configuration",
  PERMISSION_DENIED: "configuration",
  SERVICE_DISABLED: "configuration",
  PROJECT_QUOTA: "project_quota",
  DEVICE_QUOTA: "device_slow",
  INTERNAL: "transient",
  UNAVAILABLE: "transient",
};

describe("what Google's answers mean", () => {
  for (const [key, { fault, means }] of Object.entries(TABLE)) {
    test(`${key} means ${means.kind}`, () => {
      expect(meaning(Number(key.split(" ")[0]), fault)).toEqual(means);
    });
  }

  test("every row of the product's table is tested", () => {
    expect(Object.keys(FCM_TABLE).filter((key) => TABLE[key] === undefined)).toEqual([]);
  });

  for (const reason of Object.keys(SHAPES) as FcmReason[]) {
    test(`${reason} in Google's own shape means ${SHAPE_MEANS[reason]}`, () => {
      const answer = refusalAnswer(reason);
      expect(classifyFcm({ ...answer, retryAfter: null }, NOW).kind).toBe(SHAPE_MEANS[reason]);
    });
  }

  test("a bare 400 never ends a token, nor does a 404 or 403 that does not come from FCM itself", () => {
    expect(classifyFcm({ status: 400, body: "", retryAfter: null }, NOW).kind).toBe("our_bug");
    expect(meaning(400, { status: "INVALID_ARGUMENT" }).kind).toBe("our_bug");
    expect(classifyFcm({ status: 404, body: "<html>", retryAfter: null }, NOW).kind).toBe("configuration");
    expect(meaning(404, { status: "NOT_FOUND", info: "UNREGISTERED" }).kind).toBe("configuration");
    expect(meaning(403, { status: "PERMISSION_DENIED", info: "SENDER_ID_MISMATCH" }).kind).toBe(
      "configuration",
    );
  });

  test("INVALID_ARGUMENT ends a token only if the error says that the registration token is not valid", () => {
    const invalid = { status: "INVALID_ARGUMENT", fcm: "INVALID_ARGUMENT" };
    const message = "The registration token is not a valid FCM registration token";
    expect(meaning(400, { ...invalid, message }).kind).toBe("token_dead");
    const token = { field: "message.token", description: "Invalid registration token" };
    expect(meaning(400, { ...invalid, violations: [token] }).kind).toBe("token_dead");
    const ttl = { field: "message.android.ttl", description: "Invalid duration" };
    expect(meaning(400, { ...invalid, violations: [ttl] }).kind).toBe("our_bug");
    expect(meaning(400, { ...invalid, message, violations: [token, ttl] }).kind).toBe("our_bug");
  });

  test("Retry-After is heard in both forms", () => {
    const busy = { status: "UNAVAILABLE", fcm: "UNAVAILABLE" };
    expect(meaning(503, busy, "30")).toMatchObject({ retryAfterMs: 30_000 });
    const date = new Date(NOW + 45_000).toUTCString();
    expect(meaning(429, { fcm: "QUOTA_EXCEEDED" }, date)).toMatchObject({ retryAfterMs: 45_000 });
  });

  test("any body at all is read without a throw", () => {
    for (const text of [
      "",
      "null",
      "[1]",
      '"x"',
      '{"error":[]}',
      '{"error":{"details":[null,5,{"@type":7}]}}',
    ]) {
      expect(parseFcmFault(text)).toMatchObject({ fcm: null, info: null, message: "" });
    }
  });

  test("a proxy's answers judge no phone", () => {
    for (const status of [302, 407]) expect(meaning(status, {}).kind).toBe("configuration");
    for (const status of [408, 502, 504]) expect(meaning(status, {}).kind).toBe("transient");
    expect(meaning(413, {}).kind).toBe("our_bug");
  });
});
