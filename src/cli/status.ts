// `status`: the running node in one screen.
import { askNode, notInboxbell } from "../ops/control.ts";
import { isNodeStatus, type NodeStatus } from "../ops/status.ts";

export async function status(options: { readonly socket: string; readonly json: boolean }): Promise<number> {
  const answer = await askNode(options.socket, "status");
  if (!isNodeStatus(answer)) throw notInboxbell(options.socket);
  console.log(options.json ? JSON.stringify(answer, null, 2) : statusText(answer));
  return answer.ready ? 0 : 1;
}

/** The status as text for a terminal. */
export function statusText(status: NodeStatus): string {
  const rows: (readonly [string, string])[] = [
    [
      "node",
      `${status.node} (${status.role}), version ${status.version}, up ${duration(status.uptimeSeconds)}`,
    ],
    ["state", status.ready ? "ready" : "NOT READY"],
    ...status.checks.map((check): readonly [string, string] => [
      `  ${check.name}`,
      `${check.ok ? "ok" : "!!"}  ${check.detail}`,
    ]),
    ...status.listeners.map((each): readonly [string, string] => [
      `listen ${each.name}`,
      `${each.address}:${each.port}, ${each.connections} connections`,
    ]),
    [
      "registrations",
      status.registrations.map((each) => `${each.count} ${each.app} (${each.platform})`).join(", ") || "none",
    ],
    [
      "subscriptions",
      Object.entries(status.subscriptions)
        .map(([state, count]) => `${count} ${state}`)
        .join(", ") || "none",
    ],
    [
      "owed",
      status.owed === 0
        ? "nothing"
        : `${status.owed} rings, the oldest for ${duration(status.owedOldestSeconds ?? 0)}`,
    ],
    ...status.paused.map((each): readonly [string, string] => [
      "PAUSED",
      `${each.app} on ${each.provider}: ${each.reason}`,
    ]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join("\n");
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
