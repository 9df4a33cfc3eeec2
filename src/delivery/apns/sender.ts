// Rings iPhones: builds the request, sends it, and follows up what Apple says about the credential.
import type { ApnsConfig, ApnsCredential, AppConfig } from "../../config/types.ts";
import type { Ring } from "../../store/types.ts";
import { verdictOfFailure } from "../egress.ts";
import { createHttp2Pool, type Http2Pool } from "../http2-pool.ts";
import type { Outcome, Verdict } from "../outcome.ts";
import type { Sender } from "../sender.ts";
import type { Timers } from "../timers.ts";
import type { ClientIdentity, Transport } from "../transport.ts";
import { classifyApns, parseApnsBody } from "./outcome.ts";
import { apnsHeaders, apnsMessage } from "./payload.ts";
import { createProviderToken, type ProviderToken } from "./token.ts";

// Apple Developer Documentation, "Sending notification requests to APNs".
const HOSTS = {
  production: "api.push.apple.com",
  sandbox: "api.sandbox.push.apple.com",
} as const;

export interface ApnsRouteOptions {
  readonly apns: ApnsConfig;
  readonly credential: ApnsCredential;
  readonly transport: Transport;
  readonly timers: Timers;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
}

/**
 * The way to Apple with one credential. Apple binds a connection to one team, key and environment, and counts new
 * tokens by key: apps with the same key share it.
 */
export interface ApnsRoute {
  readonly pool: Http2Pool;
  /** Null where a certificate is the credential. */
  readonly token: ProviderToken | null;
}

/** What two apps must have in common to share a route; null for certificates, which are for one app each. */
export function routeKey(apns: ApnsConfig, credential: ApnsCredential): string | null {
  return credential.type === "key" ? `${originOf(apns)} ${credential.teamId} ${credential.keyId}` : null;
}

/** @throws if the credential is a key that is not on P-256 (checked earlier, when the secrets were read) */
export function createApnsRoute(options: ApnsRouteOptions): ApnsRoute {
  const { apns, credential, transport, timers, now, monotonicNow, random } = options;
  return {
    token: credential.type === "key" ? createProviderToken({ ...credential, now, monotonicNow }) : null,
    pool: createHttp2Pool({
      origin: originOf(apns),
      transport,
      identity: identityOf(credential),
      cautious: true,
      timers,
      monotonicNow,
      random,
    }),
  };
}

export function createApnsSender(app: AppConfig, topic: string, route: ApnsRoute, now: () => number): Sender {
  return {
    send: (ring) => ringOver(route, ring, app, topic, now),
    warm: route.pool.warm,
    renew: route.pool.renew,
    stop: route.pool.stop,
  };
}

function originOf(apns: ApnsConfig): string {
  if (apns.url !== null) return apns.url;
  // The usual port is left out, as a URL's origin has it.
  return new URL(`https://${HOSTS[apns.environment]}:${apns.port}`).origin;
}

function identityOf(credential: ApnsCredential): ClientIdentity | null {
  switch (credential.type) {
    case "key":
      return null;
    case "pem":
      return { cert: credential.certificate, key: credential.privateKey };
    case "p12":
      return { pfx: credential.pfx, passphrase: credential.passphrase };
  }
}

async function ringOver(
  { pool, token }: ApnsRoute,
  ring: Ring,
  app: AppConfig,
  topic: string,
  now: () => number,
): Promise<Verdict> {
  // The same on both tries.
  const message = apnsMessage(ring, app, now());
  const headers = apnsHeaders(ring, message, topic);
  // Where the connection or the provider token was at fault, a second try follows at once; a third never.
  for (let tries = 1; ; tries += 1) {
    const bearer = token?.current() ?? null;
    const result = await pool.request({
      path: `/3/device/${ring.token}`,
      headers: bearer === null ? headers : { ...headers, authorization: `bearer ${bearer}` },
      body: message.body,
    });
    if (result.kind !== "answer") return verdictOfFailure(result);
    const retryAfter = result.headers["retry-after"];
    const outcome: Outcome = classifyApns(
      {
        status: result.status,
        ...parseApnsBody(result.body),
        retryAfter: typeof retryAfter === "string" ? retryAfter : null,
      },
      { renewedAt: ring.renewedAt, now: now() },
    );
    switch (outcome.kind) {
      case "refresh_auth":
        // A connection that saw an expired token stays wedged, whatever token follows.
        result.retire();
        if (tries === 1 && bearer !== null && renewed(token, bearer, pool)) continue;
        return { kind: "configuration", reason: outcome.reason, personal: false };
      case "new_connection":
        result.retire();
        if (tries === 1) continue;
        return { kind: "transient", reason: outcome.reason, retryAfterMs: null };
      case "auth_hold":
        token?.hold();
        return outcome;
      case "accepted":
        if (bearer !== null) token?.accepted(bearer);
        return outcome;
      default:
        return outcome;
    }
  }
}

/** Whether there is another token than `expired` to send with now. */
function renewed(token: ProviderToken | null, expired: string, pool: Http2Pool): boolean {
  if (token === null) return false;
  if (token.current() !== expired) return true;
  if (!token.expired(expired)) return false;
  // The pool's other connections carried the same token.
  pool.retireAll();
  return true;
}
