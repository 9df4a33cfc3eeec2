// The whole life of the appliance on one page: builds the parts, starts them in order, stops them in reverse.
import { createBackupVerbs } from "./backup/copies.ts";
import { BUILD, TEST_HOOKS } from "./build-info.ts";
import { type Comparison, compareSettings, type Settings, withRenewal } from "./config/change.ts";
import { readPairFiles } from "./config/pair-files.ts";
import type { Config, Secrets } from "./config/types.ts";
import { createDispatcher } from "./delivery/dispatcher.ts";
import { createSenders } from "./delivery/senders.ts";
import { ringsFor } from "./exchange/ring-folders.ts";
import { createWatcher } from "./exchange/watcher.ts";
import { createListeners } from "./listeners.ts";
import { createNodeStatus } from "./node-status.ts";
import { createClockWatch } from "./ops/clock-watch.ts";
import { type ControlHandler, createControlServer } from "./ops/control.ts";
import { createGauges } from "./ops/gauges.ts";
import { answerHealth, type Check } from "./ops/health.ts";
import { createIdleSweep } from "./ops/idle-sweep.ts";
import type { Logger } from "./ops/log.ts";
import { createLoopLag } from "./ops/loop-lag.ts";
import { createMetrics } from "./ops/metrics.ts";
import { createSelfCheck } from "./ops/self-check.ts";
import { createStoreWatch } from "./ops/store-watch.ts";
import { conditionOf, type NodeSigns } from "./ops/systemd.ts";
import { openKeyring } from "./own-keys.ts";
import { createPairing } from "./pairing.ts";
import { createPhoneVerbs } from "./phones/verbs.ts";
import { createPushCertificates } from "./push-certificates.ts";
import { spentKeptMs } from "./store/spent.ts";
import { createStore, RESERVE_BYTES } from "./store/sqlite-store.ts";
import {
  readDefects,
  withAnswerDefect,
  withClockDefect,
  withDefect,
  withDrainDefect,
  withEndDefect,
  withRingDefect,
} from "./test-hooks.ts";

const MINUTE_MS = 60_000;

export interface Appliance extends NodeSigns {
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
  // Before a key file is made: a node that has yet to join gets its keys from the other one.
  if (config.pair !== null) readPairFiles(config.pair.tls, config.node, process.env, now());
  const keyring = openKeyring(config, log, now());
  const sound = createStore({
    path: config.store.path,
    keyring,
    keyFile: config.keys.file,
    now,
    monotonicNow,
    events: {
      ...watch,
      failed(error, reserveGivenUp) {
        watch.failed(error, reserveGivenUp);
        pairing.commitsFail(true);
      },
      recovered() {
        watch.recovered();
        pairing.commitsFail(false);
      },
      restored(madeAt) {
        pairing.restored();
        log.warn(
          { backup: new Date(madeAt).toISOString() },
          "The database was restored from a backup: each phone is rung once more, spread over half an hour.",
        );
      },
      heardElsewhere(folder) {
        if (pairing.rings()) watcher.heard(folder, folder.serverMac);
      },
    },
    reserveBytes: RESERVE_BYTES,
    mergeChangesMs: config.ringing.mergeChangesMs,
    synchronous: TEST_HOOKS && process.env.INBOXBELL_TEST_SYNCHRONOUS === "OFF" ? "OFF" : "FULL",
  });
  const defects = readDefects(TEST_HOOKS ? process.env.INBOXBELL_TEST_DEFECT : undefined);
  const store = TEST_HOOKS ? withDefect(sound, defects) : sound;
  const clocks = { now, monotonicNow, random: Math.random };
  let senders = createSenders({ ...settings, ...clocks });
  const dispatcher = createDispatcher({
    store,
    senders,
    keyring,
    log,
    metrics,
    stalledAfterMs: config.ringing.stalledAfterMs,
    mayRing: TEST_HOOKS ? withRingDefect(() => pairing.rings(), defects) : () => pairing.rings(),
    ...clocks,
  });
  store.onDue((news) => dispatcher.notify(news));
  const pairing = await createPairing({
    config: config.pair,
    node: config.node,
    database: config.store.path,
    store,
    log,
    metrics,
    takeUp: dispatcher.takeUp,
    idle: TEST_HOOKS ? withDrainDefect(dispatcher.idle, defects) : dispatcher.idle,
    ...(TEST_HOOKS ? withClockDefect({ now, monotonicNow }, defects) : { now, monotonicNow }),
  });

