// The phone's side of the registration API: requests through TLS, over a tunnel that may lose them or their answers.

/** What the network between phone and listener does to one request. */
export type TunnelFault =
  /** The request never arrives. */
  | "request"
  /** The request arrives and is carried out; its answer does not come back. */
  | "answer";

/** Asked before each request; null lets it through unharmed. */
export type Tunnel = () => TunnelFault | null;

export interface ApiAnswer {
  readonly status: number;
  /** Parsed JSON, or null for an empty body. */
  readonly body: unknown;
}

/** The network lost the request or its answer; the phone cannot tell which. */
export class TunnelError extends Error {
  /** Why there was no connection, in the system's or OpenSSL's word, where one of them says so. */
  get reason(): string | null {
    const { cause } = this;
    return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : null;
  }
}

export interface RegistrationClient {
  /** Throws `TunnelError` when the network fails. */
  send(method: "GET" | "PUT" | "POST" | "DELETE", path: string, options?: SendOptions): Promise<ApiAnswer>;
}

export interface SendOptions {
  readonly body?: unknown;
  /** Goes into `Authorization: Bearer`. */
  readonly bearer?: string;
}

/**
 * @param url base of the registration listener, without a trailing slash
 * @param ca PEM of the authorities that the phone trusts
 * @param signal aborts what is under way
 */
export function createRegistrationClient(
  url: string,
  ca: string,
  tunnel: Tunnel,
  signal: AbortSignal,
): RegistrationClient {
  async function exchange(method: string, path: string, options: SendOptions): Promise<ApiAnswer> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(options.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(options.bearer === undefined ? {} : { Authorization: `Bearer ${options.bearer}` }),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      redirect: "manual",
      keepalive: false,
      signal,
      tls: { ca, rejectUnauthorized: true },
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }
  return {
    async send(method, path, options = {}) {
      const fault = tunnel();
      if (fault === "request") throw new TunnelError("the request was lost");
      let answer: ApiAnswer;
      try {
        answer = await exchange(method, path, options);
      } catch (error) {
        throw new TunnelError("the network failed", { cause: error });
      }
      if (fault === "answer") throw new TunnelError("the answer was lost");
      return answer;
    },
  };
}
