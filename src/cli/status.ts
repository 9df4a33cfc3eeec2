// `status`: the running node in one screen.
import { askNode, notInboxbell } from "../ops/control.ts";
import { isNodeStatus, type NodeStatus } from "../ops/status.ts";
import { print } from "./output.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";

/**
 * Prints the status.
 * @returns the exit code: 0 if the node is ready
 * @throws BellError `not_running` or `control_denied`
 */
export async function status(options: NodeOptions & { readonly json: boolean }): Promise<number> {
  const socket = controlSocket(options);
  const answer = await askNode(socket, "status");
  if (!isNodeStatus(answer)) throw notInboxbell(socket);
  print(options.json ? JSON.stringify(answer, null, 2) : statusText(answer));
  return answer.ready ? 0 : 1;
}

type Row = readonly [name: string, text: string];

/** The status as text for a terminal: what is served first, what somebody has to do about last. */
export function statusText(status: NodeStatus): string {
  const rows: readonly Row[] = [
    [
      "node",
      `${status.node} (${status.role}), version ${status.version}, up ${duration(status.uptimeSeconds)}`,
    ],
    ["state", status.ready ? "ready" : "NOT READY"],
    ...pairRows(status.pair ?? null),
    ...status.checks.map((check): Row => [`  ${check.name}`, `${check.ok ? "ok" : "!!"}  ${check.detail}`]),
    ...status.listeners.map(
      (each): Row => [`listen ${each.name}`, `${each.address}:${each.port}, ${each.connections} connections`],
    ),
    ["certificates", list(status.certificates.map(certificateText))],
    ["registrations", registrationsText(status)],
    [
      "subscriptions",
      list(Object.entries(status.subscriptions).map(([state, count]) => `${count} ${state}`)),
    ],
    ["Exchange", exchangeText(status)],
    ["rings", list(status.rings.map(ringText))],
    [
      "owed",
      status.owed === 0
        ? "nothing"
        : `${status.owed} rings, the oldest for ${duration(status.owedOldestSeconds ?? 0)}`,
    ],
    ...status.paused.flatMap((each): Row[] => [
      ["PAUSED", `${each.app} on ${each.provider} for ${duration(each.seconds)}: ${each.reason}`],
      ["", each.hint],
    ]),
    ...(status.needsRestart.length === 0
      ? []
      : [["RESTART", `needs a restart: ${status.needsRestart.join(", ")}`] as const]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join("\n");
}

function pairRows(pair: NonNullable<NodeStatus["pair"]> | null): Row[] {
  if (pair === null) return [];
  const { peer, address, why, forSeconds, heardSecondsAgo, lagRows } = pair;
  const heard = heardSecondsAgo === null ? "not heard since the start" : `last heard ${ago(heardSecondsAgo)}`;
  const rows = pair.protected ? "has every row" : `lacks ${lagRows} rows`;
  return [
    [
      "other node",
      `${peer} at ${address}, ${pair.up ? rows : `NOT REACHED, ${heard}: ${pair.detail ?? ""}`}`,
    ],
    ["role", `for ${duration(forSeconds)}: ${why}`],
    ...pair.alarms.map((alarm): Row => ["ALARM", alarm]),
  ];
}

function list(parts: readonly string[]): string {
  return parts.join(", ") || "none";
}

function certificateText({ name, expiresInSeconds }: NodeStatus["certificates"][number]): string {
  return expiresInSeconds < 0
    ? `${name} EXPIRED ${duration(-expiresInSeconds)} ago`
    : `${name} for another ${duration(expiresInSeconds)}`;
}

function registrationsText({ registrations, notRung }: NodeStatus): string {
  const counts = list(registrations.map((each) => `${each.count} ${each.app} (${each.platform})`));
  return notRung === 0
    ? counts
    : `${counts}; ${notRung} not rung until renewed: the provider refused the token`;
}

function exchangeText({ exchange: { notifications, heardSecondsAgo } }: NodeStatus): string {
  const heard = heardSecondsAgo === null ? "not heard since the start" : `last heard ${ago(heardSecondsAgo)}`;
  return `${heard}, ${notifications} notifications since the start`;
}

function ringText({ provider, triedSecondsAgo, acceptedSecondsAgo }: NodeStatus["rings"][number]): string {
  if (acceptedSecondsAgo !== null) return `${provider} last accepted ${ago(acceptedSecondsAgo)}`;
  return triedSecondsAgo === null
    ? `${provider} not tried yet`
    : `${provider} none accepted, last tried ${ago(triedSecondsAgo)}`;
}

function ago(seconds: number): string {
  return `${duration(seconds)} ago`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
