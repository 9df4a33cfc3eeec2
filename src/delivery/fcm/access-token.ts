// The OAuth access token of a service account, from Google's own library. Its requests go over http2-wrapper,
// which agrees on HTTP/2 or HTTP/1.1 with whatever answers: they are rare, so its cost does not matter.
import { Agent as HttpsAgent } from "node:https";
import { JWT } from "google-auth-library";
import http2 from "http2-wrapper";
import type { ServiceAccount } from "../../config/types.ts";
import type { Transport } from "../transport.ts";

const SCOPE = "https://www.googleapis.com/auth/firebase.messaging";
// Google's library names this address whatever else it is told.
const GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token";
const TIMEOUT_MS = 15_000;

export interface AccessToken {
  /**
   * The token to send with; 50 callers at once cause one request.
   * @throws AccessTokenError
   */
  get(): Promise<string>;
  /** This one was refused: the next `get` asks for a new one, unless that happened already. */
  refused(token: string): void;
  /** Closes the connections to the token endpoint. */
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
  const agents = { http2: new http2.Agent(), https: new HttpsAgent({ keepAlive: false }) };
  const make = () =>
    new JWT({
      email: account.clientEmail,
      key: account.privateKey,
      keyId: account.privateKeyId,
      scopes: [SCOPE],
      transporterOptions: { fetchImplementation: tokenFetch(tokenUrl, transport.ca, agents) },
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
    stop() {
      agents.http2.destroy();
      agents.https.destroy();
    },
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

interface Agents {
  readonly http2: http2.Agent;
  readonly https: HttpsAgent;
}

/** A `fetch` for Google's library that goes to the configured address with the configured authorities. */
function tokenFetch(tokenUrl: string | null, ca: readonly string[] | undefined, agents: Agents) {
  // Which protocol an address speaks is remembered here, not for the whole process.
  const resolveProtocol = http2.auto.createResolveProtocol(new Map(), new Map());
  return async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const asked = input instanceof Request ? input.url : String(input);
    const url = asked === GOOGLE_TOKEN_URL && tokenUrl !== null ? tokenUrl : asked;
    const headers = new Headers(init.headers);
    const body = init.body === null || init.body === undefined ? "" : await new Response(init.body).text();
    if (!headers.has("content-type")) headers.set("content-type", "application/x-www-form-urlencoded");
    headers.set("content-length", String(Buffer.byteLength(body)));
    const request = await http2.auto(new URL(url), {
      method: init.method ?? "GET",
      headers: Object.fromEntries(headers.entries()),
      agent: agents,
      resolveProtocol,
      timeout: TIMEOUT_MS,
      ...(ca === undefined ? {} : { ca: [...ca] }),
    });
    return new Promise((resolve, reject) => {
      request.setTimeout(TIMEOUT_MS, () =>
        request.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })),
      );
      request.once("error", reject);
      request.once("response", (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.once("error", reject);
        answer.once("end", () => {
          const type = answer.headers["content-type"] ?? "application/json";
          const status = answer.statusCode ?? 502;
          resolve(new Response(Buffer.concat(chunks), { status, headers: { "content-type": type } }));
        });
      });
      request.end(body);
    });
  };
}
