// Connects to the peer once: a TLS socket whose other end has proved its name, or why not. A refusal is told apart from
// silence: refused means that the peer's host lives and nobody listens there.
import { connect, type SecureVersion, type TLSSocket } from "node:tls";

/** PEM texts: the pair's own authority, this node's certificate by it, and its key. */
export interface LinkIdentity {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface DialFailure {
  readonly why: /** The peer's host answered that nobody listens. */
    | "refused"
    /** No answer in time. */
    | "silent"
    /** There is no way to the host, or no host of that name. */
    | "unreachable"
    /** Not the peer, or it does not take this node for its own. */
    | "rejected"
    /** Accepted and closed again. */
    | "closed";
  readonly detail: string;
}

export interface Dial {
  readonly done: Promise<TLSSocket | DialFailure>;
  cancel(): void;
}

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly peerName: string;
  readonly identity: LinkIdentity;
  readonly timeoutMs: number;
}

const UNREACHABLE = new Set([
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENETDOWN",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EADDRNOTAVAIL",
]);
const CLOSED = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

export function dial(options: DialOptions): Dial {
  const { host, port, peerName, identity } = options;
  const socket = connect({ host, port, servername: peerName, ...secured(identity) });
  const done = new Promise<TLSSocket | DialFailure>((resolve) => {
    const timer = setTimeout(() => {
      fail({ why: "silent", detail: `${host}:${port} did not answer within ${options.timeoutMs} ms.` });
    }, options.timeoutMs);
    function fail(failure: DialFailure): void {
      clearTimeout(timer);
      resolve(failure);
      socket.destroy();
    }
    socket.on("error", (error: Error & { readonly code?: unknown }) => {
      const failure = failureOf(error);
      const isOther = error.code === "ERR_TLS_CERT_ALTNAME_INVALID";
      // Such as this node itself, where its own address was given for the other one's.
      const who = isOther ? `What answers at ${host}:${port} is not "${peerName}". ` : "";
      fail({ ...failure, detail: who + failure.detail });
    });
    socket.once("close", () => fail({ why: "closed", detail: "The connection was closed at once." }));
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
  return { done, cancel: () => socket.destroy() };
}

/** What both ends of the link ask of TLS: the newest version, and a certificate by the pair's own authority. */
export function secured(identity: LinkIdentity) {
  const minVersion: SecureVersion = "TLSv1.3";
  return {
    ca: [identity.ca],
    cert: identity.certificate,
    key: identity.key,
    minVersion,
    rejectUnauthorized: true,
  };
}

/** Sorts an error of connecting. */
export function failureOf(error: Error & { readonly code?: unknown }): DialFailure {
  const code = typeof error.code === "string" ? error.code : "";
  const detail = code === "" ? error.message : `${error.message} (${code})`;
  if (code === "ECONNREFUSED") return { why: "refused", detail };
  if (code === "ETIMEDOUT") return { why: "silent", detail };
  if (UNREACHABLE.has(code)) return { why: "unreachable", detail };
  if (CLOSED.has(code) || code === "") return { why: "closed", detail };
  return { why: "rejected", detail };
}
