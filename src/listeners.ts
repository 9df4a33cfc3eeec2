// The appliance's three listeners: their certificates, handlers and allow lists, at the start and at a reload.
import { isDeepStrictEqual } from "node:util";
import { type Change, type Settings, withRenewal } from "./config/change.ts";
import type { Config, TlsFiles } from "./config/types.ts";
import { BellError } from "./errors.ts";
import { createExchangeHandler } from "./exchange/listener.ts";
import { type RingsFor, ringsFor } from "./exchange/ring-folders.ts";
import type { Watcher } from "./exchange/watcher.ts";
import type { Keyring } from "./keys/types.ts";
import { createCertificateWatch } from "./net/certificate-watch.ts";
import { createExpiryNotices } from "./net/expiry-notice.ts";
import { createListener } from "./net/listener.ts";
import type { RequestRate } from "./net/request-rate.ts";
import { loadTls, type TlsIdentity } from "./net/tls.ts";
import type { RequestHandler } from "./net/types.ts";
import { createAdminHandler } from "./ops/admin.ts";
import { HEALTH_PATHS } from "./ops/health.ts";
import type { Logger } from "./ops/log.ts";
import type { Metrics } from "./ops/metrics.ts";
import type { NodeStatus } from "./ops/status.ts";
import { createRegistrationHandler } from "./registration/handler.ts";
import { refusalAnswer } from "./registration/refusal.ts";
import type { Store } from "./store/types.ts";

