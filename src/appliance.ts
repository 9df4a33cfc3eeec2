// The whole life of the appliance on one page: builds the parts, starts them in order, stops them in reverse.
import { existsSync } from "node:fs";
import { BUILD, TEST_HOOKS } from "./build-info.ts";
import { type Comparison, compareSettings, type Settings } from "./config/change.ts";
import type { Config, Secrets } from "./config/types.ts";
import { createDispatcher } from "./delivery/dispatcher.ts";
import { createSenders } from "./delivery/senders.ts";
import { BellError } from "./errors.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "./keys/key-file.ts";
import { createKeyring } from "./keys/keyring.ts";
import type { Keyring } from "./keys/types.ts";
import { createListeners } from "./listeners.ts";
import { createClockWatch } from "./ops/clock-watch.ts";
import { type ControlHandler, createControlServer } from "./ops/control.ts";
import { createGauges } from "./ops/gauges.ts";
import { answerHealth, type Check } from "./ops/health.ts";
import { createIdleSweep } from "./ops/idle-sweep.ts";
import type { Logger } from "./ops/log.ts";
import { createLoopLag } from "./ops/loop-lag.ts";
import { createMetrics } from "./ops/metrics.ts";
import { createSelfCheck, selfCheckText } from "./ops/self-check.ts";
import type { NodeStatus } from "./ops/status.ts";
import { createStoreWatch } from "./ops/store-watch.ts";
import { createStore, RESERVE_BYTES } from "./store/sqlite-store.ts";
import { withDefect } from "./test-hooks.ts";

export interface Appliance {
  /** The ports that the listeners got, by name. */
  readonly ports: Readonly<Record<string, number>>;
  /**
   * Takes over a new configuration as far as a running node can, all of it or nothing.
   * @param secrets read for `config`; its certificates are read here
   * @returns what has changed, and what it runs with now
   * @throws BellError of a certificate or key that cannot be used; nothing has changed then
   */
  reload(config: Config, secrets: Secrets): Comparison;
  /** Stops accepting, lets what is in flight end for up to `graceMs`, and closes the database. */
  stop(graceMs: number): Promise<void>;
}

// How long a self-check waits for its commit, milliseconds.
const SELF_CHECK_MS = 2_000;

/**
 * Starts everything. If a part does not start, those before it are stopped again.
 * @param verbs that the control socket answers besides its own
 * @throws BellError of the part that could not start
 */
