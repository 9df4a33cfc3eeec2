// The control socket: how verbs of the command line speak to the running node. HTTP over a Unix socket, mode 0660,
// so that the file's owner and group decide who may use it.
import { chmodSync, existsSync, lstatSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { BellError } from "../errors.ts";

/** Longest path that sun_path takes on Linux, its final zero byte left out (unix(7)). */
const LONGEST_SOCKET_PATH = 107;
// A verb on a terminal waits no longer than this for an answer, milliseconds.
const CLIENT_TIMEOUT_MS = 10_000;

/** Answers one verb; what it returns is sent as JSON. */
export type ControlHandler = (input: unknown) => unknown | Promise<unknown>;

export interface ControlServer {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param path of the socket; its directory must exist
 * @param verbs name to handler
 */
export function createControlServer(
  path: string,
  verbs: Readonly<Record<string, ControlHandler>>,
): ControlServer {
  let server: ReturnType<typeof Bun.serve> | null = null;
  return {
    async start() {
      if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
        throw new BellError(
          "control_socket",
          `The path ${path} is too long for a socket (${LONGEST_SOCKET_PATH} bytes).`,
        );
      }
      if (!existsSync(dirname(path))) {
        throw new BellError(
          "control_socket",
          `The directory ${dirname(path)} of the control socket does not exist.`,
        );
      }
      if (existsSync(path)) {
        if (!lstatSync(path).isSocket())
          throw new BellError("control_socket", `${path} exists and is not a socket.`);
        if (await isAnswered(path)) {
          throw new BellError("control_socket", `Another Inboxbell answers on ${path}.`);
        }
        // Left behind by a process that was killed.
        unlinkSync(path);
      }
      try {
        server = Bun.serve({
          unix: path,
          development: false,
          fetch: async (request) => {
            const verb = new URL(request.url).pathname.slice(1);
            const handler = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
            if (handler === undefined) return Response.json({ error: "unknown verb" }, { status: 404 });
            try {
              const text = await request.text();
              return Response.json((await handler(text === "" ? null : JSON.parse(text))) ?? null);
            } catch (error) {
              if (error instanceof BellError) {
                return Response.json({ code: error.code, error: error.message }, { status: 409 });
              }
              return Response.json({ code: "internal", error: "internal error" }, { status: 500 });
            }
          },
        });
        chmodSync(path, 0o660);
      } catch (cause) {
        throw new BellError("control_socket", `The control socket ${path} cannot be made.`, cause);
      }
    },
    async stop() {
      await server?.stop(true);
      server = null;
      if (existsSync(path)) unlinkSync(path);
    },
  };
}

async function isAnswered(path: string): Promise<boolean> {
  try {
    await fetch("http://localhost/ping", { unix: path, signal: AbortSignal.timeout(1000) });
    return true;
  } catch {
    return false;
  }
}

/**
 * Asks the running node.
 * @throws `not_running` if nobody answers on the socket, or the error that the node gave
 */
export async function askNode(path: string, verb: string, input?: unknown): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(`http://localhost/${verb}`, {
      unix: path,
      method: "POST",
      body: input === undefined ? "" : JSON.stringify(input),
      signal: AbortSignal.timeout(CLIENT_TIMEOUT_MS),
    });
  } catch (cause) {
    throw new BellError(
      "not_running",
      `No Inboxbell answers on ${path}. Is the service running, and may you use the socket?`,
      cause,
    );
  }
  const answer: unknown = await response.json();
  if (response.ok) return answer;
  const message = (answer as { error?: unknown } | null)?.error;
  throw new BellError(
    "internal",
    typeof message === "string" ? message : `The node answered ${response.status}.`,
  );
}
