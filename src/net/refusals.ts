// Counts what the listener turns away and says so in the log, without letting an attacker fill it.
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import type { ListenerName } from "./limits.ts";

/** Why a connection was closed without, or instead of, an ordinary answer; a label of the metrics. */
export type RefusalReason =
  | "connections"
  | "address_connections"
  | "allow"
  | "proxy_protocol"
  | "rate"
  | "handshake"
  | "handshake_time"
  | "headers_time"
  | "body_time"
  | "answer_time"
  | "write_time"
  | "malformed"
  | "oversize"
  | "memory";

// One line for each reason in this time; the line says how many there were.
const QUIET_MS = 60_000;

const TEXT: Readonly<Record<RefusalReason, string>> = {
  connections: "Connections were closed: there were as many as the listener holds.",
  address_connections: "Connections were closed: one address had as many as it may have.",
  allow: "Connections were closed: their address is not in the listener's allow list.",
  proxy_protocol:
    "Connections were closed: what a trusted proxy must send first was missing or wrong, or came from another.",
  rate: "Requests were refused: there were too many of one kind from one client.",
  handshake: "TLS handshakes failed.",
  handshake_time: "Connections were closed: the TLS handshake took too long.",
  headers_time: "Connections were closed: no complete request header arrived in time.",
  body_time: "Connections were closed: the body did not arrive in time.",
  answer_time: "Connections were closed: the request was not answered in time.",
  write_time: "Connections were closed: the answer was not read in time.",
  malformed: "Requests were refused: they are not well-formed HTTP/1.1.",
  oversize: "Requests were refused: their body is too large.",
  memory: "Connections were closed: the bodies in memory had reached their limit.",
};

// Port scans and load balancers' TCP monitors do these all day; the others are an administrator's business.
const ORDINARY: ReadonlySet<RefusalReason> = new Set(["handshake", "handshake_time", "headers_time"]);

export interface Refusals {
  count(why: RefusalReason, address: string): void;
}

/** @param now monotonic, milliseconds */
export function createRefusals(
  name: ListenerName,
  log: Logger,
  metrics: Metrics,
  now: () => number,
): Refusals {
  const seen = new Map<RefusalReason, { loggedAt: number; silent: number }>();
  return {
    count(why, address) {
      metrics.connectionsRefused.inc({ listener: name, why });
      const at = now();
      const entry = seen.get(why);
      if (entry !== undefined && at - entry.loggedAt < QUIET_MS) {
        entry.silent += 1;
        return;
      }
      const fields = {
        listener: name,
        why,
        count: 1 + (entry?.silent ?? 0),
        // Of a server in the company's network. A phone's address would be personal.
        address: name === "exchange" ? address : undefined,
      };
      seen.set(why, { loggedAt: at, silent: 0 });
      if (ORDINARY.has(why)) log.debug(fields, TEXT[why]);
      else log.warn(fields, TEXT[why]);
    },
  };
}
