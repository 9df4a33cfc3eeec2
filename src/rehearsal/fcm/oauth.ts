// Google's token endpoint: a service account's signed assertion in, a bearer token out (RFC 7523; Google, "Using
// OAuth 2.0 for server to server applications"). Verified with jose, which the sender does not use.
import { decodeJwt, errors, importSPKI, jwtVerify } from "jose";

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

/** What a bearer token is worth: `unknown` was never given out, is expired or was taken back. */
export type Bearer = "missing" | "unknown" | "insufficient" | "good";

export interface OAuth {
  /**
   * Answers `POST /token`.
   * @param url the endpoint's own address, one of the two audiences that are right
   * @param now epoch milliseconds
   */
  exchange(contentType: string, body: string, url: string, now: number): Promise<OAuthAnswer>;
  /** Judges an `authorization` header. */
  judge(authorization: string | undefined, now: number): Bearer;
  /** Takes back every token given out, as a revoked key does. */
  revoke(): void;
  /** Tokens given out so far. */
  readonly issued: number;
}

const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPES = [
  "https://www.googleapis.com/auth/firebase.messaging",
  "https://www.googleapis.com/auth/cloud-platform",
];
// google-auth-library names this audience even where another token URL is configured.
const GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token";
const LIFE_SECONDS = 3600;
const TIMEFRAME =
  "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";

class GrantRefusal extends Error {
  readonly code: string;

  constructor(code: string, description: string) {
    super(description);
    this.code = code;
  }
}

/** @param random gives bytes for the tokens */
export function createOAuth(account: KnownAccount, random: (count: number) => Buffer): OAuth {
  const tokens = new Map<string, { readonly until: number; readonly sufficient: boolean }>();
  let issued = 0;
  return {
    async exchange(contentType, body, url, now) {
      try {
        const scope = await checkGrant(contentType, body, [url, GOOGLE_AUDIENCE], account, now);
        const token = `ya29.${random(48).toString("base64url")}`;
        const sufficient = scope.split(" ").some((each) => SCOPES.includes(each));
        tokens.set(token, { until: now + LIFE_SECONDS * 1000, sufficient });
        issued += 1;
        const answer = { access_token: token, expires_in: LIFE_SECONDS - 1, token_type: "Bearer" };
        return { status: 200, body: JSON.stringify(answer) };
      } catch (error) {
        if (!(error instanceof GrantRefusal)) throw error;
        return {
          status: 400,
          body: JSON.stringify({ error: error.code, error_description: error.message }),
        };
      }
    },
    judge(authorization, now) {
      const token = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
      if (token === undefined) return "missing";
      const known = tokens.get(token);
      if (known === undefined || known.until <= now) return "unknown";
      return known.sufficient ? "good" : "insufficient";
    },
    revoke: () => tokens.clear(),
    get issued() {
      return issued;
    },
  };
}

/**
 * @returns the scopes asked for
 * @throws GrantRefusal
 */
async function checkGrant(
  contentType: string,
  body: string,
  audience: string[],
  account: KnownAccount,
  now: number,
): Promise<string> {
  if (!contentType.startsWith("application/x-www-form-urlencoded")) {
    throw new GrantRefusal("invalid_request", `Bad content type: ${contentType}`);
  }
  const form = new URLSearchParams(body);
  const grant = form.get("grant_type");
  if (grant !== GRANT) throw new GrantRefusal("unsupported_grant_type", `Invalid grant_type: ${grant}`);
  const assertion = form.get("assertion");
  if (assertion === null) throw new GrantRefusal("invalid_request", "Missing parameter: assertion");
  const claims = await verifyAssertion(assertion, audience, account, now);
  const { iat = 0, exp = 0, scope } = claims;
  if (exp - iat > LIFE_SECONDS || iat * 1000 > now + 60_000) {
    throw new GrantRefusal("invalid_grant", TIMEFRAME);
  }
  if (typeof scope !== "string" || scope === "") {
    throw new GrantRefusal("invalid_scope", "Invalid OAuth scope or ID token audience provided.");
  }
  return scope;
}

async function verifyAssertion(assertion: string, audience: string[], account: KnownAccount, now: number) {
  let issuer: string | undefined;
  try {
    issuer = decodeJwt(assertion).iss;
  } catch {
    throw new GrantRefusal("invalid_grant", "Bad Request");
  }
  if (issuer !== account.clientEmail) {
    throw new GrantRefusal("invalid_grant", "Invalid grant: account not found");
  }
  try {
    const { payload } = await jwtVerify(assertion, await importSPKI(account.publicKey, "RS256"), {
      algorithms: ["RS256"],
      audience,
      currentDate: new Date(now),
      requiredClaims: ["iat", "exp"],
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new GrantRefusal("invalid_grant", TIMEFRAME);
    if (error instanceof errors.JWTClaimValidationFailed) {
      const description =
        error.claim === "aud" ? `Failed audience check. The right audience is ${GOOGLE_AUDIENCE}` : TIMEFRAME;
      throw new GrantRefusal("invalid_grant", description);
    }
    throw new GrantRefusal("invalid_grant", "Invalid JWT Signature.");
  }
}
