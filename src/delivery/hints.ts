// What an administrator can do about a paused app, by the provider's reason. Administrators do not know the
// providers' error words; these sentences go into the one log line that says an app is paused.
import type { Platform } from "../store/types.ts";
import type { Pause } from "./lane.ts";

// OpenSSL's words for a chain of certificates that ends at an authority that nobody named.
const UNTRUSTED = [
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
] as const;
const UNTRUSTED_HINT =
  "The certificate is not trusted: where a firewall, proxy or relay inspects TLS, name its authority in egress.ca_file.";

const HINTS: Readonly<Record<string, string>> = {
  BadCertificate: "The APNs certificate is not accepted: export it again from Apple's developer site.",
  BadCertificateEnvironment: "The APNs certificate is for the other environment: check apns.environment.",
  BadEnvironmentKeyIdInToken:
    "The APNs key is for the other environment: check apns.environment and apns.key.",
  BadTopic: "Check apns.topic: it must be the app's bundle id.",
  DeviceTokenNotForTopic: "Check apns.topic (or the app's id): the phones' tokens belong to another app.",
  ExpiredProviderToken: "Check this server's clock (NTP): Apple finds a fresh token too old.",
  Forbidden: "Apple refuses this credential: check apns.key or apns.certificate.",
  InvalidProviderToken:
    "Check apns.key: file, key_id and team_id must belong together and the key must not be revoked.",
  MissingProviderToken: "A key or certificate is needed: check apns.key and apns.certificate.",
  MissingTopic: "Check apns.topic.",
  TopicDisallowed: "This credential may not send to apns.topic: check the topic and the credential.",
  TooManyProviderTokenUpdates:
    "Apple saw too many new tokens for this key: another server may use the key too.",
  UnrelatedKeyIdInToken: "Another APNs key was used on this connection: check apns.key.key_id.",
  NOT_FOUND: "Check fcm.service_account (its project) and fcm.url: Google knows no such project.",
  PERMISSION_DENIED: "The service account may not send: give it the role Firebase Cloud Messaging API Admin.",
  IAM_PERMISSION_DENIED:
    "The service account may not send: give it the role Firebase Cloud Messaging API Admin.",
  SERVICE_DISABLED: "Switch on the Firebase Cloud Messaging API for the project in the Google Cloud console.",
  THIRD_PARTY_AUTH_ERROR: "The APNs credential stored at Firebase for this app is missing or wrong.",
  UNAUTHENTICATED: "Google refuses the access token: check fcm.service_account.",
  ACCESS_TOKEN_EXPIRED: "Google finds a fresh access token expired: check this server's clock (NTP).",
  ACCESS_TOKEN_SCOPE_INSUFFICIENT: "Google refuses the access token: check fcm.service_account.",
  ACCESS_TOKEN_TYPE_UNSUPPORTED:
    "Google refuses the access token: check fcm.service_account and fcm.token_url.",
  CREDENTIALS_MISSING: "Google sees no access token: check whether fcm.url leads to Google itself.",
  credential: "The credential could not be used at all: check its file.",
  invalid_grant:
    "Google refuses the service account's key: it may be revoked, or this server's clock may be wrong.",
  invalid_client: "Google does not know this service account: check fcm.service_account.",
  proxy_authentication:
    "The proxy wants a valid account (407): check egress.proxy_user, and that the proxy accepts Basic authentication.",
  proxy_refused:
    "The proxy forbids the way to the provider: its rules must allow CONNECT to that host and port.",
  proxy_cannot_reach:
    "The proxy answers, but cannot reach the provider: check the proxy's own way out and its DNS.",
  proxy_silent:
    "The proxy took the connection and did not answer: check the proxy, and whether it can reach the provider.",
  proxy_unreachable:
    "No HTTP proxy answers at egress.proxy: check its host, port and scheme, and the firewall.",
  proxy_certificate: "The proxy's own certificate is not trusted: name its authority in egress.ca_file.",
  no_http2:
    "Something before the provider does not speak HTTP/2: exempt the provider from inspection on the firewall or proxy.",
  ENOTFOUND:
    "The provider's name cannot be resolved: check this server's DNS, or name the proxy in egress.proxy.",
  ECONNREFUSED: "The connection is refused: check the firewall, and apns.url or fcm.url if they are set.",
  ETIMEDOUT:
    "No answer: check the firewall and the route; where only a proxy leads out, name it in egress.proxy.",
  ...Object.fromEntries(UNTRUSTED.map((code) => [code, UNTRUSTED_HINT])),
};

/** Reasons that a table knows, with what to do about each. */
export const REASON_HINTS: readonly (readonly [reason: string, hint: string])[] = Object.entries(HINTS);

/** Kinds of pauses that have a sentence of their own, whatever the reason. */
export const KINDS_OF_PAUSE: readonly (readonly [why: string, hint: string])[] = (
  ["trouble", "quota", "bad_tokens", "no_credential"] as const
).map((why) => [why, hintFor({ why, reason: "" })]);

/** What to do about a pause: the sentence for its reason, or for its kind where no table knows the reason. */
export function hintFor(pause: Pick<Pause, "why" | "reason">): string {
  switch (pause.why) {
    case "configuration":
      return known(pause.reason) ?? "Check this app's apns or fcm section.";
    case "unreachable":
      return (
        known(pause.reason) ??
        "Check the network, DNS, firewall and egress.ca_file; ringing goes on by itself as soon as it works."
      );
    case "trouble":
      return "The provider answers with trouble of its own; ringing goes on by itself.";
    case "quota":
      return "The project sends more than its quota; ringing goes on by itself.";
    case "no_credential":
      return "No credential is configured for this app and platform, but phones are registered for it: add its apns or fcm section and run `inboxbell reload`, or let the registrations fall idle.";
    case "bad_tokens":
      return "Too many tokens are refused to be true: check apns.environment (sandbox or production) or the service account's project. No phone is given up for it.";
  }
}

/** What to do when rings are due, no pause explains it, and none gets through. */
export function stallHint(platform: Platform): string {
  const provider = platform === "apns" ? "Apple" : "Google";
  return `See whether ${provider} reports an outage, and whether a firewall or proxy on the way holds connections without passing anything on; ringing goes on by itself as soon as it works. If neither is the case, please report this with the lines before it.`;
}

/** A reason as a metric label: known words only, so that no provider can invent time series. */
export function reasonLabel(reason: string): string {
  return known(reason) === undefined ? "other" : reason;
}

// The reason is the provider's text: a word like "constructor" must not find what every object has.
function known(reason: string): string | undefined {
  return Object.hasOwn(HINTS, reason) ? HINTS[reason] : undefined;
}
