// Puts together what `status` and `healthcheck` are told of the running node.
import { BUILD } from "./build-info.ts";
import type { Settings } from "./config/change.ts";
import type { Dispatcher } from "./delivery/dispatcher.ts";
import type { Listeners } from "./listeners.ts";
import type { Counts } from "./ops/gauges.ts";
import { answerHealth, type Check, type Role } from "./ops/health.ts";
import type { Metrics } from "./ops/metrics.ts";
import { type SelfCheck, selfCheckText } from "./ops/self-check.ts";
import type { NodeStatus } from "./ops/status.ts";
import type { Platform } from "./store/types.ts";

// How long a self-check waits for its commit, milliseconds.
const SELF_CHECK_MS = 2_000;

export interface NodeStatusOptions {
  readonly node: string;
  readonly role: () => Role;
  readonly checks: readonly Check[];
  readonly selfCheck: SelfCheck;
  readonly counts: () => Promise<Counts>;
  readonly listeners: Pick<Listeners, "status" | "refresh">;
  readonly dispatcher: Pick<Dispatcher, "memory">;
  readonly metrics: Pick<Metrics, "notifications" | "credentialExpirySeconds">;
  readonly settings: () => Settings;
  /** When a subscription was heard last, epoch milliseconds; null if none was since the start. */
  readonly exchangeHeardAt: () => number | null;
  /** Null on a single node. */
  readonly pair: () => NonNullable<NodeStatus["pair"]> | null;
  /** Keys whose new value waits for a restart. */
  readonly needsRestart: () => readonly string[];
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Seconds since the start. */
  readonly uptimeSeconds: () => number;
}

export interface Health {
  readonly ready: boolean;
  /** Lines of what was looked at. */
  readonly detail: string;
}

/** The verbs of the control socket that tell how the node is. */
export function createNodeStatus(options: NodeStatusOptions) {
  const { role, checks, selfCheck, dispatcher, metrics, now } = options;
  const secondsSince = (at: number | null) => (at === null ? null : Math.max(0, now() - at) / 1000);

  async function certificates(): Promise<NodeStatus["certificates"]> {
    await options.listeners.refresh();
    const { values } = await metrics.credentialExpirySeconds.get();
    return values.map(({ labels, value }) => ({ name: String(labels.name), expiresInSeconds: value }));
  }

  /** Providers that something is configured for. */
  function providers(): readonly Platform[] {
    const { apps } = options.settings().config;
    return (["apns", "fcm"] as const).filter((platform) => apps.some((app) => app[platform] !== null));
  }

  return {
    selfcheck: () => selfCheck.check(SELF_CHECK_MS),

    async health(): Promise<Health> {
      const self = await selfCheck.check(SELF_CHECK_MS);
      const answer = answerHealth("GET", "/readyz", "verbose", checks, role);
      const mark = self.ok ? "ok  " : "FAIL";
      const detail = `${mark} self-check: ${selfCheckText(self)}\n${answer?.body.trimEnd() ?? ""}`;
      return { ready: self.ok && answer?.status === 200, detail };
    },

    async status(): Promise<NodeStatus> {
      const counts = await options.counts();
      const looked = checks.map(({ name, essential, look }) => ({ name, essential, ...look() }));
      const self = await selfCheck.check(SELF_CHECK_MS);
      const heard = await metrics.notifications.get();
      return {
        node: options.node,
        role: role(),
        ...BUILD,
        uptimeSeconds: Math.round(options.uptimeSeconds()),
        ready: looked.every((check) => check.ok || !check.essential),
        checks: [
          ...looked.map(({ name, ok, detail }) => ({ name, ok, detail })),
          { name: "self-check", ok: self.ok, detail: selfCheckText(self) },
        ],
        listeners: options.listeners.status(),
        certificates: await certificates(),
        registrations: counts.registrations,
        notRung: counts.notRung,
        subscriptions: counts.subscriptions,
        exchange: {
          // What was refused came from anybody.
          notifications: heard.values
            .filter(({ labels }) => labels.result !== "refused")
            .reduce((sum, { value }) => sum + value, 0),
          heardSecondsAgo: secondsSince(options.exchangeHeardAt()),
        },
        owed: counts.owed,
        owedOldestSeconds: secondsSince(counts.owedOldestSince),
        rings: dispatcher.memory.times(providers()).map(({ provider, triedAt, acceptedAt }) => ({
          provider,
          triedSecondsAgo: secondsSince(triedAt),
          acceptedSecondsAgo: secondsSince(acceptedAt),
        })),
        paused: dispatcher.memory
          .pauses()
          .map(({ since, ...pause }) => ({ ...pause, seconds: Math.max(0, now() - since) / 1000 })),
        pair: options.pair(),
        needsRestart: options.needsRestart(),
      };
    },
  };
}
