// Turns the checked raw configuration into the one that the program uses: absolute paths, milliseconds,
// booleans. Pure, and it cannot fail: everything was checked before.
import { dirname, join } from "node:path";
import { isTlsOff } from "./cross-rules.ts";
import { parseDurationMs } from "./durations.ts";
import { hostAndPort } from "./host-port.ts";
import { absolutePath, type Environment, isCredential } from "./paths.ts";
import type { RawConfig } from "./schema.ts";
import type {
  ApnsConfig,
  AppConfig,
  Config,
  FcmConfig,
  ListenerConfig,
  PairConfig,
  PairFiles,
} from "./types.ts";

export interface ConvertContext {
  /** Absolute path of the configuration file. */
  readonly configFile: string;
  readonly env: Environment;
  /** The node's name when the file gives none. */
  readonly hostname: string;
}

type ToPath = (path: string) => string;
type RawApp = RawConfig["apps"][number];
type RawListener = RawConfig["listen"]["registration"];

/** @param raw checked against the schema and the rules, defaults filled in */
export function convert(raw: RawConfig, { configFile, env, hostname }: ConvertContext): Config {
  const toPath: ToPath = (path) => absolutePath(path, configFile, env);
  return {
    file: configFile,
    node: raw.node ?? hostname,
    public: {
      registrationUrl: origin(raw.public.registration_url),
      exchangeUrl: origin(raw.public.exchange_url),
    },
    listen: {
      registration: listener(raw.listen.registration, toPath),
      exchange: {
        ...listener(raw.listen.exchange, toPath),
        sharedRoute: isOn(raw.listen.exchange.shared_route),
      },
      admin: raw.listen.admin,
    },
    store: { path: toPath(raw.store.path) },
    keys: { file: toPath(raw.keys.file) },
    apps: raw.apps.map((app) => appConfig(app, toPath)),
    registrationAuth: raw.registration_auth.map(({ type, file }) => ({ type, file: toPath(file) })),
    egress: egress(raw.egress, toPath),
    ringing: {
      mergeChangesMs: durationMs(raw.ringing.merge_changes),
      stalledAfterMs: durationMs(raw.ringing.stalled_after),
    },
    subscriptions: {
      statusFrequencyMinutes: durationMs(raw.subscriptions.status_frequency) / 60_000,
      unknownGraceMs: durationMs(raw.subscriptions.unknown_grace),
    },
    retention: { idleRegistrationMs: durationMs(raw.retention.idle_registration) },
    pair: raw.pair === undefined ? null : pairConfig(raw.pair, besidePairFiles(raw, configFile, env), toPath),
    control: { socket: toPath(raw.control.socket) },
    log: raw.log,
  };
}

function listener(raw: RawListener, toPath: ToPath): ListenerConfig {
  const { address, port, tls, allow } = raw;
  const off = isTlsOff(tls) || typeof tls !== "object";
  return {
    address,
    port,
    tls: off ? null : { certificate: toPath(tls.certificate), key: toPath(tls.key) },
    allow,
    trustedProxies: raw.trusted_proxies,
    proxyProtocol: isOn(raw.proxy_protocol),
  };
}

function pairConfig(raw: NonNullable<RawConfig["pair"]>, beside: string, toPath: ToPath): PairConfig {
  // The rules let nothing pass that is none.
  const peer = hostAndPort(raw.peer) ?? { host: "", port: 0 };
  const files = defaultPairFiles(beside);
  const named = (name: keyof PairFiles) => {
    const path = raw.tls[name];
    return path === undefined ? files[name] : toPath(path);
  };
  return {
    listen: raw.listen,
    peer,
    peerName: raw.peer_name ?? peer.host,
    tls: { ca: named("ca"), certificate: named("certificate"), key: named("key") },
    takeoverAfterMs: durationMs(raw.takeover_after),
    aloneAfterMs: durationMs(raw.alone_after),
  };
}

/** Beside which file the link's are: the key file, or the database where a service manager has the key file. */
export function besidePairFiles(
  { keys, store }: { readonly keys: { readonly file: string }; readonly store: { readonly path: string } },
  configFile: string,
  env: Environment,
): string {
  const keyFile = absolutePath(keys.file, configFile, env);
  return isCredential(keyFile, env) ? absolutePath(store.path, configFile, env) : keyFile;
}

/** Where the link's certificates are if the configuration does not say. @param beside absolute path of the file beside */
export function defaultPairFiles(beside: string): PairFiles {
  const directory = join(dirname(beside), "pair");
  return {
    ca: join(directory, "ca.pem"),
    certificate: join(directory, "node.pem"),
    key: join(directory, "node.key"),
  };
}

function egress(raw: RawConfig["egress"], toPath: ToPath): Config["egress"] {
  const { proxy, proxy_user: user } = raw;
  return {
    proxy:
      proxy === undefined
        ? null
        : {
            url: origin(proxy),
            user: user === undefined ? null : { name: user.name, passwordFile: toPath(user.password_file) },
          },
    noProxy: raw.no_proxy,
    caFile: raw.ca_file === undefined ? null : toPath(raw.ca_file),
  };
}

function appConfig(app: RawApp, toPath: ToPath): AppConfig {
  const { texts } = app;
  return {
    id: app.id,
    apns: app.apns === undefined ? null : apnsConfig(app.apns, app.id, toPath),
    fcm: app.fcm === undefined ? null : fcmConfig(app.fcm, toPath),
    ring: app.ring,
    ringFolders: app.ring_folders,
    texts: {
      newMessages: texts.new_messages,
      sound: texts.sound,
      fcmTitle: texts.fcm_title,
      fcmBody: texts.fcm_body,
      testRing: texts.test_ring,
    },
  };
}

function apnsConfig(apns: NonNullable<RawApp["apns"]>, appId: string, toPath: ToPath): ApnsConfig | null {
  const { key, certificate } = apns;
  const base = {
    environment: apns.environment,
    topic: apns.topic ?? appId,
    port: apns.port ?? 443,
    url: apns.url === undefined ? null : origin(apns.url),
  };
  if (key !== undefined) {
    const credential = {
      type: "key",
      file: toPath(key.file),
      keyId: key.key_id,
      teamId: key.team_id,
    } as const;
    return { ...base, credential };
  }
  // The rules let nothing pass that has neither.
  if (certificate === undefined) return null;
  const passwordFile = certificate.password_file === undefined ? null : toPath(certificate.password_file);
  return { ...base, credential: { type: "certificate", file: toPath(certificate.file), passwordFile } };
}

function fcmConfig(fcm: NonNullable<RawApp["fcm"]>, toPath: ToPath): FcmConfig {
  return {
    serviceAccount: toPath(fcm.service_account),
    url: fcm.url === undefined ? null : origin(fcm.url),
    tokenUrl: fcm.token_url === undefined ? null : new URL(fcm.token_url).href,
    dataOnly: isOn(fcm.data_only),
  };
}

/** Scheme, host and port, without a trailing slash and without a default port. */
function origin(url: string): string {
  return new URL(url).origin;
}

function isOn(toggle: boolean | "on" | "off"): boolean {
  return toggle === true || toggle === "on";
}

function durationMs(text: string): number {
  return parseDurationMs(text) ?? Number.NaN;
}
