// What a provider's verdict on a push to nobody means for an administrator. Pure.
import { hintFor } from "../../delivery/hints.ts";
import type { Outcome } from "../../delivery/outcome.ts";
import { type FindingCode, found, good, type Result } from "./findings.ts";

// Words for what failed on the way, the same for both providers.
const WAYS: ReadonlyMap<string, FindingCode> = new Map<string, FindingCode>([
  ["proxy_unreachable", "proxy_unreachable"],
  ["proxy_authentication", "proxy_authentication"],
  ["proxy_refused", "proxy_refused"],
  ["proxy_cannot_reach", "proxy_cannot_reach"],
  ["proxy_silent", "proxy_silent"],
  ["proxy_certificate", "proxy_certificate"],
  ["no_http2", "egress_no_http2"],
  ["ENOTFOUND", "dns_unresolved"],
  ["EAI_AGAIN", "dns_unresolved"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "egress_untrusted"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "egress_untrusted"],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "egress_untrusted"],
  ["UNABLE_TO_GET_ISSUER_CERT", "egress_untrusted"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "egress_untrusted"],
  ["CERT_NOT_YET_VALID", "egress_untrusted"],
  ["CERT_HAS_EXPIRED", "egress_untrusted"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "egress_untrusted"],
]);

const APNS_ENVIRONMENT: ReadonlySet<string> = new Set([
  "BadCertificateEnvironment",
  "BadEnvironmentKeyIdInToken",
]);
const APNS_TOPIC: ReadonlySet<string> = new Set(["BadTopic", "MissingTopic", "TopicDisallowed"]);

/** @param subject app and address */
export function judgeApns(subject: string, verdict: Outcome): Result {
  switch (verdict.kind) {
    case "token_bad":
      return good(
        "apns",
        subject,
        "Apple takes the credential: a push to nobody's token comes back BadDeviceToken",
      );
    case "configuration":
      return configuration(subject, verdict.reason, apnsCode);
    case "unreachable":
      return unreachable(subject, verdict.reason, "apns_unreachable");
    case "auth_hold":
    case "transient":
    case "device_slow":
    case "project_quota":
      return found("apns_trouble", subject, `the answer is ${verdict.reason}`);
    case "accepted":
      return found("apns_strange_answer", subject, "a push to nobody's token was accepted");
    case "token_dead":
    case "token_doubtful":
    case "our_bug":
    case "refresh_auth":
    case "new_connection":
      return found("apns_strange_answer", subject, `a push to nobody's token is answered ${verdict.reason}`);
  }
}

function apnsCode(reason: string): FindingCode {
  // The token is nobody's, so it can be no other app's: Apple looked at the credential before.
  if (APNS_TOPIC.has(reason) || reason === "DeviceTokenNotForTopic") return "apns_topic_refused";
  return APNS_ENVIRONMENT.has(reason) ? "apns_wrong_environment" : "apns_credential_refused";
}

/** `token_refused`: Google's token service refuses the service account. */
export function judgeFcm(
  subject: string,
  outcome: Outcome | { readonly kind: "token_refused"; readonly reason: string },
): Result {
  switch (outcome.kind) {
    case "accepted":
    case "token_dead":
      return good(
        "fcm",
        subject,
        "Google takes the service account: the dry run gets as far as the device token",
      );
    case "token_refused":
      return configuration(subject, outcome.reason, () => "fcm_credential_refused");
    case "configuration":
      return configuration(subject, outcome.reason, fcmCode);
    case "refresh_auth":
      return found("fcm_credential_refused", subject, `a fresh access token is answered ${outcome.reason}`);
    case "unreachable":
      return unreachable(subject, outcome.reason, "fcm_unreachable");
    case "transient":
    case "device_slow":
    case "project_quota":
    case "auth_hold":
    case "new_connection":
      return found("fcm_trouble", subject, `the answer is ${outcome.reason}`);
    case "token_bad":
    case "token_doubtful":
    case "our_bug":
      return found("fcm_strange_answer", subject, `the dry run is answered ${outcome.reason}`);
  }
}

function fcmCode(reason: string): FindingCode {
  if (reason === "NOT_FOUND" || reason === "status_404") return "fcm_wrong_project";
  if (/PERMISSION_DENIED|SERVICE_DISABLED/.test(reason)) return "fcm_not_permitted";
  return "fcm_credential_refused";
}

function configuration(subject: string, reason: string, codeOf: (reason: string) => FindingCode): Result {
  const onTheWay = WAYS.get(reason);
  const seen = onTheWay === undefined ? `refused: ${reason}` : `no connection: ${reason}`;
  return found(onTheWay ?? codeOf(reason), subject, seen, hintFor({ why: "configuration", reason }));
}

function unreachable(subject: string, reason: string, code: FindingCode): Result {
  const onTheWay = WAYS.get(reason);
  const seen = `no connection: ${reason}`;
  return found(
    onTheWay ?? code,
    subject,
    seen,
    onTheWay === "egress_untrusted" ? undefined : hintFor({ why: "unreachable", reason }),
  );
}
