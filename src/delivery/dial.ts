// Makes one outgoing connection: by TCP to the host or to the proxy before it, through the proxy's tunnel, then TLS.
// The result is a plain socket that any protocol can be spoken over, as fast through a tunnel as directly.
import type { Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { DialError, dialCode } from "./dial-error.ts";
import { connectTcp } from "./tcp.ts";
import type { ClientIdentity, HttpProxy, Transport } from "./transport.ts";
import { openTunnel } from "./tunnel.ts";

export interface DialOptions {
  /** Scheme, host and port; `http:` is spoken in clear text, without a proxy. */
  readonly origin: string;
  readonly transport: Transport;
  readonly identity: ClientIdentity | null;
  /** What is to be spoken: its name in TLS (RFC 7301); `either` leaves it to the peer. */
  readonly protocol: "h2" | "http/1.1" | "either";
  /** With which of the host's addresses to begin. */
  readonly turn: number;
}

export interface DialOwner {
  /** Called within the event that completed the connection, so that nothing the peer says is missed. */
  connected(socket: Socket): void;
  /** `code`: a system's or TLS error code, or one of `hints.ts`. */
  failed(code: string): void;
}

export interface Dialling {
  /** What it means if nothing more comes: the code to report when it takes too long. */
  readonly silence: string;
  /** Gives up without a word to the owner. */
  abandon(): void;
}

/** Starts a connection. It has no time limit of its own: the owner abandons it. */
export function dial(options: DialOptions, owner: DialOwner): Dialling {
  const abandoned = new AbortController();
  const { signal } = abandoned;
  const way = { silence: "ETIMEDOUT" };
  let socket: Socket | null = null;
  const url = new URL(options.origin);
  const secure = url.protocol === "https:";
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  const proxy = secure ? options.transport.proxyFor(url.hostname) : null;

  async function run(): Promise<void> {
    socket =
      proxy === null ? await tcp(url.hostname, port) : await throughProxy(proxy, `${url.hostname}:${port}`);
    signal.throwIfAborted();
    if (!secure) return owner.connected(socket);
    const encrypted = startTls(socket, url.hostname, options);
    socket = encrypted;
    return whenSecure(encrypted, () => {
      const agreed = encrypted.alpnProtocol;
      // An HTTP/1.1 server without ALPN is fine; HTTP/2 has to be agreed on (RFC 9113, section 3.3).
      if (options.protocol === "h2" && agreed !== "h2") throw new DialError("no_http2");
      owner.connected(encrypted);
    });
  }

  async function throughProxy(proxy: HttpProxy, authority: string): Promise<Socket> {
    way.silence = "proxy_unreachable";
    const there = await reachProxy(proxy);
    way.silence = "proxy_silent";
    await openTunnel(there, proxy, authority, signal);
    way.silence = "ETIMEDOUT";
    return there;
  }

  async function reachProxy(proxy: HttpProxy): Promise<Socket> {
    const plain = await tcp(proxy.host, proxy.port).catch(() => {
      throw new DialError("proxy_unreachable");
    });
    if (!proxy.secure) return plain;
    const encrypted = startTls(plain, proxy.host, { ...options, identity: null, protocol: "http/1.1" });
    socket = encrypted;
    try {
      await whenSecure(encrypted, () => {});
    } catch (error) {
      throw new DialError(isCertificateError(dialCode(error)) ? "proxy_certificate" : "proxy_unreachable");
    }
    return encrypted;
  }

  async function tcp(host: string, port: number): Promise<Socket> {
    const { transport, turn } = options;
    const made = await connectTcp({ host, port, lookup: transport.lookup, turn, signal });
    // From here on `abandon` ends it; if that was a moment ago, this does.
    socket = made;
    signal.throwIfAborted();
    return made;
  }

  run().catch((error: unknown) => {
    socket?.destroy();
    const code = dialCode(error);
    // TLS's own word where the peer knows other protocols and not this one (RFC 7301, section 3.2).
    const isOther = options.protocol === "h2" && code.includes("NO_APPLICATION_PROTOCOL");
    if (!signal.aborted) owner.failed(isOther ? "no_http2" : code);
  });

  return {
    get silence() {
      return way.silence;
    },
    abandon() {
      abandoned.abort();
      socket?.destroy();
    },
  };
}

type TlsOptions = Pick<DialOptions, "transport" | "identity" | "protocol">;

/** @throws DialError `credential` if the client certificate cannot be used */
function startTls(socket: Socket, urlHost: string, { transport, identity, protocol }: TlsOptions): TLSSocket {
  const host = urlHost.replace(/^\[(.*)\]$/, "$1");
  try {
    return connectTls({
      socket,
      // The name that the certificate must have; also what is asked for by SNI, unless it is an address.
      host,
      ...(isName(host) ? { servername: host } : {}),
      ALPNProtocols: protocol === "either" ? ["h2", "http/1.1"] : [protocol],
      ...(transport.ca === undefined ? {} : { ca: [...transport.ca] }),
      ...(identity ?? {}),
    });
  } catch {
    // The library's message may quote the file: it goes no further.
    throw new DialError("credential");
  }
}

function isName(host: string): boolean {
  return !host.includes(":") && !/^[0-9.]+$/.test(host);
}

/** Calls `use` within the event that completes the handshake; rejects with what went wrong or what `use` throws. */
function whenSecure(socket: TLSSocket, use: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("secureConnect", () => {
      try {
        use();
        resolve();
      } catch (error) {
        reject(error);
      }
    });
    // Stays: an error of a socket that nobody listens to would end the process.
    socket.on("error", reject);
    socket.once("close", () => reject(new DialError("ECONNRESET")));
  });
}

/** Whether a TLS error says that the peer's certificate is not good; the words are OpenSSL's and Node's. */
function isCertificateError(code: string): boolean {
  return /CERT|SIGNATURE|ISSUER|SELF_SIGNED|VERIFY/.test(code);
}
