// Google's token endpoint: a signed assertion of a service account in, a bearer token out (RFC 7523).
import { importSPKI, jwtVerify } from "jose";

/** A service account that the simulated Google knows. */
export interface KnownAccount {
  readonly clientEmail: string;
  /** SPKI PEM. */
  readonly publicKey: string;
}

export interface OAuthAnswer {
  readonly status: number;
  readonly body: string;
}

export interface OAuth {
  /** Answers `POST /token`. */
  exchange(contentType: string, body: string, url: string, now: number): Promise<OAuthAnswer>;
  /** Whether a bearer token was given out and is still valid. */
  accepts(authorization: string | undefined, now: number): boolean;
  /** Takes back every token given out, as a revoked key does. */
  revoke(): void;
  /** Tokens given out so far. */
  readonly issued: number;
}

const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE = "https://www.googleapis.com/auth/firebase.messaging";
// The libraries name this audience even where another token URL is configured.
const GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token";
const LIFE_SECONDS = 3600;

/** @param random gives bytes for the tokens */
export function createOAuth(account: KnownAccount, random: (count: number) => Buffer): OAuth {
  const tokens = new Map<string, number>();
  let issued = 0;

  function refuse(error: string, description: string): OAuthAnswer {
    return { status: 400, body: JSON.stringify({ error, error_description: description }) };
  }

  async function exchange(contentType: string, body: string, url: string, now: number): Promise<OAuthAnswer> {
    if (!contentType.startsWith("application/x-www-form-urlencoded")) {
      return refuse("invalid_request", "Bad content type");
    }
    const form = new URLSearchParams(body);
    if (form.get("grant_type") !== GRANT) return refuse("unsupported_grant_type", "Invalid grant_type");
    const key = await importSPKI(account.publicKey, "RS256");
    const verified = await jwtVerify(form.get("assertion") ?? "", key, {
      algorithms: ["RS256"],
      issuer: account.clientEmail,
      audience: [url, GOOGLE_AUDIENCE],
      currentDate: new Date(now),
      requiredClaims: ["iat", "exp", "scope"],
    }).catch((error: unknown) => error);
    if (verified instanceof Error) return refuse("invalid_grant", "Invalid JWT Signature or claims.");
    const { payload } = verified as { payload: { iat?: number; exp?: number; scope?: unknown } };
    if ((payload.exp ?? 0) - (payload.iat ?? 0) > LIFE_SECONDS) {
      return refuse("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)");
    }
    if (!String(payload.scope).split(" ").includes(SCOPE))
      return refuse("invalid_scope", "Scope not allowed");
    const token = `ya29.${random(48).toString("base64url")}`;
    tokens.set(token, now + LIFE_SECONDS * 1000);
    issued += 1;
    return {
      status: 200,
      body: JSON.stringify({ access_token: token, expires_in: LIFE_SECONDS - 1, token_type: "Bearer" }),
    };
  }

  return {
    exchange,
    accepts(authorization, now) {
      const token = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
      return token !== undefined && (tokens.get(token) ?? 0) > now;
    },
    revoke: () => tokens.clear(),
    get issued() {
      return issued;
    },
  };
}
