// What the `pair` verbs take on the command line, checked. Pure.
import { isIP } from "node:net";
import { parseDurationMs } from "../config/durations.ts";
import type { HostAndPort } from "../config/host-port.ts";
import { BellError } from "../errors.ts";
import { linkAddress, PAIR_PORT } from "../pair/addresses.ts";

// Long enough to change terminals and to think, short enough not to be forgotten. Milliseconds.
const LONGEST_MS = 86_400_000;
const SHORTEST_MS = 1_000;

/** How long an invitation is valid, milliseconds. @throws BellError `usage` */
export function durationOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= SHORTEST_MS && ms <= LONGEST_MS) return ms;
  throw new BellError("usage", "--valid: expected a duration from 1s to 24h, such as 15m.");
}

/** @throws BellError `usage` */
export function portOf(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new BellError("usage", "--port: expected a port, 0 to 65535.");
}

/** @throws BellError `usage` */
export function addressOf(option: string, text: string, port: number = PAIR_PORT): HostAndPort {
  const address = linkAddress(text, port);
  if (address !== null) return address;
  throw new BellError("usage", `${option}: expected a host, or host and port, such as bell-a:7443.`);
}

/** @throws BellError `usage` for a name that the link's certificates cannot carry */
export function nodeName(name: string): string {
  if (!/^[A-Za-z0-9._-]{1,63}$/.test(name)) {
    throw new BellError(
      "usage",
      `The node's name (${name}): expected 1 to 63 letters, digits, dots, hyphens and underscores.`,
    );
  }
  if (isIP(name) === 0 && linkAddress(name) === null) {
    throw new BellError(
      "usage",
      `The node's name (${name}) is none that a machine can have: give it another one with \`node\`, such as bell-b.`,
    );
  }
  if (isIP(name) === 0) return name;
  throw new BellError(
    "usage",
    `A node of a pair cannot be called ${name}, as an address: give it a name with \`node\`.`,
  );
}
