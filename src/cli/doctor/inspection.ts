// Who signed what is presented on the way to a provider: a public authority, one that egress.ca_file names, or neither.
import { isIP, type Socket } from "node:net";
import { connect, rootCertificates, type TLSSocket } from "node:tls";
import { connectTcp } from "../../delivery/tcp.ts";
import type { HttpProxy, Transport } from "../../delivery/transport.ts";
import { openTunnel } from "../../delivery/tunnel.ts";
import { ASK_MS } from "./ask.ts";
import { presentedBy } from "./pem.ts";

export type Inspection =
  /** No connection, which the look at the provider itself tells better. */
  | { readonly kind: "unreached" }
  | { readonly kind: "public" | "named"; readonly issuer: string }
  | { readonly kind: "untrusted"; readonly issuer: string; readonly complaint: string };

/** @param origin `https:`, host and port */
export async function inspect(origin: string, transport: Transport): Promise<Inspection> {
  const open = await look(origin, transport, rootCertificates);
  if (open === null) return { kind: "unreached" };
  const { issuer } = open;
  if (open.complaint === null) return { kind: "public", issuer };
  if (transport.ca === undefined) return { kind: "untrusted", issuer, complaint: open.complaint };
  const named = await look(origin, transport, transport.ca);
  if (named === null) return { kind: "unreached" };
  return named.complaint === null
    ? { kind: "named", issuer: named.issuer }
    : { kind: "untrusted", issuer: named.issuer, complaint: named.complaint };
}

interface Look {
  readonly issuer: string;
  /** Null if trusted. */
  readonly complaint: string | null;
}

async function look(origin: string, transport: Transport, ca: readonly string[]): Promise<Look | null> {
  const signal = AbortSignal.timeout(ASK_MS);
  let socket: Socket | null = null;
  try {
    const { hostname, port } = new URL(origin);
    const to = port === "" ? 443 : Number(port);
    const proxy = transport.proxyFor(hostname);
    if (proxy === null) {
      socket = await connectTcp({ host: hostname, port: to, lookup: transport.lookup, turn: 0, signal });
    } else {
      socket = await reach(proxy, transport, signal);
      await openTunnel(socket, proxy, `${hostname}:${to}`, signal);
    }
    const secured = await secure(socket, hostname, ca, signal);
    socket = secured;
    const issuer = presentedBy(secured)[0]?.issuer.split("\n").join(", ") ?? "nobody";
    return { issuer, complaint: secured.authorized ? null : String(secured.authorizationError) };
  } catch {
    return null;
  } finally {
    socket?.destroy();
  }
}

async function reach(proxy: HttpProxy, transport: Transport, signal: AbortSignal): Promise<Socket> {
  const { host, port } = proxy;
  const plain = await connectTcp({ host, port, lookup: transport.lookup, turn: 0, signal });
  // Whether the proxy's own certificate is trusted is the senders' business, and told by them.
  return proxy.secure ? secure(plain, host, [], signal) : plain;
}

function secure(
  socket: Socket,
  urlHost: string,
  ca: readonly string[],
  signal: AbortSignal,
): Promise<TLSSocket> {
  const host = urlHost.replace(/^\[(.*)\]$/, "$1");
  return new Promise((resolve, reject) => {
    const name = isIP(host) === 0 ? { servername: host } : {};
    const secured = connect({
      socket,
      host,
      ...name,
      ALPNProtocols: ["h2", "http/1.1"],
      rejectUnauthorized: false,
      ca: [...ca],
    });
    const abandon = () => secured.destroy(new Error("timeout"));
    signal.addEventListener("abort", abandon, { once: true });
    secured.once("secureConnect", () => {
      signal.removeEventListener("abort", abandon);
      resolve(secured);
    });
    secured.on("error", reject);
    secured.once("close", () => reject(new Error("closed")));
  });
}
