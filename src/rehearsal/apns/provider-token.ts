// Judges the provider token (ES256 JWT) of a request. Verified with jose, which the sender does not use, so that
// the two cannot share a mistake. Rules: Apple, "Establishing a token-based connection to APNs".
import { decodeProtectedHeader, importSPKI, jwtVerify } from "jose";
import { ApnsRefusal } from "./refusal.ts";

export type ApnsEnvironment = "production" | "sandbox";

/** What the service knows of a key it has given out. */
export interface ProviderKey {
  readonly keyId: string;
  readonly teamId: string;
  /** SPKI PEM. */
  readonly publicKey: string;
  /** Apps of the team. */
  readonly topics: readonly string[];
  /** Where the key may be used; both if left out. */
  readonly environments?: readonly ApnsEnvironment[];
}

/** Judges provider tokens. */
export interface ProviderTokenJudge {
  /**
   * @param authorization the header as sent
   * @param boundKeyId the key that the connection was first used with, if any
   * @param nowMs the simulator's clock
   * @returns the key of a valid token
   * @throws ApnsRefusal
   */
  judge(
    authorization: string | undefined,
    boundKeyId: string | undefined,
    nowMs: number,
  ): Promise<ProviderKey>;
}

const MINUTE_MS = 60_000;
const MAX_AGE_MS = 60 * MINUTE_MS;
/** Tokens may be renewed once in this time. */
export const TOKEN_UPDATE_MS = 20 * MINUTE_MS;
// Clocks differ; a token from the future beyond this is a sender that writes milliseconds or a wrong clock.
const FUTURE_SKEW_MS = 5 * MINUTE_MS;
const CACHE_LIMIT = 64;

interface Claims {
  readonly key: ProviderKey;
  readonly issuedAtMs: number;
}

/** What is remembered of a key's tokens, to notice renewals that come too fast. */
interface Renewals {
  /** Issue times that were accepted. Two tokens with the same `iat` count as one: a restarted sender that rounds
   * `iat` signs anew, and ECDSA signatures differ each time. */
  readonly issuedAt: Set<number>;
  lastChangeMs: number | undefined;
}

/** A judge that knows `keys` and stands in `environment`. */
export function createProviderTokenJudge(
  keys: readonly ProviderKey[],
  environment: ApnsEnvironment,
): ProviderTokenJudge {
  const verified = new Map<string, Claims>();
  const renewals = new Map<string, Renewals>();

  async function verify(token: string): Promise<Claims> {
    const known = verified.get(token);
    if (known !== undefined) return known;
    const claims = await verifyAnew(token, keys);
    if (verified.size >= CACHE_LIMIT) verified.clear();
    verified.set(token, claims);
    return claims;
  }

  function countRenewal(claims: Claims, nowMs: number): void {
    const seen = renewals.get(claims.key.keyId) ?? { issuedAt: new Set(), lastChangeMs: undefined };
    renewals.set(claims.key.keyId, seen);
    if (seen.issuedAt.has(claims.issuedAtMs)) return;
    if (seen.issuedAt.size > 0) {
      if (seen.lastChangeMs !== undefined && nowMs - seen.lastChangeMs < TOKEN_UPDATE_MS) {
        throw new ApnsRefusal("TooManyProviderTokenUpdates", "a second new provider token within 20 minutes");
      }
      seen.lastChangeMs = nowMs;
    }
    for (const issuedAt of seen.issuedAt) {
      if (nowMs - issuedAt > MAX_AGE_MS) seen.issuedAt.delete(issuedAt);
    }
    seen.issuedAt.add(claims.issuedAtMs);
  }

  return {
    async judge(authorization, boundKeyId, nowMs) {
      if (authorization === undefined || authorization === "") {
        throw new ApnsRefusal("MissingProviderToken", "neither a provider token nor a client certificate");
      }
      const token = /^bearer ([A-Za-z0-9_.-]+)$/i.exec(authorization)?.[1];
      if (token === undefined) throw invalid("authorization is not 'bearer <token>'");
      const claims = await verify(token);
      const environments = claims.key.environments;
      if (environments !== undefined && !environments.includes(environment)) {
        throw new ApnsRefusal("BadEnvironmentKeyIdInToken", `the key is not for ${environment}`);
      }
      if (nowMs - claims.issuedAtMs > MAX_AGE_MS) {
        throw new ApnsRefusal("ExpiredProviderToken", "the provider token is older than 60 minutes");
      }
      if (claims.issuedAtMs - nowMs > FUTURE_SKEW_MS) throw invalid("iat is in the future");
      if (boundKeyId !== undefined && boundKeyId !== claims.key.keyId) {
        throw new ApnsRefusal("UnrelatedKeyIdInToken", "the connection was first used with another key");
      }
      countRenewal(claims, nowMs);
      return claims.key;
    },
  };
}

function invalid(detail: string): ApnsRefusal {
  return new ApnsRefusal("InvalidProviderToken", detail);
}

async function verifyAnew(token: string, keys: readonly ProviderKey[]): Promise<Claims> {
  let keyId: unknown;
  try {
    const header = decodeProtectedHeader(token);
    keyId = header.kid;
    if (header.alg !== "ES256") throw invalid("alg is not ES256");
  } catch (error) {
    throw error instanceof ApnsRefusal ? error : invalid("not a JWT");
  }
  const key = keys.find((candidate) => candidate.keyId === keyId);
  if (key === undefined) throw invalid("kid names no key of this service");
  let payload: { iss?: unknown; iat?: unknown };
  try {
    // jose compares `iat` with the real clock only if a maximum age is given; the simulator has its own clock.
    payload = (await jwtVerify(token, await importSPKI(key.publicKey, "ES256"), { algorithms: ["ES256"] }))
      .payload;
  } catch {
    throw invalid("the signature is not by the key that kid names");
  }
  if (payload.iss !== key.teamId) throw invalid("iss is not the team of the key");
  if (typeof payload.iat !== "number" || !Number.isInteger(payload.iat)) {
    throw invalid("iat is not a whole number of seconds");
  }
  return { key, issuedAtMs: payload.iat * 1000 };
}
