// The link to the other node, as the running node tells of it over the control socket.
import { isBellError } from "../../errors.ts";
import { askNode } from "../../ops/control.ts";
import { isPairStatus, PAIR_VERBS, type PairStatus } from "../../pair/status.ts";
import type { TimeSight } from "./clock.ts";
import { found, good, type Result } from "./findings.ts";

export interface PairSight {
  readonly results: readonly Result[];
  readonly times: readonly TimeSight[];
}

const NO_PAIR: PairSight = { results: [], times: [] };
const DAY_MS = 86_400_000;
const SOON_MS = 30 * DAY_MS;

/** @param now epoch milliseconds */
export async function examinePair(socket: string, now: number): Promise<PairSight> {
  try {
    const answer = await askNode(socket, PAIR_VERBS.status);
    return isPairStatus(answer) ? judgePair(answer, now) : NO_PAIR;
  } catch (error) {
    // A single node, or one that the look at the node has told about.
    if (isBellError(error)) return NO_PAIR;
    throw error;
  }
}

/** What a node's answer about its pair means. Pure. */
export function judgePair(status: PairStatus, now: number): PairSight {
  const { paired, peer, peerAddress, link, clockSkewMs } = status;
  if (!paired || link === null) return NO_PAIR;
  const name = peer?.name ?? peerAddress ?? "the other node";
  const results = [linkResult(name, status), ...certificateResults(link.certificateExpiresAt, now)];
  // The clocks are judged by the numbers, and a node without a link is alone.
  const alarms = status.alarms.filter((alarm) => alarm !== "clock_skew" && alarm !== "alone");
  if (alarms.length > 0) results.push(found("pair_alarm", name, alarms.join(", ")));
  const times = clockSkewMs === null ? [] : [{ who: `node ${name}`, theirs: now + clockSkewMs, ours: now }];
  return { results, times };
}

function linkResult(name: string, { here, link, protected: isProtected, lagRows }: PairStatus): Result {
  if (link?.up !== true) {
    return found("pair_disconnected", name, link?.detail ?? link?.why ?? "there is no link to it");
  }
  if (!isProtected) return found("pair_unprotected", name, `${lagRows} rows are not acknowledged`);
  return good("pair", name, `connected, and holds everything that this node holds; this one is ${here.role}`);
}

function certificateResults(expiresAt: number, now: number): Result[] {
  const day = new Date(expiresAt).toISOString().slice(0, 10);
  const subject = "certificate of the pair's link";
  if (expiresAt <= now) return [found("certificate_expired", subject, `expired on ${day}`)];
  return expiresAt - now < SOON_MS ? [found("certificate_expires_soon", subject, `expires on ${day}`)] : [];
}
