import { describe, expect, test } from "bun:test";
import { APNS_TABLE, type ApnsAnswer, classifyApns, parseApnsBody } from "../../src/delivery/apns/outcome.ts";
import type { Outcome } from "../../src/delivery/outcome.ts";
import { REASONS } from "../../src/rehearsal/apns/refusal.ts";

const RENEWED_AT = 1_760_000_000_000;
const NOW = RENEWED_AT + 86_400_000;

function meaning(status: number, reason: string | null, more: Partial<ApnsAnswer> = {}): Outcome {
  return classifyApns(
    { status, reason, timestamp: null, retryAfter: null, ...more },
    { renewedAt: RENEWED_AT, now: NOW },
  );
}

const configuration = (reason: string): Outcome => ({ kind: "configuration", reason, personal: false });
const bug = (reason: string): Outcome => ({ kind: "our_bug", reason });
const transient = (reason: string): Outcome => ({ kind: "transient", reason, retryAfterMs: null });

/** `status reason` to meaning: Apple's whole table, and what a reason means that nobody knows yet. */
const TABLE: Readonly<Record<string, Outcome>> = {
  "200 *": { kind: "accepted" },
  "400 BadDeviceToken": { kind: "token_bad", reason: "BadDeviceToken" },
  "400 DeviceTokenNotForTopic": { kind: "configuration", reason: "DeviceTokenNotForTopic", personal: true },
  "400 MissingTopic": configuration("MissingTopic"),
  "400 TopicDisallowed": configuration("TopicDisallowed"),
  "400 BadTopic": configuration("BadTopic"),
  "400 IdleTimeout": { kind: "new_connection", reason: "IdleTimeout" },
  "400 BadCollapseId": bug("BadCollapseId"),
  "400 BadExpirationDate": bug("BadExpirationDate"),
  "400 BadMessageId": bug("BadMessageId"),
  "400 BadPriority": bug("BadPriority"),
  "400 DuplicateHeaders": bug("DuplicateHeaders"),
  "400 InvalidPushType": bug("InvalidPushType"),
  "400 MissingDeviceToken": bug("MissingDeviceToken"),
  "400 PayloadEmpty": bug("PayloadEmpty"),
  "400 BadPayload": bug("BadPayload"),
  "400 *": bug("SomethingNew"),
  "403 InvalidProviderToken": configuration("InvalidProviderToken"),
  "403 MissingProviderToken": configuration("MissingProviderToken"),
  "403 BadCertificate": configuration("BadCertificate"),
  "403 BadCertificateEnvironment": configuration("BadCertificateEnvironment"),
  "403 BadEnvironmentKeyIdInToken": configuration("BadEnvironmentKeyIdInToken"),
  "403 Forbidden": configuration("Forbidden"),
  "403 ExpiredProviderToken": { kind: "refresh_auth", reason: "ExpiredProviderToken" },
  "403 UnrelatedKeyIdInToken": { kind: "new_connection", reason: "UnrelatedKeyIdInToken" },
  "403 *": configuration("SomethingNew"),
  "404 BadPath": bug("BadPath"),
  "404 *": bug("SomethingNew"),
  "405 MethodNotAllowed": bug("MethodNotAllowed"),
  "405 *": bug("SomethingNew"),
  "410 Unregistered": { kind: "token_doubtful", reason: "Unregistered" },
  "410 ExpiredToken": { kind: "token_doubtful", reason: "ExpiredToken" },
  "410 *": { kind: "token_doubtful", reason: "SomethingNew" },
  "413 PayloadTooLarge": bug("PayloadTooLarge"),
  "413 *": bug("SomethingNew"),
  "429 TooManyProviderTokenUpdates": { kind: "auth_hold", reason: "TooManyProviderTokenUpdates" },
  "429 TooManyRequests": { kind: "device_slow", reason: "TooManyRequests", retryAfterMs: null },
  "429 *": { kind: "device_slow", reason: "SomethingNew", retryAfterMs: null },
  "500 InternalServerError": transient("InternalServerError"),
  "500 *": transient("SomethingNew"),
  "503 ServiceUnavailable": transient("ServiceUnavailable"),
  "503 Shutdown": { kind: "new_connection", reason: "Shutdown" },
  "503 *": transient("SomethingNew"),
};

describe("what Apple's answers mean", () => {
  for (const [key, expected] of Object.entries(TABLE)) {
    const [status = "", reason = ""] = key.split(" ");
    test(`${key} means ${expected.kind}`, () => {
      expect(meaning(Number(status), reason === "*" ? "SomethingNew" : reason)).toEqual(expected);
    });
  }

  test("every row of the product's table is tested", () => {
    expect(Object.keys(APNS_TABLE).filter((key) => TABLE[key] === undefined)).toEqual([]);
  });

  test("every reason that the simulated Apple knows is tested", () => {
    const known = Object.entries(REASONS).map(([reason, { status }]) => `${status} ${reason}`);
    expect(known.filter((key) => TABLE[key] === undefined)).toEqual([]);
  });

  test("a token is dead only if it died after the registration's last renewal", () => {
    for (const reason of ["Unregistered", "ExpiredToken"]) {
      expect(meaning(410, reason, { timestamp: RENEWED_AT + 1 })).toEqual({ kind: "token_dead", reason });
      for (const timestamp of [RENEWED_AT, RENEWED_AT - 1, 0]) {
        expect(meaning(410, reason, { timestamp })).toEqual({ kind: "token_doubtful", reason });
      }
    }
  });

  test("Retry-After is heard where trouble may pass", () => {
    for (const status of [429, 500, 503]) {
      expect(meaning(status, null, { retryAfter: "7" })).toMatchObject({ retryAfterMs: 7000 });
    }
  });

  test("a proxy's answers judge no phone", () => {
    for (const status of [301, 401, 407]) expect(meaning(status, null).kind).toBe("configuration");
    for (const status of [502, 504]) expect(meaning(status, null).kind).toBe("transient");
    for (const status of [408, 421]) expect(meaning(status, null).kind).toBe("new_connection");
    expect(meaning(418, null)).toEqual(bug("status_418"));
  });

  test("a reason made of anything is made safe for logs", () => {
    expect(meaning(400, `a b\n${"x".repeat(200)}`)).toMatchObject({ reason: `a_b_${"x".repeat(60)}` });
  });

  test("reads Apple's JSON and shrugs at everything else", () => {
    expect(parseApnsBody('{"reason":"Unregistered","timestamp":5}')).toEqual({
      reason: "Unregistered",
      timestamp: 5,
    });
    for (const body of ["", "null", "[]", "<html>", '{"reason":5,"timestamp":"x"}']) {
      expect(parseApnsBody(body)).toEqual({ reason: null, timestamp: null });
    }
  });
});
