// A host with a port, as the configuration writes the address of another machine. Pure.
import { isIP } from "node:net";

export interface HostAndPort {
  /** A name or an address; an IPv6 address without its brackets. */
  readonly host: string;
  readonly port: number;
}

// DNS names have no more (RFC 1035, 2.3.4).
const LONGEST_HOST = 253;
const NAME =
  /^[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;

/** Reads `bell-b:7443`, `10.0.0.5:7443` or `[fd00::5]:7443`; null if it is none. */
export function hostAndPort(text: string): HostAndPort | null {
  const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || host.length > LONGEST_HOST || port < 1 || port > 65_535) return null;
  const isGood = bracketed === undefined ? isIP(host) === 4 || isHostName(host) : isIP(host) === 6;
  return isGood ? { host, port } : null;
}

/** Four numbers with dots between are an address or nothing. */
function isHostName(host: string): boolean {
  return NAME.test(host) && !/^[0-9.]+$/.test(host);
}

/** The same as a text. */
export function hostPortText({ host, port }: HostAndPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
