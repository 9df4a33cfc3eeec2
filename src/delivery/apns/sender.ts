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
  production: "https://api.push.apple.com",
  sandbox: "https://api.sandbox.push.apple.com",
} as const;

export interface ApnsSenderOptions {
  readonly app: AppConfig;
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

/** @throws if the credential is a key that is not on P-256 (checked earlier, when the secrets were read) */
export function createApnsSender(options: ApnsSenderOptions): Sender {
  const { app, apns, credential, transport, timers, now, monotonicNow, random } = options;
  const token = credential.type === "key" ? createProviderToken({ ...credential, now, monotonicNow }) : null;
  const pool = createHttp2Pool({
    origin: apns.url ?? HOSTS[apns.environment],
    transport,
    identity: identityOf(credential),
    cautious: true,
    timers,
    monotonicNow,
    random,
  });
  return {
    send: (ring) => ringOver(pool, ring, app, apns.topic, token, now),
    warm: pool.warm,
    stop: pool.stop,
  };
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
  pool: Http2Pool,
  ring: Ring,
  app: AppConfig,
  topic: string,
  token: ProviderToken | null,
  now: () => number,
): Promise<Verdict> {
  // Where the connection or the provider token was at fault, a second try follows at once; a third never.
  for (let tries = 1; ; tries += 1) {
    const bearer = token?.current() ?? null;
    const message = apnsMessage(ring, app, now());
    const result = await pool.request({
      path: `/3/device/${ring.token}`,
      headers: {
        ...apnsHeaders(ring, message, topic),
        ...(bearer === null ? {} : { authorization: `bearer ${bearer}` }),
      },
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
        // The connection stays wedged after it, whatever token follows.
        result.retire();
        if (tries === 1 && bearer !== null && token?.expired(bearer) === true) continue;
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