export interface ListenersOptions {
  readonly settings: Settings;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly watcher: Pick<Watcher, "heard" | "mayAsk" | "asked">;
  readonly health: RequestHandler;
  /** False while this node has to leave the answers to another one. */
  readonly serving: () => boolean;
  /** Whether this node may say that a subscription has ended. */
  readonly mayEnd: () => boolean;
  /** Whether another node may have registered phones that this one does not know yet. */
  readonly mayLackRows: () => boolean;
  /** Brings the gauges up to date before they are read. */
  readonly refreshGauges: () => Promise<void>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export interface Listeners {
  /** Begins to listen on all of them; gives the ports that they got, by name. If one cannot, none does. */
  start(): Promise<Readonly<Record<string, number>>>;
  /** Accepts no more, lets what is in flight end for up to `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** Brings the gauges up to date, those of the store and of the certificates. */
  refresh(): Promise<void>;
  /**
   * Reads the certificates of these settings and makes ready for them. Nothing changes before `apply`.
   * @param changes what is known to change already
   * @throws BellError of the file that cannot be used
   */
  prepare(settings: Settings, changes: readonly Change[]): Prepared;
  status(): NodeStatus["listeners"];
}

export interface Prepared {
  /** `changes`, and the certificates that were renewed. */
  readonly changes: readonly Change[];
  apply(): void;
}

// Exchange sends one notification of a subscription at a time, seconds apart, and a body again at most once a second:
// ten a second without end come from no Exchange. Its answer to more is 503, after which Exchange repeats the body.
// By path, which is one folder of one registration; longer ones than any capability reach nothing anyway.
const LONGEST_CAPABILITY_PATH = 300;
const NOTIFICATIONS: RequestRate = {
  burst: 600,
  refillMs: 100,
  maxKeys: 20_000,
  keyOf: ({ path }) => (path.length <= LONGEST_CAPABILITY_PATH ? path : null),
};

type Secured = "registration" | "exchange";
const SECURED: readonly Secured[] = ["registration", "exchange"];
type Identities = Readonly<Record<Secured, TlsIdentity | null>>;

/** @throws BellError of a certificate or key that cannot be used */
export function createListeners(options: ListenersOptions): Listeners {
  const { store, keyring, log, metrics, health, refreshGauges, now } = options;
  let { settings } = options;
  let identities = loadIdentities(settings.config, now());
  const notices = createExpiryNotices(log);
  tellAbout(identities);
  let registrationHandler = forPhones(settings);
  let exchangeHandler = forExchange(settings);
  let ports: Readonly<Record<string, number>> = {};

  function forPhones({ config, secrets }: Settings): RequestHandler {
    const { serving, mayLackRows } = options;
    const told = { log, metrics, now, serving, mayLackRows };
    return createRegistrationHandler({ store, keyring, config, secrets, ...told });
  }

  function forExchange(from: Settings): RequestHandler {
    const { watcher, serving, mayEnd } = options;
    const starting = () => !mayEnd();
    // Of the settings of the moment: a change of it makes no new handler.
    const rings: RingsFor = (app, kind) => ringsFor(settings.config.apps, app, kind);
    const config = exchangeRules(from);
    const told = { log, metrics, now, serving, starting };
    return createExchangeHandler({ store, keyring, config, watcher, rings, ...told });
  }

  async function refresh(): Promise<void> {
    await refreshGauges();
    for (const name of SECURED) {
      const identity = identities[name];
      if (identity === null) continue;
      metrics.credentialExpirySeconds.set({ name }, (identity.expiresAt - now()) / 1000);
    }
  }

  const { registration, exchange, admin } = settings.config.listen;
  const common = { healthPaths: HEALTH_PATHS, healthHandler: health, log, metrics };
  const listeners = {
    registration: createListener({
      ...common,
      ...registration,
      name: "registration",
      tls: identities.registration,
      refusalAnswer,
      handler: (request) => registrationHandler(request),
    }),
    exchange: createListener({
      ...common,
      ...exchange,
      name: "exchange",
      tls: identities.exchange,
      requestRate: NOTIFICATIONS,
      handler: (request) => exchangeHandler(request),
    }),
    admin: createListener({
      ...common,
      ...admin,
      name: "admin",
      tls: null,
      allow: [],
      handler: createAdminHandler(metrics, refresh),
    }),
  };
  const names = ["registration", "exchange", "admin"] as const;

  const certificates = createCertificateWatch({
    files: () =>
      SECURED.flatMap((listener) => {
        const files = settings.config.listen[listener].tls;
        return files === null ? [] : [{ listener, files }];
      }),
    take: (name) => SECURED.some((listener) => listener === name && renew(listener)),
    onLook: tellDates,
    log,
    now: () => performance.now(),
  });

  /** Whether there was another certificate to take. */
  function renew(name: Secured): boolean {
    const files = settings.config.listen[name].tls;
    if (files === null) return false;
    const next = { ...identities, [name]: loadTls(files, now(), "tell") };
    const identity = next[name];
    if (identity === null || sameIdentity(identity, identities[name])) return false;
    refuseWorse(next, identities);
    listeners[name].setTls(identity);
    identities = next;
    tellAbout({ registration: null, exchange: null, [name]: identity });
    return true;
  }

  function tellDates(): void {
    for (const listener of SECURED) {
      const identity = identities[listener];
      if (identity !== null) notices.tell(listener, identity, now());
    }
  }

  function tellAbout(of: Identities): void {
    for (const listener of SECURED) {
      const incomplete = of[listener]?.incomplete;
      if (typeof incomplete === "string") log.warn({ code: "tls_invalid", listener }, incomplete);
    }
    tellDates();
  }

  async function stop(graceMs: number): Promise<void> {
    await certificates.stop();
    await Promise.all(names.map((name) => listeners[name].stop(graceMs)));
  }

  return {
    async start() {
      const got: Record<string, number> = {};
      try {
        for (const name of names) got[name] = (await listeners[name].start()).port;
      } catch (error) {
        await stop(0);
        throw error;
      }
      ports = got;
      certificates.start();
      return ports;
    },

    stop,
    refresh,

    prepare(next, known) {
      const nextIdentities = loadIdentities(next.config, now());
      refuseWorse(nextIdentities, identities);
      const renewed = SECURED.filter((name) => !sameIdentity(nextIdentities[name], identities[name]));
      // What a handler has seen (wrong attempts, unknown subscriptions) goes with it: only a changed one is made anew.
      const nextRegistration = sameForPhones(settings, next) ? registrationHandler : forPhones(next);
      const sameForExchange = isDeepStrictEqual(exchangeRules(settings), exchangeRules(next));
      const nextExchange = sameForExchange ? exchangeHandler : forExchange(next);
      return {
        changes: renewed.reduce(
          (changes, name) => withRenewal(changes, `listen.${name}.tls.certificate`),
          known,
        ),
        apply() {
          for (const name of SECURED) {
            const identity = nextIdentities[name];
            if (identity !== null && renewed.includes(name)) listeners[name].setTls(identity);
            const { allow, trustedProxies } = next.config.listen[name];
            listeners[name].setAllow(allow);
            listeners[name].setTrustedProxies(trustedProxies);
          }
          settings = next;
          identities = nextIdentities;
          registrationHandler = nextRegistration;
          exchangeHandler = nextExchange;
        },
      };
    },

    status: () =>
      names.map((name) => ({
        name,
        address: settings.config.listen[name].address,
        port: ports[name] ?? 0,
        connections: listeners[name].connections,
      })),
  };
}

/**
 * Reads the certificates of both listeners; whether they are in date is for the caller to judge.
 * @param now epoch milliseconds
 * @throws BellError of the file that cannot be used
 */
export function loadIdentities({ listen }: Config, now: number): Identities {
  const load = (files: TlsFiles | null) => (files === null ? null : loadTls(files, now, "tell"));
  return { registration: load(listen.registration.tls), exchange: load(listen.exchange.tls) };
}

/** A certificate that is out of date replaces none that is in date; where it is in use already it stays. */
function refuseWorse(next: Identities, running: Identities): void {
  for (const name of SECURED) {
    const wrong = next[name]?.outOfDate;
    if (typeof wrong === "string" && running[name]?.outOfDate === null)
      throw new BellError("tls_invalid", wrong);
  }
}

/** Without what depends on the hour at which they were read. */
function sameIdentity(one: TlsIdentity | null, other: TlsIdentity | null): boolean {
  return one?.certificate === other?.certificate && one?.key === other?.key;
}

function exchangeRules({ config: { listen, subscriptions } }: Settings) {
  return { sharedRoute: listen.exchange.sharedRoute, unknownGraceMs: subscriptions.unknownGraceMs };
}

function sameForPhones(one: Settings, other: Settings): boolean {
  return (
    isDeepStrictEqual(one.config, other.config) &&
    isDeepStrictEqual(one.secrets.enrolmentSecrets, other.secrets.enrolmentSecrets)
  );
}
