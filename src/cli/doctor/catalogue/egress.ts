// What can be wrong on the way out to Apple and Google, and in what they answer.
import type { Finding } from "./finding.ts";

export const EGRESS_FINDINGS = {
  dns_unresolved: {
    hop: "dns",
    level: "failure",
    cause: "A name on the way to Apple or Google cannot be resolved.",
    remedy: "Check /etc/resolv.conf; where only a proxy leads out, name it in egress.proxy.",
  },

  proxy_unreachable: {
    hop: "proxy",
    level: "failure",
    cause: "No HTTP proxy answers at egress.proxy.",
    remedy: "Check its host, port and scheme, and the firewall.",
  },
  proxy_authentication: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy wants a valid account (407).",
    remedy: "Check egress.proxy_user and its password file, and that the proxy accepts Basic authentication.",
  },
  proxy_refused: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy forbids the way to the provider.",
    remedy: "Its rules must allow CONNECT to that host and port.",
  },
  proxy_cannot_reach: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy answers, but cannot reach the provider.",
    remedy: "Check the proxy's own way out and its DNS.",
  },
  proxy_silent: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy takes the connection and does not answer.",
    remedy: "Check the proxy, and whether it can reach the provider.",
  },
  proxy_certificate: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy's own certificate is not trusted.",
    remedy: "Name its authority in egress.ca_file.",
  },
  egress_inspected: {
    hop: "proxy",
    level: "warning",
    cause:
      "A proxy or firewall inspects TLS on the way to the provider. It works, since its authority is in egress.ca_file; it reads device tokens.",
    remedy: "Exempt the provider's hosts from inspection; Apple and Google ask for that.",
  },
  egress_untrusted: {
    hop: "proxy",
    level: "failure",
    cause:
      "The certificate on the way to the provider is not trusted: a proxy or firewall inspects TLS, or the clock is wrong.",
    remedy:
      "Exempt the provider's hosts from inspection, or name the inspecting authority in egress.ca_file; compare the clock.",
  },
  egress_no_http2: {
    hop: "proxy",
    level: "failure",
    cause: "What answers in the provider's place does not speak HTTP/2.",
    remedy: "Exempt the provider from inspection on the firewall or proxy.",
  },

  apns_unreachable: {
    hop: "apns",
    level: "failure",
    cause: "No connection to Apple.",
    remedy:
      "Allow TCP to api.push.apple.com on port 443 (or 2197 with apns.port); where only a proxy leads out, name it in egress.proxy.",
  },
  apns_credential_refused: {
    hop: "apns",
    level: "failure",
    cause: "Apple refuses the credential.",
    remedy:
      "Check apns.key: file, key_id and team_id must belong together and the key must not be revoked; or the certificate.",
  },
  apns_wrong_environment: {
    hop: "apns",
    level: "failure",
    cause: "The credential is for Apple's other environment.",
    remedy: "Check apns.environment and the credential.",
  },
  apns_topic_refused: {
    hop: "apns",
    level: "failure",
    cause: "The credential may not send to the app's topic.",
    remedy:
      "Check the app's id or apns.topic: it must be an app of the team that the key or certificate is of.",
  },
  apns_trouble: {
    hop: "apns",
    level: "warning",
    cause: "Apple answers with trouble of its own, or is slow.",
    remedy: "Try again in a few minutes; look at Apple's system status page.",
  },
  apns_strange_answer: {
    hop: "apns",
    level: "failure",
    cause: "An invalid token was not answered with BadDeviceToken: what answers may not be Apple.",
    remedy: "Check apns.url and what lies between this node and Apple.",
  },

  fcm_unreachable: {
    hop: "fcm",
    level: "failure",
    cause: "No connection to Google, or to its token service.",
    remedy:
      "Allow TCP port 443 to fcm.googleapis.com and oauth2.googleapis.com; where only a proxy leads out, name it in egress.proxy.",
  },
  fcm_credential_refused: {
    hop: "fcm",
    level: "failure",
    cause: "Google refuses the service account's key.",
    remedy: "Make a new key for the service account and put its JSON file in place; compare the clock.",
  },
  fcm_not_permitted: {
    hop: "fcm",
    level: "failure",
    cause: "The service account may not send, or the project's API is switched off.",
    remedy:
      "Give it the role Firebase Cloud Messaging API Admin, and switch the API on in the Google Cloud console.",
  },
  fcm_wrong_project: {
    hop: "fcm",
    level: "failure",
    cause: "Google knows no such project at this address.",
    remedy: "Check fcm.service_account, its project, and fcm.url.",
  },
  fcm_trouble: {
    hop: "fcm",
    level: "warning",
    cause: "Google answers with trouble of its own, or is slow.",
    remedy: "Try again in a few minutes; look at the Firebase status page.",
  },
  fcm_strange_answer: {
    hop: "fcm",
    level: "failure",
    cause: "The dry run was not answered as Google answers it.",
    remedy: "Check fcm.url and what lies between this node and Google.",
  },
} as const satisfies Record<string, Finding>;
