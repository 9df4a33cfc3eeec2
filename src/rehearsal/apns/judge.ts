// Judges a whole request as APNs does: path, sender, headers, payload, device, in this order.
import { createRateLimiter, type RateLimit } from "../provider/rate-limit.ts";
import { type ClientCertificate, judgeClientCertificate } from "./client-certificate.ts";
import type { ApnsDevices } from "./devices.ts";
import { checkPayload } from "./payload.ts";
import { type ApnsEnvironment, createProviderTokenJudge, type ProviderKey } from "./provider-token.ts";
import { ApnsRefusal } from "./refusal.ts";
import { checkHeaders, checkPath, checkTopic } from "./request-headers.ts";

/** One complete request. */
export interface PushRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Header names as often as they were sent. */
  readonly headerNames: readonly string[];
  /** The body, or its beginning where it was far too long. */
  readonly body: Buffer;
  readonly bodyBytes: number;
}

/** What the service knows of the client at the other end of a connection. */
export interface Peer {
  readonly certificate: ClientCertificate;
  /** The key that the connection was first used with: it is bound to it. */
  keyId?: string;
  /** Whether the last sender check passed. */
  authenticated: boolean;
  /** An expired token was seen: the connection answers ExpiredProviderToken whatever comes (seen in the field). */
  wedged: boolean;
}

/** A push that was accepted: what goes on to the phone. */
export interface AcceptedPush {
  readonly token: string;
  readonly app: string;
  readonly topic: string;
  readonly pushType: string;
  readonly priority: 10 | 5 | 1;
  readonly apnsId: string;
  readonly expirationSeconds?: number;
  readonly collapseId?: string;
  readonly badge?: number;
  readonly reason?: string;
  readonly contentAvailable: boolean;
  readonly payload: Readonly<Record<string, unknown>>;
  /** Simulator's clock, epoch milliseconds. */
  readonly at: number;
}

export interface JudgeOptions {
  readonly environment: ApnsEnvironment;
  readonly keys: readonly ProviderKey[];
  readonly devices: ApnsDevices;
  /** Pushes of one device. */
  readonly deviceLimit: RateLimit;
  /** Whether a connection stays unusable after an expired provider token. */
  readonly wedgeOnExpiredToken: boolean;
}

/**
 * @throws ApnsRefusal
 */
export type Judge = (
  request: PushRequest,
  peer: Peer,
  apnsId: string,
  nowMs: number,
) => Promise<AcceptedPush>;

/** A judge with the memory that the rules need: provider tokens seen, pushes of each device. */
export function createJudge(options: JudgeOptions): Judge {
  const tokens = createProviderTokenJudge(options.keys, options.environment);
  const rates = createRateLimiter(options.deviceLimit);

  async function authenticate(request: PushRequest, peer: Peer, nowMs: number): Promise<readonly string[]> {
    const topic = judgeClientCertificate(peer.certificate, options.environment);
    if (topic !== undefined) return [topic];
    if (peer.wedged) throw new ApnsRefusal("ExpiredProviderToken", "an expired token was used before");
    const authorization = request.headers.authorization;
    const header = typeof authorization === "string" ? authorization : undefined;
    try {
      const key = await tokens.judge(header, peer.keyId, nowMs);
      peer.keyId = key.keyId;
      return key.topics;
    } catch (error) {
      if (error instanceof ApnsRefusal && error.reason === "ExpiredProviderToken") {
        peer.wedged = options.wedgeOnExpiredToken;
      }
      throw error;
    }
  }

  return async (request, peer, apnsId, nowMs) => {
    const token = checkPath(request.method, request.path);
    const topics = await authenticate(request, peer, nowMs).catch((error: unknown) => {
      peer.authenticated = false;
      throw error;
    });
    peer.authenticated = true;
    const headers = checkHeaders(request.headers, request.headerNames, apnsId, Math.floor(nowMs / 1000));
    const app = checkTopic(headers, topics);
    const payload = checkPayload(request.body, request.bodyBytes, headers.pushType);
    options.devices.check(token, app);
    if (rates.take(token, nowMs) !== undefined) {
      throw new ApnsRefusal("TooManyRequests", "too many pushes to one device");
    }
    const { json, ...seen } = payload;
    return { token, app, ...headers, ...seen, payload: json, at: nowMs };
  };
}
