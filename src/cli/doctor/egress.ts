// The way out to Apple and Google, over the very senders that ring: a push to a token that no phone has, and a dry run.
// Whether somebody inspects TLS on the way is seen from who signed what is presented.
import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import type {
  ApnsConfig,
  ApnsCredential,
  AppConfig,
  Config,
  FcmConfig,
  Secrets,
  ServiceAccount,
} from "../../config/types.ts";
import { createApnsRoute, createApnsSender } from "../../delivery/apns/sender.ts";
import { verdictOfFailure, verdictOfNoConnection } from "../../delivery/egress.ts";
import { AccessTokenError, createAccessToken } from "../../delivery/fcm/access-token.ts";
import { classifyFcm } from "../../delivery/fcm/outcome.ts";
import { fcmBody } from "../../delivery/fcm/payload.ts";
import { createTokenRequests } from "../../delivery/fcm/token-request.ts";
import { createHttp2Pool, type Http2Pool } from "../../delivery/http2-pool.ts";
import type { Outcome } from "../../delivery/outcome.ts";
import { realTimers } from "../../delivery/timers.ts";
import { createTransport, type Transport } from "../../delivery/transport.ts";
import type { Platform, Ring } from "../../store/types.ts";
import { type TimeSight, timeSight } from "./clock.ts";
import { found, good, type Result } from "./findings.ts";
import { type Inspection, inspect } from "./inspection.ts";
import { judgeApns, judgeFcm } from "./verdicts.ts";

export interface EgressSight {
  readonly results: readonly Result[];
  /** What the providers said the time is. */
  readonly times: readonly TimeSight[];
}

export interface Clocks {
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  readonly random: () => number;
}

// As long as a device token of today, and no phone's.
const NOBODYS_TOKEN = "0".repeat(64);
const APPLE = {
  production: "https://api.push.apple.com",
  sandbox: "https://api.sandbox.push.apple.com",
} as const;
const GOOGLE = "https://fcm.googleapis.com";
const GOOGLE_TOKEN = "https://oauth2.googleapis.com";

/** Looks at every app's way to its providers. */
export async function examineEgress(config: Config, secrets: Secrets, clocks: Clocks): Promise<EgressSight> {
  const transport = transportOf(config, secrets);
  const origins = new Map<string, { readonly overridden: boolean }>();
  for (const { apns, fcm } of config.apps) {
    if (apns !== null) origins.set(apnsOrigin(apns), { overridden: apns.url !== null });
    if (fcm === null) continue;
    origins.set(fcm.url ?? GOOGLE, { overridden: fcm.url !== null });
    const tokens = fcm.tokenUrl === null ? GOOGLE_TOKEN : new URL(fcm.tokenUrl).origin;
    origins.set(tokens, { overridden: fcm.tokenUrl !== null });
  }
  // All at once: what is dead takes seconds to show.
  const asked = config.apps.flatMap((app) => {
    const own = secrets.apps.get(app.id);
    return [
      ...(app.apns !== null && own?.apns ? [askApple(app, app.apns, own.apns, transport, clocks)] : []),
      ...(app.fcm !== null && own?.fcm ? [askGoogle(app, app.fcm, own.fcm, transport, clocks)] : []),
    ];
  });
  const looks = [...origins].map(([origin, { overridden }]) => way(origin, overridden, transport));
  const [ways, sights] = await Promise.all([Promise.all(looks), Promise.all(asked)]);
  const results = [...ways.flat(), ...sights.map(({ result }) => result)];
  const times = sights.flatMap((sight) => sight.times);
  return { results, times: oneEach(times) };
}

function oneEach(times: readonly TimeSight[]): TimeSight[] {
  return [...new Map(times.map((sight) => [sight.who, sight])).values()];
}

function transportOf(
  { egress: { proxy, noProxy } }: Config,
  { egressCa, egressProxyPassword }: Secrets,
): Transport {
  if (proxy === null) return createTransport({ ca: egressCa });
  const { url, user } = proxy;
  const account =
    user === null || egressProxyPassword === null ? null : { name: user.name, password: egressProxyPassword };
  return createTransport({ ca: egressCa, proxy: { url, user: account, exempt: noProxy } });
}

/** The name, and who presents what: a failure here is told by the provider's own look, but for what only this sees. */
async function way(origin: string, overridden: boolean, transport: Transport): Promise<Result[]> {
  const { hostname, protocol } = new URL(origin);
  const proxy = protocol === "https:" ? transport.proxyFor(hostname) : null;
  const name = (proxy?.host ?? hostname).replace(/^\[(.*)\]$/, "$1");
  const dns = await resolve(name, transport);
  if (dns?.level === "failure") return [dns];
  const seen = protocol === "https:" ? await inspect(origin, transport) : null;
  return [
    ...(dns === null ? [] : [dns]),
    ...(seen === null ? [] : judgeWay(origin, overridden, proxy !== null, seen)),
  ];
}

async function resolve(name: string, transport: Transport): Promise<Result | null> {
  if (isIP(name) !== 0) return null;
  try {
    const addresses = await transport.lookup(name);
    if (addresses.length > 0)
      return good("dns", name, `${addresses.length} addresses, the first is ${addresses[0]}`);
  } catch {
    // Said below.
  }
  return found("dns_unresolved", name, "no address");
}

