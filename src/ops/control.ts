// The control socket: how verbs of the command line speak to the running node. HTTP over a Unix socket, mode 0660,
// so that the file's owner and group decide who may use it.
import { existsSync, lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { missingDirectory } from "../config/directories.ts";
import { BellError, isBellError, isErrorCode } from "../errors.ts";
import { type Logger, silentLogger } from "./log.ts";

/** Longest path that sun_path takes on Linux, its final zero byte left out (unix(7)). */
const LONGEST_SOCKET_PATH = 107;
/** What a verb may send: its options, an id or a token. Bytes. */
const MAX_INPUT_BYTES = 65_536;
/** Takes from 0777 what leaves 0660, so that others have no access at any moment, as a later chmod would leave one. */
const SOCKET_UMASK = 0o117;
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
 * @param log told of handlers that fail in a way that the catalogue does not know
 */
export function createControlServer(
  path: string,
  verbs: Readonly<Record<string, ControlHandler>>,
  log: Logger = silentLogger,
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
      const missing = missingDirectory("control socket", path);
      if (missing !== null) throw new BellError("control_socket", missing);
      if (existsSync(path)) {
        if (!lstatSync(path).isSocket())
          throw new BellError("control_socket", `${path} exists and is not a socket.`);
        if (await isListening(path)) {
          throw new BellError("control_socket", `Another Inboxbell listens on ${path}.`);
        }
        // Left behind by a process that was killed.
        rmSync(path, { force: true });
      }
      const umask = process.umask(SOCKET_UMASK);
      try {
        server = Bun.serve({
          unix: path,
          development: false,
          // A backup and a change of roles take their time, and who asks has a limit of its own; without this Bun ends
          // a request after 10 s. Its types leave it out for Unix sockets.
          idleTimeout: 0 as never,
          maxRequestBodySize: MAX_INPUT_BYTES,
          fetch: (request) => answer(request, verbs, log),
          error: () => Response.json({ code: "usage", error: "That is no request." }, { status: 400 }),
        });
      } catch (cause) {
        throw new BellError("control_socket", `The control socket ${path} cannot be made.`, cause);
      } finally {
        process.umask(umask);
      }
    },
    async stop() {
      await server?.stop(true);
      server = null;
      rmSync(path, { force: true });
    },
  };
}

async function answer(
  request: Request,
  verbs: Readonly<Record<string, ControlHandler>>,
  log: Logger,
): Promise<Response> {
  const refuse = (status: number, code: string, error: string) => Response.json({ code, error }, { status });
  const verb = new URL(request.url).pathname.slice(1);
  const handler = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  // A newer binary asks an older node, or the other way round.
  if (handler === undefined) return refuse(404, "not_available", "The running node does not know this verb.");
  if (request.method !== "POST") return refuse(405, "usage", "A verb is asked for with POST.");
  let input: unknown;
  try {
    const text = await request.text();
    input = text === "" ? null : JSON.parse(text);
  } catch {
    return refuse(400, "usage", "What was sent with the verb is not JSON.");
  }
  try {
    return Response.json((await handler(input)) ?? null);
  } catch (error) {
    if (isBellError(error)) return refuse(409, error.code, error.message);
    log.error({ verb, reason: error instanceof Error ? error.stack : String(error) }, "A verb failed.");
    return refuse(500, "internal", `The verb ${verb} failed inside the node; its log has the reason.`);
  }
}

const NOBODY: ReadonlySet<unknown> = new Set(["ECONNREFUSED", "ENOENT"]);

/** Whether a process listens on the socket, be it ever so busy: the kernel answers, not the process. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // ECONNREFUSED: nobody holds it any more. Anything else, such as EAGAIN with many waiting: somebody may.
    socket.once("error", (error) => resolve(!("code" in error) || !NOBODY.has(error.code)));
  });
}

export interface AskOptions {
  readonly input?: unknown;
  /** How long to wait for the answer, milliseconds; default 10 s. */
  readonly timeoutMs?: number;
}

/**
 * Asks the running node.
 * @throws `not_running` if nobody answers on the socket, or somebody else, `control_denied` if this user may not use it,
 *   or the error that the node gave
 */
export async function askNode(path: string, verb: string, options: AskOptions = {}): Promise<unknown> {
  const { input, timeoutMs = CLIENT_TIMEOUT_MS } = options;
  let response: Response;
  try {
    response = await fetch(`http://localhost/${verb}`, {
      unix: path,
      method: "POST",
      body: input === undefined ? "" : JSON.stringify(input),
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (cause) {
    throw unanswered(path, cause);
  }
  const reply: unknown = await response.json().catch((cause: unknown) => {
    throw notInboxbell(path, cause);
  });
  if (response.ok) return reply;
  const { code, error } = (reply ?? {}) as { readonly code?: unknown; readonly error?: unknown };
  throw new BellError(
    typeof code === "string" && isErrorCode(code) ? code : "internal",
    typeof error === "string" ? error : `The node answered ${response.status}.`,
  );
}

function unanswered(path: string, cause: unknown): BellError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (code) {
    case "EACCES":
    case "EPERM":
      return new BellError(
        "control_denied",
        `This user may not use the control socket ${path}: it is for the service's user and group.`,
        cause,
      );
    case "ENOENT":
      return new BellError(
        "not_running",
        `No Inboxbell is running: there is no control socket ${path}.`,
        cause,
      );
    case "ECONNREFUSED":
      return new BellError(
        "not_running",
        `No Inboxbell is running: the control socket ${path} was left behind by one that was killed.`,
        cause,
      );
    default:
      return new BellError("not_running", `No Inboxbell answers on ${path}.`, cause);
  }
}

/** Somebody else has the socket's path. */
export function notInboxbell(path: string, cause?: unknown): BellError {
  return new BellError("not_running", `What answers on ${path} is not an Inboxbell of this version.`, cause);
}
