import { describe, expect, test } from "bun:test";
import { APNS_TABLE, classifyApns } from "../../src/delivery/apns/outcome.ts";
import { classifyFcm } from "../../src/delivery/fcm/outcome.ts";
import { hintFor, reasonLabel, stallHint } from "../../src/delivery/hints.ts";
import { type FcmReason, refusalAnswer, SHAPES } from "../../src/rehearsal/fcm/refusal.ts";

const fallback = hintFor({ why: "configuration", reason: "something new" });

/** Reasons for which an app's queue pauses until somebody repairs its configuration. */
function reasons(): string[] {
  const apns = Object.keys(APNS_TABLE).map((key) => {
    const [status = "", reason = ""] = key.split(" ");
    const answer = { status: Number(status), reason, timestamp: null, retryAfter: null };
    return { reason, outcome: classifyApns(answer, { renewedAt: 0, now: 0 }) };
  });
  const fcm = (Object.keys(SHAPES) as FcmReason[]).map((reason) => {
    const outcome = classifyFcm({ ...refusalAnswer(reason), retryAfter: null }, 0);
    return { reason: "reason" in outcome ? outcome.reason : "", outcome };
  });
  return [...apns, ...fcm]
    .filter(({ outcome }) => ["configuration", "auth_hold", "refresh_auth"].includes(outcome.kind))
    .map(({ reason }) => reason)
    .filter((reason) => reason !== "*");
}

describe("the line that says an app is paused", () => {
  test("says what to do, for every reason that the tables know", () => {
    expect(reasons().length).toBeGreaterThan(15);
    expect(reasons().filter((reason) => hintFor({ why: "configuration", reason }) === fallback)).toEqual([]);
  });

  test("says something for a reason that nobody knows, which makes no new time series", () => {
    expect(fallback).toContain("section");
    expect(reasonLabel("something new")).toBe("other");
    expect(reasonLabel("constructor")).toBe("other");
    expect(reasonLabel("BadTopic")).toBe("BadTopic");
  });

  test("says what to do about a proxy, and about a certificate that nobody knows", () => {
    for (const reason of ["proxy_authentication", "proxy_refused"]) {
      expect(hintFor({ why: "configuration", reason })).toContain("proxy");
    }
    const usual = hintFor({ why: "unreachable", reason: "something new" });
    for (const reason of ["proxy_cannot_reach", "proxy_silent", "proxy_unreachable", "proxy_certificate"]) {
      expect(hintFor({ why: "unreachable", reason })).toContain("proxy");
      expect(hintFor({ why: "unreachable", reason })).not.toBe(usual);
    }
    expect(hintFor({ why: "unreachable", reason: "SELF_SIGNED_CERT_IN_CHAIN" })).toContain("egress.ca_file");
    expect(reasonLabel("proxy_refused")).toBe("proxy_refused");
  });

  test("says how an app without a credential gets one", () => {
    expect(hintFor({ why: "no_credential", reason: "no_credential" })).toContain("inboxbell reload");
  });

  test("names the provider, and what may hold up rings, when they stand still for no known reason", () => {
    expect(stallHint("apns")).toContain("Apple");
    expect(stallHint("fcm")).toContain("Google");
    for (const platform of ["apns", "fcm"] as const)
      expect(stallHint(platform)).toContain("firewall or proxy");
  });

  test("says that nobody is given up when many tokens are refused", () => {
    expect(hintFor({ why: "bad_tokens", reason: "BadDeviceToken" })).toContain("apns.environment");
  });
});
