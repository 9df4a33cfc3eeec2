// The running node, as it tells of itself over the control socket; and the pair, where one runs.
import { BUILD } from "../../build-info.ts";
import { type BellError, isBellError } from "../../errors.ts";
import { askNode } from "../../ops/control.ts";
import { isNodeStatus, type NodeStatus } from "../../ops/status.ts";
import { found, good, type Result } from "./findings.ts";

export interface NodeSight {
  readonly results: readonly Result[];
  /** Null where no node answered. */
  readonly status: NodeStatus | null;
  /** Whether one runs, be it that it may not be asked. */
  readonly running: boolean;
}

export async function examineNode(socket: string): Promise<NodeSight> {
  try {
    const status = await askNode(socket, "status");
    if (!isNodeStatus(status)) {
      const seen = "what answers is no Inboxbell of this version";
      return { results: [found("version_differs", socket, seen)], status: null, running: true };
    }
    return { results: judgeStatus(status), status, running: true };
  } catch (error) {
    if (!isBellError(error)) throw error;
    return { results: [refusal(socket, error)], status: null, running: error.code === "control_denied" };
  }
}

function refusal(socket: string, error: BellError): Result {
  const code = error.code === "control_denied" ? "node_denied" : "node_not_running";
  return found(code, socket, error.message);
}

// Checks whose failure another look tells better: of the paused apps, and of the pair.
const TOLD_ELSEWHERE: ReadonlySet<string> = new Set(["providers", "other node"]);
// The check that fails where rings are due and none gets through.
const DELIVERY = "delivery";

/** What a node's own status means. Pure. */
export function judgeStatus(status: NodeStatus): Result[] {
  const { node, version, commit, ready, checks, paused, needsRestart } = status;
  const failing = checks.filter(({ name, ok }) => !ok && !TOLD_ELSEWHERE.has(name));
  const trouble = failing
    .filter(({ name }) => name !== DELIVERY)
    .map(({ name, detail }) => `${name}: ${detail}`)
    .join("; ");
  const results: Result[] = [
    !ready
      ? found("node_not_ready", node, trouble || "it says so")
      : trouble === ""
        ? good("node", node, `ready (${status.role}), ${ringsOwed(status.owed)}`)
        : found("node_impaired", node, trouble),
  ];
  for (const { name, detail } of failing) {
    if (name === DELIVERY) results.push(found("rings_stalled", node, detail));
  }
  if (version !== BUILD.version || commit !== BUILD.commit) {
    const seen = `it runs ${version} (${commit}), this is ${BUILD.version} (${BUILD.commit})`;
    results.push(found("version_differs", node, seen));
  }
  for (const { app, provider, reason, hint, seconds } of paused) {
    const seen = `paused for ${Math.round(seconds)} s: ${reason}`;
    results.push(found("app_paused", `${app} on ${provider}`, seen, hint));
  }
  if (needsRestart.length > 0) results.push(found("restart_needed", node, needsRestart.join(", ")));
  return results;
}

function ringsOwed(count: number): string {
  return `${count} ${count === 1 ? "ring" : "rings"} owed`;
}