  const { role } = pairing;
  const checks: readonly Check[] = [
    watch.check,
    ...pairing.checks,
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
  // When a subscription was heard last, epoch milliseconds.
  let exchangeHeardAt: number | null = null;
  const gauges = createGauges(metrics, () => store.counts(now()), now);

  const watcher = createWatcher({
    store,
    keyring,
    log,
    metrics,
    rings: (app, kind) => ringsFor(settings.config.apps, app, kind),
    ...clocks,
    listening: () => ({ active: pairing.rings(), alone: pairing.alone() }),
    canAnswer: () => watch.check.look().ok,
    timeScale: TEST_HOOKS ? MINUTE_MS / Number(process.env.INBOXBELL_TEST_MINUTE_MS ?? MINUTE_MS) : 1,
  });

  const listeners = createListeners({
    settings,
    watcher: {
      ...watcher,
      heard(folder, serverMac) {
        exchangeHeardAt = now();
        if (pairing.rings()) watcher.heard(folder, serverMac);
      },
    },
    store: TEST_HOOKS ? withAnswerDefect(pairing.store, store, defects) : pairing.store,
    keyring,
    log,
    metrics,
    health: ({ method, path, query }) => answerHealth(method, path, query, checks, role) ?? { status: 404 },
    serving: pairing.serving,
    mayEnd: TEST_HOOKS ? withEndDefect(pairing.mayEnd, defects) : pairing.mayEnd,
    mayLackRows: pairing.mayLackRows,
    async refreshGauges() {
      pairing.refresh();
      await gauges.refresh();
    },
    now,
  });

  let needsRestart: readonly string[] = [];
  const nodeStatus = createNodeStatus({
    node: config.node,
    role,
    checks,
    selfCheck,
    counts: gauges.counts,
    listeners,
    dispatcher,
    metrics,
    settings: () => settings,
    exchangeHeardAt: () => exchangeHeardAt,
    pair: pairing.summary,
    needsRestart: () => needsRestart,
    now,
    uptimeSeconds: () => (monotonicNow() - startedAt) / 1000,
  });
  const phoneVerbs = {
    ...createPhoneVerbs({
      store: pairing.store,
      keyring,
      dispatcher,
      settings: () => settings,
      role,
      log,
      now,
    }),
    ...createBackupVerbs({
      store,
      database: config.store.path,
      keyFile: config.keys.file,
      node: config.node,
      log,
      now,
    }),
  };
  const control = createControlServer(
    config.control.socket,
    { ping: () => "pong", ...nodeStatus, ...phoneVerbs, ...pairing.verbs, ...verbs },
    log,
  );

  const idle = createIdleSweep({
    // One node's verdict is enough: it reaches the other one as a row.
    sweep: async () =>
      // Nor while the other node may have renewals that this one has not: what falls idle here is forgotten here.
      pairing.rings() && !pairing.mayLackRows()
        ? await store.sweep(now(), settings.config.retention.idleRegistrationMs)
        : 0,
    // Each node its own.
    removeSpent: () => {
      const keptMs = spentKeptMs(settings.config.retention.idleRegistrationMs);
      return store.removeSpent({ until: now() - keptMs, seq: pairing.onAllNodesSeq() });
    },
    removeFormer: () => store.removeFormer({ seq: pairing.onAllNodesSeq(), peerFeed: pairing.peerFeed() }),
    log,
    monotonicNow,
  });
  const pushCertificates = createPushCertificates({ secrets: () => settings.secrets, log, metrics, now });
  const clock = createClockWatch(now, monotonicNow, (deltaMs) => {
    log.warn({ seconds: deltaMs / 1000 }, "The clock was set; what waits is timed anew.");
    idle.clockJumped(deltaMs);
    watcher.clockJumped(deltaMs);
    store.clockJumped().then(dispatcher.lookAgain, (error: unknown) => {
      log.warn({ reason: String(error) }, "What waits could not be timed anew.");
    });
  });

  function reload(nextConfig: Config, nextSecrets: Secrets): Comparison {
    const compared = compareSettings(settings, { config: nextConfig, secrets: nextSecrets });
    const renewal = pairing.renew(compared.settings.config.pair);
    const known = renewal.isRenewed
      ? withRenewal(compared.changes, "pair.tls.certificate")
      : compared.changes;
    const prepared = listeners.prepare(compared.settings, known);
    const nextSenders = createSenders({ ...compared.settings, ...clocks }, senders);
    // Everything that can fail is above.
    prepared.apply();
    renewal.apply();
    needsRestart = prepared.changes.flatMap(({ key, takes }) => (takes === "restart" ? [key] : []));
    dispatcher.replaceSenders(nextSenders);
    senders = nextSenders;
    settings = compared.settings;
    void pushCertificates.look();
    return { changes: prepared.changes, settings };
  }

  // What was started, to be stopped in reverse. Accepting comes last, so that nothing is answered by half a node.
  let ports: Readonly<Record<string, number>>;
  const started: ((graceMs: number) => Promise<void>)[] = [];
  async function stop(graceMs: number): Promise<void> {
    const until = monotonicNow() + graceMs;
    // First, and still answering: nobody is to find no active node.
    if (started.length > 0) await pairing.handOver(graceMs / 2);
    for (const stopPart of started.splice(0).reverse()) await stopPart(Math.max(0, until - monotonicNow()));
  }
  try {
    await store.start();
    started.push(() => store.stop());
    lag.start();
    clock.start();
    started.push(async () => {
      idle.stop();
      pushCertificates.stop();
      clock.stop();
      lag.stop();
    });
    const link = await pairing.start();
    started.push(() => pairing.stop());
    dispatcher.start();
    started.push((graceMs) => dispatcher.stop(graceMs));
    await control.start();
    started.push(() => control.stop());
    ports = { ...(await listeners.start()), ...link };
    // Half of the time at most is theirs: a slow client must not use up what rings in flight need.
    started.push((graceMs) => listeners.stop(graceMs / 2));
    watcher.start();
    started.push(() => watcher.stop());
  } catch (error) {
    await stop(0);
    throw error;
  }
  idle.start();
  pushCertificates.start();
  log.info({ node: config.node, ...BUILD, ...ports }, "Ready.");
  return {
    ports,
    reload,
    stop,
    condition: () => conditionOf(role(), checks),
    selfCheck: selfCheck.check,
  };
}
