// `pair status`: both nodes side by side, as the running node here sees them.
import { askNode, notInboxbell } from "../ops/control.ts";
import { isPairStatus, PAIR_VERBS, type PairMember, type PairStatus } from "../pair/status.ts";
import { print } from "./output.ts";
import { alarmText, reasonText, seedingText } from "./pair-words.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";

/**
 * Prints the pair's status.
 * @returns the exit code: 0 while the pair is protected and nothing is wrong, 1 otherwise, a single node included
 * @throws BellError `not_running` or `control_denied`
 */
export async function pairStatus(options: NodeOptions & { readonly json: boolean }): Promise<number> {
  const socket = controlSocket(options);
  const answer = await askNode(socket, PAIR_VERBS.status);
  if (!isPairStatus(answer)) throw notInboxbell(socket);
  print(options.json ? JSON.stringify(answer, null, 2) : pairStatusText(answer, Date.now()));
  return answer.paired && answer.protected && answer.alarms.length === 0 ? 0 : 1;
}

type Row = readonly [name: string, here: string, there: string];

/** @param now epoch milliseconds */
export function pairStatusText(status: PairStatus, now: number): string {
  const { here, peer } = status;
  if (!status.paired) {
    const last = takeoverText(status);
    return [
      `${here.name} is a single node: no pair is configured, or the other node was forgotten.`,
      ...(last === null ? [] : [`Last takeover: ${last}`]),
    ].join("\n");
  }
  const rows: readonly Row[] = [
    ["", `${here.name} (this node)`, peer?.name ?? `(${status.peerAddress ?? "unknown"})`],
    row("role", (member) => `${member.role} for ${duration(member.forSeconds)}`, status),
    row("because", (member) => reasonText(member.why), status),
    row("epoch", (member) => `${member.epoch}`, status),
    row("rows", (member) => seedingText(member.seeding), status),
    ["state", hereState(status), peer === null ? "" : peerState(peer, status)],
    [
      "to receive",
      status.behindRows === null ? "unknown" : `${status.behindRows} rows`,
      peer === null ? "" : `${status.lagRows} rows`,
    ],
  ];
  const [names, heres] = [0, 1].map((at) => Math.max(...rows.map((each) => each[at]?.length ?? 0)));
  const table = rows.map(([name, left, right]) =>
    `${name.padEnd(names ?? 0)}  ${left.padEnd(heres ?? 0)}  ${right}`.trimEnd(),
  );
  return [
    protectionText(status),
    "",
    ...table,
    "",
    ...linkLines(status, now),
    ...status.alarms.map(alarmLine),
  ].join("\n");
}

/** Whether what is answered survives the loss of a node, in plain words. */
function protectionText({
  protected: safe,
  waiting,
  link,
  peer,
  here,
  peerAddress,
  lagRows,
}: PairStatus): string {
  if (safe) return "PROTECTED: everything that was answered is on both nodes.";
  const other = peer?.name ?? peerAddress ?? "the other node";
  if (link?.up !== true) {
    return `NOT PROTECTED: there is no link to ${other}. What is answered now is on ${here.name} only.`;
  }
  const behind = `${lagRows} rows are on ${here.name} only`;
  return waiting
    ? `NOT PROTECTED YET: ${behind}.`
    : `NOT PROTECTED: ${other} catches up, and answers do not wait for it; ${behind}.`;
}

function row(name: string, say: (member: PairMember) => string, { here, peer }: PairStatus): Row {
  return [name, say(here), peer === null ? "" : say(peer)];
}

function hereState({ here }: PairStatus): string {
  if (!here.serving) return "NOT SERVING: answers 503";
  if (here.role === "active")
    return here.rings ? "answers and rings" : "answers; rings nothing at the moment";
  return `answers; ${readiness(here)}`;
}

function peerState(peer: PairMember, { link }: PairStatus): string {
  if (link?.up !== true) return "not heard at present";
  return peer.role === "active" ? "answers and rings" : `answers; ${readiness(peer)}`;
}

function readiness({ ready }: PairMember): string {
  return ready ? "ready to take over" : "NOT READY to take over";
}

function linkLines(status: PairStatus, now: number): readonly string[] {
  const { link, peer, roundTripMs, clockSkewMs } = status;
  const heard =
    peer === null || peer.heardSecondsAgo === null
      ? "not heard since the start"
      : `last heard ${duration(peer.heardSecondsAgo)} ago`;
  const trip = roundTripMs === null ? "" : `, round trip ${roundTripMs.toFixed(1)} ms`;
  const how =
    link === null
      ? "none"
      : link.up
        ? `up${trip}`
        : `DOWN (${link.why ?? "unknown"}): ${(link.detail ?? "no reason is known").replace(/\.$/, "")}`;
  return [
    `link           ${how}; ${heard}`,
    ...(link === null ? [] : [`certificate    ${certificateText(link.certificateExpiresAt - now)}`]),
    `clocks         ${clockSkewMs === null ? "not compared yet" : `${Math.abs(clockSkewMs / 1000).toFixed(3)} s apart`}`,
    `last takeover  ${takeoverText(status) ?? "none that is known"}`,
  ];
}

function certificateText(leftMs: number): string {
  const left = duration(Math.abs(leftMs) / 1000);
  return leftMs < 0 ? `EXPIRED ${left} ago` : `good for another ${left}; renews by itself`;
}

function takeoverText({ lastTakeover: last }: PairStatus): string | null {
  if (last === null) return null;
  const { by, at, secondsAgo, epoch, why } = last;
  return `${by} at ${at} (${duration(secondsAgo)} ago), epoch ${epoch}: ${reasonText(why)}`;
}

function alarmLine(alarm: PairStatus["alarms"][number]): string {
  return `!! ${alarmText(alarm)}`;
}

function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