function judgeWay(origin: string, overridden: boolean, proxied: boolean, seen: Inspection): Result[] {
  const through = proxied ? "through the proxy" : "directly";
  switch (seen.kind) {
    case "unreached":
      return [];
    case "public":
      return [
        good(
          "proxy",
          origin,
          `reached ${through}; its certificate is from a public authority (${seen.issuer})`,
        ),
      ];
    case "named":
      // Of a relay or simulator that the configuration names nothing else is to be expected.
      return overridden
        ? [good("proxy", origin, `reached ${through}; trusted by egress.ca_file (${seen.issuer})`)]
        : [found("egress_inspected", origin, `signed by ${seen.issuer}, which egress.ca_file names`)];
    case "untrusted":
      return [found("egress_untrusted", origin, `signed by ${seen.issuer} (${seen.complaint})`)];
  }
}

interface ProviderSight {
  readonly result: Result;
  readonly times: readonly TimeSight[];
}

async function askApple(
  app: AppConfig,
  apns: ApnsConfig,
  credential: ApnsCredential,
  transport: Transport,
  clocks: Clocks,
): Promise<ProviderSight> {
  const origin = apnsOrigin(apns);
  const route = createApnsRoute({ apns, credential, transport, timers: realTimers, ...clocks });
  const times: TimeSight[] = [];
  const pool = notingTime(route.pool, origin, clocks, times);
  const sender = createApnsSender(app, apns.topic, { ...route, pool }, clocks.now);
  try {
    const verdict = await sender.send(nobodysRing(app.id, "apns", clocks.now()));
    return { result: judgeApns(`${app.id} at ${origin}`, verdict), times };
  } finally {
    sender.stop();
  }
}

async function askGoogle(
  app: AppConfig,
  fcm: FcmConfig,
  account: ServiceAccount,
  transport: Transport,
  clocks: Clocks,
): Promise<ProviderSight> {
  const origin = fcm.url ?? GOOGLE;
  const times: TimeSight[] = [];
  const bare = createHttp2Pool({ origin, transport, cautious: false, timers: realTimers, ...clocks });
  const pool = notingTime(bare, origin, clocks, times);
  const tokens = createAccessToken({ account, tokenUrl: fcm.tokenUrl, transport });
  try {
    const outcome = await dryRun(app, fcm, account, pool, tokens, clocks);
    const result = judgeFcm(`${app.id} at ${origin}`, outcome);
    // Without a token nothing was asked there; whoever answers tells the time all the same.
    if (times.length === 0) times.push(...(await dateOf(fcm.tokenUrl ?? GOOGLE_TOKEN, transport, clocks)));
    return { result, times };
  } finally {
    pool.stop();
    tokens.stop();
  }
}

type Refused = { readonly kind: "token_refused"; readonly reason: string };

async function dryRun(
  app: AppConfig,
  fcm: FcmConfig,
  account: ServiceAccount,
  pool: Http2Pool,
  tokens: ReturnType<typeof createAccessToken>,
  clocks: Clocks,
): Promise<Outcome | Refused> {
  let bearer: string;
  try {
    bearer = await tokens.get();
  } catch (error) {
    if (!(error instanceof AccessTokenError)) throw error;
    const { message } = error;
    return error.answered ? { kind: "token_refused", reason: message } : verdictOfNoConnection(message, null);
  }
  const ring = nobodysRing(app.id, "fcm", clocks.now());
  const { message } = JSON.parse(fcmBody(ring, { texts: app.texts, dataOnly: fcm.dataOnly })) as {
    readonly message: unknown;
  };
  const result = await pool.request({
    path: `/v1/projects/${encodeURIComponent(account.projectId)}/messages:send`,
    headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
    body: JSON.stringify({ validate_only: true, message }),
  });
  if (result.kind !== "answer") return verdictOfFailure(result);
  return classifyFcm({ status: result.status, body: result.body, retryAfter: null }, clocks.now());
}

async function dateOf(url: string, transport: Transport, { now }: Clocks): Promise<TimeSight[]> {
  const requests = createTokenRequests(null, transport);
  try {
    const asked = now();
    const answer = await requests.fetch(`${new URL(url).origin}/`);
    const sight = timeSight(new URL(url).host, answer.headers.get("date"), asked, now());
    return sight === null ? [] : [sight];
  } catch {
    return [];
  } finally {
    requests.stop();
  }
}

/** The pool, which notes what time the answers say it is. */
function notingTime(pool: Http2Pool, origin: string, { now }: Clocks, times: TimeSight[]): Http2Pool {
  return {
    ...pool,
    async request(request) {
      const asked = now();
      const result = await pool.request(request);
      if (result.kind !== "answer") return result;
      const { date } = result.headers;
      const sight = timeSight(new URL(origin).host, typeof date === "string" ? date : null, asked, now());
      if (sight !== null) times.push(sight);
      return result;
    },
  };
}

function apnsOrigin(apns: ApnsConfig): string {
  return apns.url ?? new URL(`${APPLE[apns.environment]}:${apns.port}`).origin;
}

/** A silent wake-up for a phone that does not exist. */
function nobodysRing(app: string, platform: Platform, now: number): Ring {
  return {
    registrationId: randomUUID(),
    app,
    platform,
    token: NOBODYS_TOKEN,
    tokenMac: Buffer.alloc(0),
    renewedAt: now,
    locale: null,
    badge: null,
    reason: "folder",
    folder: null,
    attempt: 0,
    since: now,
    apnsId: randomUUID(),
    carries: { badgeRef: null, seen: {}, marks: {} },
  };
}
