// A listener: accepts connections within its limits, looks after their deadlines, and stops without losing requests.
import { randomBytes } from "node:crypto";
import type { Socket, TCPSocketListener, TLSOptions } from "bun";
import { BellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import { createAllowList, plainAddress } from "./allow-list.ts";
import { bareAnswer } from "./answer.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import { correlationIds, httpDate } from "./labels.ts";
import { type Limits, type ListenerName, type OversizePolicy, PROFILES } from "./limits.ts";
import { createRefusals } from "./refusals.ts";
import { replaceIdentity, serverTls, type TlsIdentity } from "./tls.ts";
import type { FixedAnswer, RequestHandler } from "./types.ts";

export interface ListenerOptions {
  readonly name: ListenerName;
  readonly address: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** PEM texts to begin with, or null for plain HTTP. */
  readonly tls: Pick<TlsIdentity, "certificate" | "key"> | null;
  /** CIDR blocks and addresses that may connect, to begin with; empty allows every address. */
  readonly allow: readonly string[];
  readonly handler: RequestHandler;
  /** Exact paths that are answered by `healthHandler`, whoever asks. */
  readonly healthPaths: readonly string[];
  readonly healthHandler: RequestHandler;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Differences from the limits of `PROFILES[name]`. */
  readonly limits?: Partial<Limits>;
  /** Whether chunked bodies are accepted; `PROFILES[name]` unless set. */
  readonly chunked?: boolean;
  readonly oversizePolicy?: OversizePolicy;
  /** What the listener answers to a request that no handler sees; the status in plain words unless set. */
  readonly refusalAnswer?: (status: number) => FixedAnswer;
  /** Monotonic time, milliseconds, as `performance.now()`. */
  readonly now?: () => number;
  /** Epoch milliseconds, for the `Date` header. */
  readonly wallClock?: () => number;
  /** Random bytes, for correlation ids. */
  readonly random?: (bytes: number) => Buffer;
}

export interface Listener {
  /**
   * Begins to listen.
   * @throws BellError listen_in_use, listen_failed or tls_invalid
   */
  start(): Promise<{ readonly port: number }>;
  /** Accepts no more, lets requests in flight finish for up to `graceMs`, then closes what is left. */
  stop(graceMs: number): Promise<void>;
  /**
   * New connections get this certificate; those that exist keep theirs, and none is refused or reset.
   * @throws BellError tls_invalid if it cannot be used, or if the listener is one without TLS; nothing has changed then
   */
  setTls(identity: Pick<TlsIdentity, "certificate" | "key">): void;
  /**
   * New connections are held against this list.
   * @throws BellError config_invalid for a wrong list; nothing has changed then
   */
  setAllow(allow: readonly string[]): void;
  /** Open connections. */
  readonly connections: number;
}

// A client that has connected but sent nothing by the time of a stop: long enough for a packet on its way.
const STOP_SILENT_MS = 1000;

/** Makes a listener; nothing happens before `start`. Throws config_invalid for a wrong allow list. */
export function createListener(options: ListenerOptions): Listener {
  const { name, log } = options;
  const profile = PROFILES[name];
  const limits: Limits = { ...profile.limits, ...options.limits };
  const now = options.now ?? (() => performance.now());
  let identity = options.tls;
  let isAllowed = createAllowList(options.allow);
  const refusals = createRefusals(name, log, options.metrics, now);
  const connections = new Set<Connection>();
  const perAddress = new Map<string, number>();
  let server: TCPSocketListener<Connection> | null = null;
  let timer: ReturnType<typeof setInterval> | null = null;
  let stopping = false;
  let onEmpty: (() => void) | null = null;

  const owner: ConnectionOwner = {
    name,
    tls: options.tls !== null,
    limits,
    chunked: options.chunked ?? profile.chunked,
    oversize: options.oversizePolicy ?? profile.oversize,
    handler: options.handler,
    healthHandler: options.healthHandler,
    healthPaths: new Set(options.healthPaths),
    log,
    get stopping() {
      return stopping;
    },
    now,
    date: httpDate(options.wallClock ?? (() => Date.now())),
    correlationId: correlationIds(options.random ?? randomBytes),
    bufferedBytes: 0,
    refused: refusals.count,
    refusalAnswer: options.refusalAnswer ?? bareAnswer,
    answeredHere(status) {
      // The metric is about Exchange; what its handler answers is counted there.
      if (name === "exchange") options.metrics.answers.inc({ status });
    },
    closed(connection) {
      connections.delete(connection);
      const left = (perAddress.get(connection.address) ?? 1) - 1;
      if (left === 0) perAddress.delete(connection.address);
      else perAddress.set(connection.address, left);
      if (connections.size === 0) onEmpty?.();
    },
  };

  // The data of a socket that was turned away at once is never set, hence the question marks below.
  type MaybeSocket = Socket<Connection | undefined>;

  function accept(socket: Socket<Connection>): void {
    const address = plainAddress(socket.remoteAddress);
    const count = perAddress.get(address) ?? 0;
    const isFull = connections.size >= limits.connections;
    if (isFull || count >= limits.connectionsPerAddress) {
      refusals.count(isFull ? "connections" : "address_connections", address);
      socket.terminate();
      return;
    }
    perAddress.set(address, count + 1);
    const connection = new Connection(owner, socket, address, isAllowed(address));
    socket.data = connection;
    connections.add(connection);
  }

  function checkDeadlines(): void {
    const at = now();
    for (const connection of connections) {
      if (connection.deadlineAt <= at) connection.expire();
    }
  }

  function listen(): TCPSocketListener<Connection> {
    const tls: TLSOptions | null = identity === null ? null : serverTls(identity);
    return Bun.listen<Connection>({
      hostname: options.address,
      port: options.port,
      // A client may close its side before it has read the answer.
      allowHalfOpen: true,
      ...(tls === null ? {} : { tls }),
      socket: {
        open: accept,
        handshake: (socket: MaybeSocket, isDone) => socket.data?.onHandshake(isDone),
        data: (socket: MaybeSocket, bytes) => socket.data?.onData(bytes),
        drain: (socket: MaybeSocket) => socket.data?.onDrain(),
        end: (socket: MaybeSocket) => socket.data?.onPeerEnd(),
        close: (socket: MaybeSocket) => socket.data?.onClose(),
        error: (socket: MaybeSocket) => socket.data?.abandon(),
      },
    });
  }

  return {
    get connections() {
      return connections.size;
    },

    async start() {
      if (server !== null) throw new BellError("internal", `The ${name} listener is already started.`);
      try {
        server = listen();
      } catch (error) {
        throw listenError(options, error);
      }
      stopping = false;
      timer = setInterval(checkDeadlines, limits.tickMs);
      return { port: server.port };
    },

    setTls(next) {
      if (identity === null) throw new BellError("tls_invalid", `The ${name} listener speaks no TLS.`);
      try {
        if (server !== null) replaceIdentity(server, next);
      } catch (error) {
        throw tlsError(name, error);
      }
      identity = next;
    },

    setAllow(allow) {
      isAllowed = createAllowList(allow);
    },

    async stop(graceMs) {
      if (server === null) return;
      stopping = true;
      server.stop(false);
      server = null;
      const silentUntil = now() + Math.min(graceMs, STOP_SILENT_MS);
      for (const connection of [...connections]) connection.wind(silentUntil);
      if (connections.size > 0) await emptyWithin(graceMs);
      for (const connection of [...connections]) connection.abandon();
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
  };

  function emptyWithin(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const giveUp = setTimeout(resolve, graceMs);
      onEmpty = () => {
        clearTimeout(giveUp);
        onEmpty = null;
        resolve();
      };
    });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function tlsError(name: ListenerName, error: unknown): BellError {
  const reason = codeOf(error) === "" ? "unknown reason" : codeOf(error);
  const what = `The TLS certificate or key of the ${name} listener cannot be used (${reason}).`;
  return new BellError("tls_invalid", what, error);
}

function listenError(options: ListenerOptions, error: unknown): BellError {
  const code = codeOf(error);
  const host = options.address.includes(":") ? `[${options.address}]` : options.address;
  const place = `${host}:${options.port}`;
  if (code === "EADDRINUSE") {
    return new BellError(
      "listen_in_use",
      `The ${options.name} listener cannot use ${place}: it is in use.`,
      error,
    );
  }
  if (code.startsWith("ERR_OSSL") || code === "ERR_BORINGSSL") return tlsError(options.name, error);
  const reason = code === "" ? "unknown reason" : code;
  return new BellError(
    "listen_failed",
    `The ${options.name} listener cannot use ${place} (${reason}).`,
    error,
  );
}
