// What the values of the metrics' labels mean, and alerts worth having: written out in docs/metrics.md.

/** By label name, or by metric and label where a name means something of its own there: values with their meaning. */
export const LABEL_NOTES: Readonly<Record<string, string>> = {
  app: "the app's id in the configuration",
  provider: "`apns`, `fcm`",
  platform: "`apns`, `fcm`",
  status: "the HTTP status code",
  result:
    "`accepted` (rings or was noted), `heartbeat` (a StatusEvent), `duplicate` (Exchange repeated itself), `unknown` (a subscription that nobody registered), `malformed` (cannot be read; rings a wake-up), `refused` (the URL is none of this server's)",
  outcome:
    "`accepted`; `token_dead`, `token_bad`, `token_doubtful` (the phone); `configuration`, `auth_hold` (the credential); `device_slow`, `project_quota` (too much); `transient`, `unreachable` (the provider or the way to it); `our_bug`. [Delivery](delivery.md) has what follows from each",
  "subscriptions.state":
    "`expected` (Exchange was not heard yet), `live`, `silent` (no heartbeat for too long), `failed` (Exchange reported an error), `ended` (answered `Unsubscribe`)",
  "resubscribe_asks_total.state": "`silent`, `failed`, `ended`, `expected`, as of `inboxbell_subscriptions`",
  "provider_paused.reason":
    "the provider's reason, as in [errors](errors.md#reasons-in-the-log), `other` for one without a sentence of its own, or `unreachable`, `trouble`, `quota`, `bad_tokens`, `no_credential`",
  "credential_expiry_seconds.name":
    "`registration`, `exchange` (the listeners), `pair` (the link to the other node), `apns` and the app's id (a push certificate)",
  listener: "`registration`, `exchange`, `admin`",
  why: "`allow` (not in the allow list), `connections` and `address_connections` (too many), `rate`, `handshake` (no TLS, or the certificate is not trusted), `handshake_time`, `headers_time`, `body_time`, `answer_time`, `write_time` (too slow), `malformed`, `oversize`, `memory`, `proxy_protocol`",
  version: "the build's version",
  commit: "the build's commit",
};

/** The meaning of a metric's label; `metric` without the prefix. Undefined for one that nobody described. */
export function labelNote(metric: string, label: string): string | undefined {
  return LABEL_NOTES[`${metric}.${label}`] ?? LABEL_NOTES[label];
}

/** Alerting rules for Prometheus; severities and times are meant to be changed. */
export const ALERT_RULES = `groups:
  - name: inboxbell
    rules:
      - alert: InboxbellDown
        expr: absent(inboxbell_build_info)
        for: 2m
        labels: { severity: page }
        annotations:
          summary: No Inboxbell is scraped. Exchange repeats what it could not deliver for about 15 minutes.
      - alert: InboxbellAppPaused
        expr: max by (app, provider, reason) (inboxbell_provider_paused) == 1
        for: 5m
        labels: { severity: page }
        annotations:
          summary: "{{ $labels.app }} is not rung by {{ $labels.provider }} ({{ $labels.reason }}); inboxbell status says what to do."
      - alert: InboxbellRingsOverdue
        expr: inboxbell_owed_oldest_seconds > 900
        for: 5m
        labels: { severity: page }
        annotations:
          summary: A ring has been owed for more than a quarter of an hour.
      - alert: InboxbellExchangeSilent
        expr: sum(increase(inboxbell_notifications_total{result!="refused"}[1h])) == 0 and sum(inboxbell_subscriptions{state="live"}) > 0
        for: 15m
        labels: { severity: page }
        annotations:
          summary: Exchange has sent nothing for an hour, not even a heartbeat.
      - alert: InboxbellNodeAlone
        expr: inboxbell_pair_protected == 0
        for: 5m
        labels: { severity: ticket }
        annotations:
          summary: A node holds rows that the other one does not have; inboxbell pair status says why.
      - alert: InboxbellNoActiveNode
        expr: max(inboxbell_pair_role) == 0
        for: 1m
        labels: { severity: page }
        annotations:
          summary: Neither node rings; inboxbell pair status says why.
      - alert: InboxbellCertificateExpires
        expr: inboxbell_credential_expiry_seconds < 14 * 86400
        labels: { severity: ticket }
        annotations:
          summary: "The certificate {{ $labels.name }} expires within two weeks."
`;
