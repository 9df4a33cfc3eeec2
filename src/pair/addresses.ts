// Addresses of the pair's link as administrators give them: a host, with a port where it is not the usual one. Pure.
import { isIP } from "node:net";
import { type HostAndPort, hostAndPort } from "../config/host-port.ts";

/** The port of the pair's link unless somebody says otherwise. */
export const PAIR_PORT = 7443;

/** Reads `bell-b`, `bell-b:7443`, `10.0.0.5`, `fd00::5` or `[fd00::5]:7443`; null if it is none of them. */
export function linkAddress(text: string, port: number = PAIR_PORT): HostAndPort | null {
  const host = isIP(text) === 6 ? `[${text}]` : text;
  return hostAndPort(host) ?? hostAndPort(`${host}:${port}`);
}
