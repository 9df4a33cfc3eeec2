// The link to the other node and its clock, as the running node tells of them over the control socket.
import { isBellError } from "../../errors.ts";
import { askNode } from "../../ops/control.ts";
import {
  isPairStatus,
  PAIR_VERBS,
  type PairAlarm,
  type PairLink,
  type PairStatus,
} from "../../pair/status.ts";
import { alarmText } from "../pair-words.ts";
import { clockText } from "./clock.ts";
import { found, good, type Result } from "./findings.ts";

// The two measure each other's clock to milliseconds; the node raises its own alarm at as much.
const APART_MS = 2_000;
const DAY_MS = 86_400_000;
// It renews itself a month before its end: later than that something is in the way.
const SOON_MS = 14 * DAY_MS;
const LINK_CERTIFICATE_REMEDY =
  "It renews itself where the authority's key, ca.key, lies beside pair.tls.ca: the node's journal says what is in the way. Renew one of your own in its place.";

/** @param now epoch milliseconds */
export async function examinePair(socket: string, now: number): Promise<Result[]> {
  try {
    const answer = await askNode(socket, PAIR_VERBS.status);
    return isPairStatus(answer) ? judgePair(answer, now) : [];
  } catch (error) {
    // A single node, or one that the look at the node has told about.
    if (isBellError(error)) return [];
    throw error;
  }
}

/** What a node's answer about its pair means. Pure. */
export function judgePair(status: PairStatus, now: number): Result[] {
  const { paired, here, peer, peerAddress, link } = status;
  if (!paired || link === null) return [];
  const name = peer?.name ?? peerAddress ?? "the other node";
  return [
    linkResult(name, status),
    ...certificateResults(link.certificateExpiresAt, now),
    ...status.alarms
      .filter((alarm) => !TOLD_ELSEWHERE.has(alarm))
      .map((alarm) => found("pair_alarm", here.name, alarm, alarmText(alarm))),
    ...clockResults(name, status),
  ];
}

/** Which of the two clocks is wrong, the providers tell. */
function clockResults(name: string, { link, clockSkewMs }: PairStatus): Result[] {
  // What was measured before the link went down says nothing of now.
  if (clockSkewMs === null || link?.up !== true) return [];
  const subject = `against node ${name}`;
  if (Math.abs(clockSkewMs) < APART_MS) {
    return [good("clock", subject, `the two agree to within ${APART_MS / 1000} s`)];
  }
  return [found("pair_clocks_apart", subject, clockText(-clockSkewMs))];
}

// The clocks are judged by the numbers, and a node without a link is alone.
const TOLD_ELSEWHERE: ReadonlySet<PairAlarm> = new Set<PairAlarm>(["clock_skew", "alone"]);

function linkResult(name: string, status: PairStatus): Result {
  const { here, link, lagRows, peerAddress } = status;
  if (link?.up !== true) {
    const { seen, remedy } = downText(peerAddress ?? name, link);
    return found("pair_disconnected", name, seen, remedy);
  }
  if (!status.protected) {
    const rows = lagRows === 1 ? "1 row is" : `${lagRows} rows are`;
    const waits = status.waiting ? "connected" : "connected, and answers do not wait for it yet";
    return found("pair_unprotected", name, `${waits}; ${rows} on this node only`);
  }
  return good("pair", name, `connected, and holds everything that this node holds; this one is ${here.role}`);
}

/** Why there is no link, and what can be done about that. @param address of the other node, `host:port` */
function downText(
  address: string,
  link: PairLink | null,
): { readonly seen: string; readonly remedy?: string } {
  const detail = link?.detail ?? "no reason is known";
  switch (link?.why) {
    case "refused":
      return {
        seen: `${address} refuses the connection: nobody listens there`,
        remedy:
          "Start the other node (systemctl start inboxbell) and read its journal if it does not stay up.",
      };
    case "silent":
      return {
        seen: `${address} does not answer`,
        remedy:
          "Look whether the other machine runs; if it does, at the firewalls between the two: TCP to that port, in both directions.",
      };
    case "unreachable":
      return {
        seen: `${address} cannot be reached (${detail})`,
        remedy: "Check pair.peer, this machine's DNS and its route to the other one.",
      };
    case "rejected":
      return {
        seen: `${address} answers, and the two do not take each other for a pair: ${detail}`,
        remedy:
          "Check pair.peer_name and pair.tls on both nodes, and that both run versions that work together; `inboxbell pair invite` and `pair join` make the certificates anew.",
      };
    case "closed":
      return {
        seen: `${address} closes the connection: ${detail}`,
        remedy: "Read the journal of the other node, which has the reason.",
      };
    case "starting":
      return { seen: `${address} has not been reached yet`, remedy: "Look again in a few seconds." };
    default:
      return { seen: detail };
  }
}

/** The certificate with which the running node proves itself to the other one. */
function certificateResults(expiresAt: number, now: number): Result[] {
  const day = new Date(expiresAt).toISOString().slice(0, 10);
  if (expiresAt <= now) return [linkCertificate("certificate_expired", day)];
  return expiresAt - now < SOON_MS ? [linkCertificate("certificate_expires_soon", day)] : [];
}

/** @param day as in the certificate, YYYY-MM-DD */
export function linkCertificate(
  code: "certificate_expired" | "certificate_expires_soon",
  day: string,
): Result {
  const seen = code === "certificate_expired" ? `expired on ${day}` : `expires on ${day}`;
  return found(code, "certificate of the pair's link", seen, LINK_CERTIFICATE_REMEDY);
}
