// The whole life of the appliance on one page: builds the parts, starts them in order, stops them in reverse.
import { existsSync } from "node:fs";
import { BUILD, TEST_HOOKS } from "./build-info.ts";
import type { Config, Secrets } from "./config/types.ts";
import { createDispatcher } from "./delivery/dispatcher.ts";
import { createSenders } from "./delivery/senders.ts";
import { BellError } from "./errors.ts";
import { createExchangeHandler } from "./exchange/listener.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "./keys/key-file.ts";
import { createKeyring } from "./keys/keyring.ts";
import type { Keyring } from "./keys/types.ts";
import { createListener, type Listener, type ListenerOptions } from "./net/listener.ts";
import { loadTls } from "./net/tls.ts";
import { createAdminHandler } from "./ops/admin.ts";
import { createControlServer } from "./ops/control.ts";
import { createGauges } from "./ops/gauges.ts";
import { answerHealth, type Check, HEALTH_PATHS } from "./ops/health.ts";
import type { Logger } from "./ops/log.ts";
import { createLoopLag } from "./ops/loop-lag.ts";
import { createMetrics } from "./ops/metrics.ts";
import type { NodeStatus } from "./ops/status.ts";
import { createStoreWatch } from "./ops/store-watch.ts";
import { createRegistrationHandler } from "./registration/handler.ts";
import { createStore, RESERVE_BYTES } from "./store/sqlite-store.ts";

export interface Appliance {
  /** The ports that the listeners got, by name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Stops accepting, lets what is in flight end for up to `graceMs`, and closes the database. */
  stop(graceMs: number): Promise<void>;
}

// Registrations fall idle by the day, so once an hour is soon enough. Milliseconds.
const SWEEP_MS = 3_600_000;

/**
 * Starts everything. If a part does not start, those before it are stopped again.
 * @throws BellError of the part that could not start
 */
export async function startAppliance(config: Config, secrets: Secrets, log: Logger): Promise<Appliance> {
  const now = Date.now;
  const monotonicNow = () => performance.now();
  const startedAt = monotonicNow();
  const metrics = createMetrics(BUILD);
  const watch = createStoreWatch(log, metrics, now);
  const keyring = openKeyring(config, log, now());
  const store = createStore({
    path: config.store.path,
    keyring,
    now,
    events: watch,
    reserveBytes: RESERVE_BYTES,
    synchronous: TEST_HOOKS && process.env.INBOXBELL_TEST_SYNCHRONOUS === "OFF" ? "OFF" : "FULL",
  });
  const senders = createSenders({ config, secrets, now, monotonicNow, random: Math.random });
  const dispatcher = createDispatcher({
    store,
    senders,
    keyring,
    log,
    metrics,
    now,
    monotonicNow,
    random: Math.random,
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
      name: "event loop",
      essential: false,
      look: () => ({ ok: lag.seconds < 1, detail: `${lag.seconds.toFixed(3)} s late` }),
    },
  ];
  const lag = createLoopLag(monotonicNow, (seconds) => metrics.eventLoopLagSeconds.set(seconds));
  const gauges = createGauges(metrics, () => store.counts(now()), now);

  const common: Pick<ListenerOptions, "healthPaths" | "healthHandler" | "log" | "metrics"> = {
    healthPaths: HEALTH_PATHS,
    healthHandler: ({ method, path, query }) =>
      answerHealth(method, path, query, checks, role) ?? { status: 404 },
    log,
    metrics,
  };
  const tls = (name: string, files: Config["listen"]["registration"]["tls"]) => {
    if (files === null) return null;
    const identity = loadTls(files, now());
    metrics.credentialExpirySeconds.set({ name }, (identity.expiresAt - now()) / 1000);
    return identity;
  };
  const { registration, exchange, admin } = config.listen;
  const listeners: readonly {
    readonly name: string;
    readonly address: string;
    readonly listener: Listener;
  }[] = [
    {
      name: "registration",
      address: registration.address,
      listener: createListener({
        ...common,
        ...registration,
        name: "registration",
        tls: tls("registration", registration.tls),
        handler: createRegistrationHandler({ store, keyring, config, secrets, log, metrics, now }),
      }),
    },
    {
      name: "exchange",
      address: exchange.address,
      listener: createListener({
        ...common,
        ...exchange,
        name: "exchange",
        tls: tls("exchange", exchange.tls),
        handler: createExchangeHandler({
          store,
          keyring,
          config: { sharedRoute: exchange.sharedRoute, unknownGraceMs: config.subscriptions.unknownGraceMs },
          log,
          metrics,
          now,
        }),
      }),
    },
    {
      name: "admin",
      address: admin.address,
      listener: createListener({
        ...common,
        ...admin,
        name: "admin",
        tls: null,
        allow: [],
        handler: createAdminHandler(metrics, gauges.refresh),
      }),
    },
  ];
  const ports: Record<string, number> = {};

  async function status(): Promise<NodeStatus> {
    const counts = await gauges.counts();
    const looked = checks.map((check) => ({ name: check.name, essential: check.essential, ...check.look() }));
    return {
      node: config.node,
      role: role(),
      ...BUILD,
      uptimeSeconds: Math.round((monotonicNow() - startedAt) / 1000),
      ready: looked.every((check) => check.ok || !check.essential),
      checks: looked.map(({ name, ok, detail }) => ({ name, ok, detail })),
      listeners: listeners.map(({ name, address, listener }) => ({
        name,
        address,
        port: ports[name] ?? 0,
        connections: listener.connections,
      })),
      registrations: counts.registrations,
      subscriptions: counts.subscriptions,
      owed: counts.owed,
      owedOldestSeconds: counts.owedOldestSince === null ? null : (now() - counts.owedOldestSince) / 1000,
      paused: dispatcher.paused(),
    };
  }
  const control = createControlServer(config.control.socket, { ping: () => "pong", status });

  let sweeper: ReturnType<typeof setInterval> | null = null;
  function sweep(): void {
    store
      .sweep(now(), config.retention.idleRegistrationMs)
      .then(
        (count) =>
          count > 0 && log.info({ count }, "Registrations fell idle: their apps did not renew them."),
      )
      .catch((error: unknown) =>
        log.warn({ reason: String(error) }, "Idle registrations could not be removed."),
      );
  }

  // What was started, to be stopped in reverse. Accepting comes last, so that nothing is answered by half a node.
  const started: ((graceMs: number) => Promise<void>)[] = [];
  async function stop(graceMs: number): Promise<void> {
    for (const stopPart of started.splice(0).reverse()) await stopPart(graceMs);
  }
  try {
    await store.start();
    started.push(() => store.stop());
    sweeper = setInterval(sweep, SWEEP_MS);
    lag.start();
    started.push(async () => {
      if (sweeper !== null) clearInterval(sweeper);
      lag.stop();
    });
    dispatcher.start();
    started.push((graceMs) => dispatcher.stop(graceMs));
    await control.start();
    started.push(() => control.stop());
    for (const { name, listener } of listeners) {
      ports[name] = (await listener.start()).port;
    }
    started.push(async (graceMs) => {
      await Promise.all(listeners.map(({ listener }) => listener.stop(graceMs)));
    });
  } catch (error) {
    await Promise.all(listeners.map(({ listener }) => listener.stop(0)));
    await stop(0);
    throw error;
  }
  sweep();
  log.info({ node: config.node, ...BUILD, ...ports }, "Ready.");
  return { ports, stop };
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