export async function startAppliance(
  config: Config,
  secrets: Secrets,
  log: Logger,
  verbs: Readonly<Record<string, ControlHandler>> = {},
): Promise<Appliance> {
  let settings: Settings = { config, secrets };
  const now = Date.now;
  const monotonicNow = () => performance.now();
  const startedAt = monotonicNow();
  const metrics = createMetrics(BUILD);
  const watch = createStoreWatch(log, metrics, now);
  const keyring = openKeyring(config, log, now());
  const sound = createStore({
    path: config.store.path,
    keyring,
    now,
    events: watch,
    reserveBytes: RESERVE_BYTES,
    mergeChangesMs: config.ringing.mergeChangesMs,
    synchronous: TEST_HOOKS && process.env.INBOXBELL_TEST_SYNCHRONOUS === "OFF" ? "OFF" : "FULL",
  });
  const store = TEST_HOOKS ? withDefect(sound, process.env.INBOXBELL_TEST_DEFECT) : sound;
  const clocks = { now, monotonicNow, random: Math.random };
  let senders = createSenders({ ...settings, ...clocks });
  const dispatcher = createDispatcher({
    store,
    senders,
    keyring,
    log,
    metrics,
    stalledAfterMs: config.ringing.stalledAfterMs,
    ...clocks,
  });
  store.onDue((news) => dispatcher.notify(news));

  const role = () => "active" as const;
  const checks: readonly Check[] = [
    watch.check,
    {
      name: "providers",
      // An outage at Apple or Google is no reason to restart a node or to take it out of a load balancer.
      essential: false,
      look: () => {
        const paused = dispatcher.paused();
        const names = paused.map((each) => `${each.app} on ${each.provider} (${each.reason})`);
        return {
          ok: paused.length === 0,
          detail: names.length === 0 ? "no app is paused" : `paused: ${names.join(", ")}`,
        };
      },
    },
    {
      name: "delivery",
      // Neither does a restart help when rings do not get through.
      essential: false,
      look: () => {
        const names = dispatcher.stalled().map((each) => `${each.app} on ${each.provider}`);
        return {
          ok: names.length === 0,
          detail:
            names.length === 0
              ? "no app's rings stand still"
              : `rings are due and none is accepted: ${names.join(", ")}`,
        };
      },
    },
    {
      name: "event loop",
      essential: false,
      look: () => ({ ok: lag.seconds < 1, detail: `${lag.seconds.toFixed(3)} s late` }),
    },
  ];
  const lag = createLoopLag(monotonicNow, (seconds) => metrics.eventLoopLagSeconds.set(seconds));
  const selfCheck = createSelfCheck({
    probe: () => store.probe(),
    loopLagMs: () => lag.seconds * 1000,
    dispatcher: dispatcher.signs,
    monotonicNow,
  });
  const gauges = createGauges(metrics, () => store.counts(now()), now);

  const listeners = createListeners({
    settings,
    store,
    keyring,
    log,
    metrics,
    health: ({ method, path, query }) => answerHealth(method, path, query, checks, role) ?? { status: 404 },
    refreshGauges: gauges.refresh,
    now,
  });

  async function status(): Promise<NodeStatus> {
    const counts = await gauges.counts();
    const looked = checks.map((check) => ({ name: check.name, essential: check.essential, ...check.look() }));
    const self = await selfCheck.check(SELF_CHECK_MS);
    return {
      node: config.node,
      role: role(),
      ...BUILD,
      uptimeSeconds: Math.round((monotonicNow() - startedAt) / 1000),
      ready: looked.every((check) => check.ok || !check.essential),
      checks: [
        ...looked.map(({ name, ok, detail }) => ({ name, ok, detail })),
        { name: "self-check", ok: self.ok, detail: selfCheckText(self) },
      ],
      listeners: listeners.status(),
      registrations: counts.registrations,
      subscriptions: counts.subscriptions,
      owed: counts.owed,
      owedOldestSeconds: counts.owedOldestSince === null ? null : (now() - counts.owedOldestSince) / 1000,
      paused: dispatcher.paused(),
    };
  }
  const control = createControlServer(
    config.control.socket,
    { ping: () => "pong", status, selfcheck: () => selfCheck.check(SELF_CHECK_MS), ...verbs },
    log,
  );

  const idle = createIdleSweep({
    sweep: () => store.sweep(now(), settings.config.retention.idleRegistrationMs),
    log,
    monotonicNow,
  });
  const clock = createClockWatch(now, monotonicNow, (deltaMs) => {
    log.warn({ seconds: deltaMs / 1000 }, "The clock was set; what waits is timed anew.");
    idle.clockJumped(deltaMs);
    store.clockJumped(deltaMs).then(dispatcher.lookAgain, (error: unknown) => {
      log.warn({ reason: String(error) }, "What waits could not be timed anew.");
    });
  });

  function reload(nextConfig: Config, nextSecrets: Secrets): Comparison {
    const compared = compareSettings(settings, { config: nextConfig, secrets: nextSecrets });
    const prepared = listeners.prepare(compared.settings, compared.changes);
    const nextSenders = createSenders({ ...compared.settings, ...clocks }, senders);
    // Everything that can fail is above.
    prepared.apply();
    dispatcher.replaceSenders(nextSenders);
    senders = nextSenders;
    settings = compared.settings;
    return { changes: prepared.changes, settings };
  }

  // What was started, to be stopped in reverse. Accepting comes last, so that nothing is answered by half a node.
  let ports: Readonly<Record<string, number>>;
  const started: ((graceMs: number) => Promise<void>)[] = [];
  async function stop(graceMs: number): Promise<void> {
    const until = monotonicNow() + graceMs;
    for (const stopPart of started.splice(0).reverse()) await stopPart(Math.max(0, until - monotonicNow()));
  }
  try {
    await store.start();
    started.push(() => store.stop());
    lag.start();
    clock.start();
    started.push(async () => {
      idle.stop();
      clock.stop();
      lag.stop();
    });
    dispatcher.start();
    started.push((graceMs) => dispatcher.stop(graceMs));
    await control.start();
    started.push(() => control.stop());
    ports = await listeners.start();
    // Half of the time at most is theirs: a slow client must not use up what rings in flight need.
    started.push((graceMs) => listeners.stop(graceMs / 2));
  } catch (error) {
    await stop(0);
    throw error;
  }
  idle.start();
  log.info({ node: config.node, ...BUILD, ...ports }, "Ready.");
  return { ports, reload, stop };
}

/** Reads the key file, or makes one when there is no database yet either. */
function openKeyring(config: Config, log: Logger, now: number): Keyring {
  const { file } = config.keys;
  if (existsSync(file)) return createKeyring(readKeyFile(file));
  if (existsSync(config.store.path)) {
    throw new BellError(
      "keys_missing",
      `There is a database (${config.store.path}) but no key file (${file}).`,
    );
  }
  const keys = generateKeys(now);
  writeKeyFile(file, keys);
  log.warn(
    { file },
    "Made a new key file. Back it up apart from the database: one is useless without the other.",
  );
  return createKeyring(keys);
}
