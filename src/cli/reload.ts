// `reload`: has the running node read its configuration and every file that it names again.
import type { Change } from "../config/change.ts";
import { countText, formatProblem } from "../config/problems.ts";
import { askNode } from "../ops/control.ts";
import type { ReloadAnswer } from "../reload.ts";
import { print } from "./output.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";

/**
 * Prints what has changed and what needs a restart, or every problem.
 * @returns the exit code: 0 when the new configuration is in force
 * @throws BellError `not_running`, `control_denied`, or `stopping`
 */
export async function reload(options: NodeOptions & { readonly json: boolean }): Promise<number> {
  const answer = (await askNode(controlSocket(options), "reload")) as ReloadAnswer;
  print(options.json ? JSON.stringify(answer, null, 2) : reloadText(answer));
  return answer.ok ? 0 : 1;
}

/** The answer as text for a terminal. */
export function reloadText({ ok, problems, warnings, changes }: ReloadAnswer): string {
  const warned = warnings.map((each) => `${formatProblem(each)} (warning)`);
  if (!ok) {
    const end = `${countText(problems.length, warnings.length)}. Nothing was reloaded; the node goes on with the configuration that it has.`;
    return [...problems.map(formatProblem), ...warned, end].join("\n");
  }
  const head =
    changes.length === 0
      ? "Reloaded: nothing has changed, in the configuration or in the files that it names."
      : "Reloaded.";
  return [head, ...changes.map((change) => `  ${changeText(change)}`), ...warned].join("\n");
}

function changeText({ key, what, takes }: Change): string {
  if (takes === "restart") return `needs a restart: ${key}`;
  return what === "renewed" ? `renewed: ${key} (its file has new content)` : `${what}: ${key}`;
}
