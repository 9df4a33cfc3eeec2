// The OAuth access token of a service account, from Google's own library. How its requests travel is in
// token-request.ts.
import { JWT } from "google-auth-library";
import type { ServiceAccount } from "../../config/types.ts";
import type { Transport } from "../transport.ts";
import { createTokenRequests } from "./token-request.ts";

const SCOPE = "https://www.googleapis.com/auth/firebase.messaging";

export interface AccessToken {
  /**
   * The token to send with; 50 callers at once cause one request.
   * @throws AccessTokenError
   */
  get(): Promise<string>;
  /** This one was refused: the next `get` asks for a new one, unless that happened already. */
  refused(token: string): void;
  /** Ends what is on its way to the token endpoint. */
  stop(): void;
}

/** `answered`: Google itself refused, `message` is its error word. Otherwise the way there failed. */
export class AccessTokenError extends Error {
  readonly answered: boolean;

  constructor(answered: boolean, reason: string) {
    super(reason);
    this.name = "AccessTokenError";
    this.answered = answered;
  }
}

export interface AccessTokenOptions {
  readonly account: ServiceAccount;
  readonly tokenUrl: string | null;
  readonly transport: Transport;
}

export function createAccessToken({ account, tokenUrl, transport }: AccessTokenOptions): AccessToken {
  const requests = createTokenRequests(tokenUrl, transport);
  const make = () =>
    new JWT({
      email: account.clientEmail,
      key: account.privateKey,
      keyId: account.privateKeyId,
      scopes: [SCOPE],
      transporterOptions: {
        fetchImplementation: requests.fetch,
        // The library would ask twice more within a second; when to ask again is decided in retry.ts.
        retryConfig: { retry: 0, noResponseRetries: 0 },
      },
    });
  let client = make();
  let current: string | null = null;
  return {
    async get() {
      try {
        const { token } = await client.getAccessToken();
        if (token === null || token === undefined) throw new AccessTokenError(true, "no_token");
        current = token;
        return token;
      } catch (error) {
        throw toAccessTokenError(error);
      }
    },
    refused(token) {
      if (token !== current) return;
      current = null;
      // A new client has nothing cached.
      client = make();
    },
    stop: requests.stop,
  };
}

function toAccessTokenError(error: unknown): AccessTokenError {
  if (error instanceof AccessTokenError) return error;
  const { response, code } = error as { response?: { status?: unknown; data?: unknown }; code?: unknown };
  if (typeof response?.status === "number" && response.status < 500) {
    const word = (response.data as { error?: unknown } | undefined)?.error;
    return new AccessTokenError(true, typeof word === "string" ? word : `status_${response.status}`);
  }
  return new AccessTokenError(false, typeof code === "string" ? code : "token_endpoint");
}
