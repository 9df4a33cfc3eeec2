// The metrics of the contract, in one place, so that a name is spelt once. Labels never carry anything personal.
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { addProcessMetrics } from "./process-metrics.ts";

export type NotificationResult = "accepted" | "heartbeat" | "duplicate" | "unknown" | "malformed" | "refused";

// Seconds. From a fifth of a millisecond (a fast disk) to a minute (a provider's outage).
const SECONDS = [
  0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
const ROWS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

export type Metrics = ReturnType<typeof createMetrics>;

/** Makes the metrics in a registry of their own, so that two appliances in one test do not meet. */
export function createMetrics(build: { readonly version: string; readonly commit: string }) {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: `inboxbell_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name: `inboxbell_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly L[] = [],
  ) => new Histogram({ name: `inboxbell_${name}`, help, buckets, labelNames, registers });

  const metrics = {
    registry,
    notifications: counter("notifications_total", "Notifications from Exchange, by what became of them.", [
      "result",
    ]),
    answers: counter("answers_total", "Answers given to Exchange, by HTTP status.", ["status"]),
    registrationAnswers: counter("registration_answers_total", "Answers given to phones, by HTTP status.", [
      "status",
    ]),
    rings: counter("rings_total", "Rings sent to a provider, by its answer.", ["app", "provider", "outcome"]),
    ringSeconds: histogram(
      "ring_seconds",
      "From the last byte of Exchange's POST to the provider's acceptance; rings that wait on purpose are not counted.",
      SECONDS,
      ["provider"],
    ),
    owed: gauge("owed", "Registrations that are owed a ring."),
    owedOldestSeconds: gauge("owed_oldest_seconds", "Age of the oldest thing owed."),
    registrations: gauge("registrations", "Registrations, without the deleted ones.", ["app", "platform"]),
    notRung: gauge(
      "registrations_not_rung",
      "Registrations that are not rung until they are renewed: the provider called their token dead or bad.",
    ),
    subscriptions: gauge("subscriptions", "Subscriptions by state.", ["state"]),
    commitSeconds: histogram("commit_seconds", "Duration of a group commit, fsync included.", SECONDS),
    commitRows: histogram("commit_rows", "Requests that shared one group commit.", ROWS),
    providerPaused: gauge("provider_paused", "1 while an app's queue is paused.", [
      "app",
      "provider",
      "reason",
    ]),
    deliveryStalled: gauge(
      "delivery_stalled",
      "1 while an app's rings are due and none is accepted, although nothing says why.",
      ["app", "provider"],
    ),
    credentialExpirySeconds: gauge("credential_expiry_seconds", "Time until a credential expires.", ["name"]),
    pairRole: gauge("pair_role", "1 on the active node and on a single one, 0 on the passive one."),
    pairConnected: gauge(
      "pair_connected",
      "1 while the link to the other node is up. Without a value on a single node.",
    ),
    pairProtected: gauge(
      "pair_protected",
      "1 while every row that an answer rests on is on both nodes. Without a value on a single node.",
    ),
    pairLagRows: gauge(
      "pair_lag_rows",
      "Rows of this node that the other one has not acknowledged. Without a value on a single node.",
    ),
    takeovers: counter("takeovers_total", "How often this node became the active one of two."),
    eventLoopLagSeconds: gauge("event_loop_lag_seconds", "How late the event loop's last timer was."),
    watermarkGaps: counter("watermark_gaps_total", "Notifications whose previous watermark did not fit."),
    resubscribeAsks: counter(
      "resubscribe_asks_total",
      "Folders about which phones were asked to subscribe again, by the state of the subscription.",
      ["state"],
    ),
    resubscribeGivenUp: counter(
      "resubscribe_given_up_total",
      "Folders about which phones are not asked any more: nobody subscribed again for many days.",
    ),
    exchangeServersSilent: gauge(
      "exchange_servers_silent",
      "Exchange servers on which many subscriptions fell silent within an hour.",
    ),
    keyUnknown: counter("key_unknown_total", "Capabilities signed with a key that this node does not have."),
    unpatchedExchange: counter(
      "exchange_authorization_total",
      "Requests from Exchange that carried credentials: a sign of an unpatched server (CVE-2018-8581).",
    ),
    connectionsRefused: counter(
      "connections_refused_total",
      "Connections closed by a limit or an allow list.",
      ["listener", "why"],
    ),
    buildInfo: gauge("build_info", "Version and commit of this build.", ["version", "commit"]),
  };
  metrics.buildInfo.set({ version: build.version, commit: build.commit }, 1);
  metrics.pairRole.set(1);
  // Zero would be an alarm.
  for (const gauge of [metrics.pairConnected, metrics.pairProtected, metrics.pairLagRows]) gauge.remove();
  addProcessMetrics(registry);
  return metrics;
}
