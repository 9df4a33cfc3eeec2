// `healthcheck`: asks the running node whether it is ready and works. Exit 0 if both, 1 if not.
import { loadConfig } from "../config/load.ts";
import { isBellError } from "../errors.ts";
import { askNode, notInboxbell } from "../ops/control.ts";
import { DEFAULT_CONFIG } from "./defaults.ts";
import { print } from "./output.ts";
import { serviceEnvironment } from "./service-credentials.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";

// A manager that asks for health wants an answer soon, milliseconds. The node's self-check takes two seconds at most.
const TIMEOUT_MS = 3_000;

interface Health {
  readonly ready: boolean;
  readonly detail: string;
}

/**
 * Prints what was looked at.
 * @returns the exit code
 */
export async function healthcheck(options: NodeOptions & { readonly json: boolean }): Promise<number> {
  const { ready, detail } = await ask(options);
  print(options.json ? JSON.stringify({ ready, detail }) : detail);
  return ready ? 0 : 1;
}

/**
 * Through the control socket, whatever became of the configuration since the start; by the administrators' listener
 * where nobody answers there, and where this user may not ask.
 */
async function ask(options: NodeOptions): Promise<Health> {
  const socket = controlSocket(options);
  try {
    const answer = await askNode(socket, "health", { timeoutMs: TIMEOUT_MS });
    if (isHealth(answer)) return answer;
    throw notInboxbell(socket);
  } catch (error) {
    if (!isBellError(error)) throw error;
    // With a socket alone there is no configuration that names a listener.
    if (options.socket !== undefined && options.config === undefined) {
      return { ready: false, detail: error.message };
    }
    return byListener(options.config ?? DEFAULT_CONFIG);
  }
}

function isHealth(value: unknown): value is Health {
  if (typeof value !== "object" || value === null) return false;
  const { ready, detail } = value as Readonly<Record<string, unknown>>;
  return typeof ready === "boolean" && typeof detail === "string";
}

/** Through the administrators' listener of the configuration. */
async function byListener(config: string): Promise<Health> {
  const { address, port } = loadConfig(config, serviceEnvironment(process.env)).listen.admin;
  const host = address.includes(":") ? `[${address}]` : address;
  const url = `http://${host}:${port}/readyz?verbose`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { ready: response.ok, detail: (await response.text()).trim() };
  } catch {
    return { ready: false, detail: `nobody answers on the control socket or on ${url}` };
  }
}
