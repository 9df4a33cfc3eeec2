// Which control socket a verb speaks to: the one given, or that of the configuration, be it good or not.
import { readConfig } from "../config/load.ts";
import { formatProblem } from "../config/problems.ts";
import { BellError } from "../errors.ts";
import { DEFAULT_CONFIG, DEFAULT_SOCKET } from "./defaults.ts";

/** Where the verb finds the running node. */
export interface NodeOptions {
  readonly config?: string;
  readonly socket?: string;
}

/**
 * The path of the control socket. A configuration that is wrong elsewhere still names it: the node that runs was
 * started with a good one.
 * @throws `config_unreadable` if a configuration was given that cannot be read
 */
export function controlSocket({ config, socket }: NodeOptions): string {
  if (socket !== undefined) return socket;
  const { files, problems } = readConfig(config ?? DEFAULT_CONFIG, process.env);
  const unreadable = problems.find(({ code }) => code === "config_unreadable");
  // Whoever may use the socket need not be allowed to read the configuration.
  if (unreadable !== undefined && config !== undefined) {
    throw new BellError("config_unreadable", formatProblem(unreadable));
  }
  return files.find(({ role }) => role === "socket")?.path ?? DEFAULT_SOCKET;
}
