// What an administrator can do about a paused app, by the provider's reason. Administrators do not know the
// providers' error words; these sentences go into the one log line that says an app is paused.
import type { Pause } from "./lane.ts";

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
};

/** What to do about a pause: the sentence for its reason, or for its kind where no table knows the reason. */
export function hintFor(pause: Pick<Pause, "why" | "reason">): string {
  switch (pause.why) {
    case "configuration":
      return known(pause.reason) ?? "Check this app's apns or fcm section.";
    case "unreachable":
      return "Check the network, DNS, firewall and egress.ca_file; ringing goes on by itself as soon as it works.";
    case "trouble":
      return "The provider answers with trouble of its own; ringing goes on by itself.";
    case "quota":
      return "The project sends more than its quota; ringing goes on by itself.";
    case "bad_tokens":
      return "Too many tokens are refused to be true: check apns.environment (sandbox or production) or the service account's project. No phone is given up for it.";
  }
}

/** A reason as a metric label: known words only, so that no provider can invent time series. */
export function reasonLabel(reason: string): string {
  return known(reason) === undefined ? "other" : reason;
}

// The reason is the provider's text: a word like "constructor" must not find what every object has.
function known(reason: string): string | undefined {
  return Object.hasOwn(HINTS, reason) ? HINTS[reason] : undefined;
}
