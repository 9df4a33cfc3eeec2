// How outgoing connections are made and whom they trust: the runtime's root certificates and, where the
// configuration names one, a further authority (egress.ca_file); through which proxy (egress.proxy), if any.
import { lookup as lookUp } from "node:dns/promises";
import { rootCertificates } from "node:tls";
import { exemptHosts } from "./no-proxy.ts";

/** An HTTP proxy that tunnels by CONNECT. */
export interface HttpProxy {
  readonly host: string;
  readonly port: number;
  /** Whether the proxy itself is spoken to over TLS. */
  readonly secure: boolean;
  /** Value of `Proxy-Authorization`, or null. Never logged. */
  readonly authorization: string | null;
}

/** The addresses of a host, in the order in which they are to be tried. Rejects with a code where there are none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface Transport {
  /** Trusted authorities, PEM; undefined means the runtime's own. */
  readonly ca: readonly string[] | undefined;
  readonly lookup: Lookup;
  /** The proxy on the way to a host (a URL's, IPv6 in brackets), or null where the way is direct. */
  proxyFor(host: string): HttpProxy | null;
}

export interface TransportOptions {
  /** PEM text with one or more certificates, added to the default ones, or null. */
  readonly ca?: string | null;
  readonly proxy?: {
    /** `http://` or `https://`, host and port. */
    readonly url: string;
    readonly user: { readonly name: string; readonly password: string } | null;
    /** Hosts, `.suffixes`, addresses and CIDR blocks that are reached directly. */
    readonly exempt: readonly string[];
  } | null;
  readonly lookup?: Lookup;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export function createTransport(options: TransportOptions = {}): Transport {
  const { ca = null, proxy = null } = options;
  const way = proxy === null ? null : proxyOf(proxy.url, proxy.user);
  const isExempt = exemptHosts(proxy?.exempt ?? []);
  return {
    ca: ca === null ? undefined : [...rootCertificates, ...(ca.match(CERTIFICATE) ?? [])],
    lookup: options.lookup ?? addressesOf,
    proxyFor: (host) => (way === null || isExempt(host) ? null : way),
  };
}

function proxyOf(url: string, user: { readonly name: string; readonly password: string } | null): HttpProxy {
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === "https:";
  return {
    host: hostname,
    port: port === "" ? (secure ? 443 : 80) : Number(port),
    secure,
    // RFC 7617; UTF-8 is what its section 2.1 recommends.
    authorization:
      user === null ? null : `Basic ${Buffer.from(`${user.name}:${user.password}`).toString("base64")}`,
  };
}

// getaddrinfo(3), asked anew for each connection: it follows /etc/hosts, and resolv.conf when that changes.
async function addressesOf(host: string): Promise<readonly string[]> {
  const found = await lookUp(host, { all: true });
  return found.map(({ address }) => address);
}

/** A client certificate for a connection. */
export type ClientIdentity =
  | { readonly cert: string; readonly key: string }
  | { readonly pfx: Buffer; readonly passphrase: string };
