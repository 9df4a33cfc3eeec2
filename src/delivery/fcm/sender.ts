// Rings Android phones over FCM's HTTP v1 API.
import type { AppConfig, FcmConfig, ServiceAccount } from "../../config/types.ts";
import type { Ring } from "../../store/types.ts";
import { verdictOfFailure, verdictOfNoConnection } from "../egress.ts";
import { createHttp2Pool, type Http2Pool } from "../http2-pool.ts";
import type { Verdict } from "../outcome.ts";
import type { Sender } from "../sender.ts";
import type { Timers } from "../timers.ts";
import type { Transport } from "../transport.ts";
import { type AccessToken, AccessTokenError, createAccessToken } from "./access-token.ts";
import { classifyFcm } from "./outcome.ts";
import { type FcmTexts, fcmBody } from "./payload.ts";

const GOOGLE_URL = "https://fcm.googleapis.com";

export interface FcmSenderOptions {
  readonly app: AppConfig;
  readonly fcm: FcmConfig;
  readonly account: ServiceAccount;
  readonly transport: Transport;
  readonly timers: Timers;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
}

export function createFcmSender(options: FcmSenderOptions): Sender {
  const { app, fcm, account, transport, timers, now, monotonicNow, random } = options;
  const accessToken = createAccessToken({ account, tokenUrl: fcm.tokenUrl, transport });
  const pool = createHttp2Pool({
    origin: fcm.url ?? GOOGLE_URL,
    transport,
    cautious: false,
    timers,
    monotonicNow,
    random,
  });
  const path = `/v1/projects/${encodeURIComponent(account.projectId)}/messages:send`;
  const texts: FcmTexts = { texts: app.texts, dataOnly: fcm.dataOnly };
  return {
    send: (ring) => ringOver(pool, path, ring, texts, accessToken, now),
    warm() {
      pool.warm();
      // The access token is another round trip to Google before the first ring. A failure shows with that ring.
      accessToken.get().catch(() => {});
    },
    renew: pool.renew,
    stop() {
      pool.stop();
      accessToken.stop();
    },
  };
}

async function ringOver(
  pool: Http2Pool,
  path: string,
  ring: Ring,
  texts: FcmTexts,
  accessToken: AccessToken,
  now: () => number,
): Promise<Verdict> {
  // Where the connection or the access token was at fault, a second try follows at once; a third never.
  for (let tries = 1; ; tries += 1) {
    let bearer: string;
    try {
      bearer = await accessToken.get();
    } catch (error) {
      return tokenFailure(error);
    }
    const result = await pool.request({
      path,
      headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
      body: fcmBody(ring, texts),
    });
    if (result.kind !== "answer") return verdictOfFailure(result);
    const retryAfter = result.headers["retry-after"];
    const outcome = classifyFcm(
      {
        status: result.status,
        body: result.body,
        retryAfter: typeof retryAfter === "string" ? retryAfter : null,
      },
      now(),
    );
    switch (outcome.kind) {
      case "refresh_auth":
        accessToken.refused(bearer);
        if (tries === 1) continue;
        return { kind: "configuration", reason: outcome.reason, personal: false };
      case "new_connection":
        result.retire();
        if (tries === 1) continue;
        return { kind: "transient", reason: outcome.reason, retryAfterMs: null };
      default:
        return outcome;
    }
  }
}

function tokenFailure(error: unknown): Verdict {
  if (error instanceof AccessTokenError && !error.answered) return verdictOfNoConnection(error.message, null);
  // Google refused the service account, or its key could not be used at all.
  const reason = error instanceof AccessTokenError ? error.message : "credential";
  return { kind: "configuration", reason, personal: false };
}
