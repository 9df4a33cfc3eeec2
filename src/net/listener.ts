// A listener: accepts connections within its limits, looks after their deadlines, and stops without losing requests.
import { randomBytes } from "node:crypto";
import type { Socket, SocketHandler, TCPSocketListener, TLSOptions } from "bun";
import { BellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import { plainAddress } from "./address.ts";
import { createAllowList, createTrustList } from "./allow-list.ts";
import { bareAnswer } from "./answer.ts";
import { Arrival, type ArrivalOwner } from "./arrival.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import { clientAddress } from "./forwarded.ts";
import { correlationIds, httpDate } from "./labels.ts";
import { type Limits, type ListenerName, type OversizePolicy, PROFILES } from "./limits.ts";
import { createPlaces, type Held, type Rank } from "./places.ts";
import { createRefusals } from "./refusals.ts";
import { createRequestRate, type RequestRate } from "./request-rate.ts";
import type { SocketUser } from "./socket-user.ts";
import { checkIdentity, replaceIdentity, serverTls, type TlsIdentity, upgradeToTls } from "./tls.ts";
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
  /** Proxies that are believed whom they pass on: `X-Forwarded-For`, and the PROXY protocol if it is on. */
  readonly trustedProxies?: readonly string[];
  /** Whether trusted proxies begin every connection with the PROXY protocol's header; they have to, then. */
  readonly proxyProtocol?: boolean;
  /** How many requests of one kind are let through; none is counted unless set. */
  readonly requestRate?: RequestRate;
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
  /**
   * New connections are held against this list.
   * @throws BellError config_invalid for a wrong list; nothing has changed then
   */
  setTrustedProxies(trustedProxies: readonly string[]): void;
  /** Open connections. */
  readonly connections: number;
}

// A client that has connected but sent nothing by the time of a stop: long enough for a packet on its way.
const STOP_SILENT_MS = 1000;

// For too many requests of one kind: Exchange and proxies understand it as "again, shortly".
const TOO_MANY = 503;

/** Makes a listener; nothing happens before `start`. Throws config_invalid for a wrong allow list. */
export function createListener(options: ListenerOptions): Listener {
  const { name, log } = options;
  const profile = PROFILES[name];
  const limits: Limits = { ...profile.limits, ...options.limits };
  const now = options.now ?? (() => performance.now());
  let identity = options.tls;
  let isAllowed = createAllowList(options.allow);
  let isTrusted = createTrustList(options.trustedProxies ?? []);
  const proxyProtocol = options.proxyProtocol === true;
  const refusals = createRefusals(name, log, options.metrics, now);
  const places = createPlaces(limits, refusals.count);
  const refusalAnswer = options.refusalAnswer ?? bareAnswer;
  let server: TCPSocketListener<SocketUser> | null = null;
  let timer: ReturnType<typeof setInterval> | null = null;
  let stopping = false;
  let onEmpty: (() => void) | null = null;

  function answeredHere(status: number): void {
    // The metric is about Exchange; what its handler answers is counted there.
    if (name === "exchange") options.metrics.answers.inc({ status });
  }

  function closed(held: Held): void {
    places.remove(held);
    if (places.size === 0) onEmpty?.();
  }

  const owner: ConnectionOwner = {
    name,
    tls: options.tls !== null,
    limits,
    chunked: options.chunked ?? profile.chunked,
    oversize: options.oversizePolicy ?? profile.oversize,
    handler:
      options.requestRate === undefined
        ? options.handler
        : createRequestRate({
            rate: options.requestRate,
            handler: options.handler,
            now,
            refuse(request) {
              refusals.count("rate", request.remoteAddress);
              answeredHere(TOO_MANY);
              return refusalAnswer(TOO_MANY);
            },
          }),
    healthHandler: options.healthHandler,
    healthPaths: new Set(options.healthPaths),
    isAllowed: (address) => isAllowed(address),
    clientOf: (proxy, forwardedFor) => clientAddress(proxy, forwardedFor, isTrusted),
    log,
    get stopping() {
      return stopping;
    },
    now,
    date: httpDate(options.wallClock ?? (() => Date.now())),
    correlationId: correlationIds(options.random ?? randomBytes),
    bufferedBytes: 0,
    refused: refusals.count,
    refusalAnswer,
    answeredHere,
    enter: places.enter,
    leave: places.leave,
    closed,
  };

  const arrivals: ArrivalOwner = { limits, now, refused: refusals.count, pass, closed };

  // The data of a socket that was turned away at once is never set, hence the question marks below.
  type MaybeSocket = Socket<SocketUser | undefined>;

  const handlers: SocketHandler<SocketUser> = {
    open: accept,
    handshake: (socket: MaybeSocket, isDone) => socket.data?.onHandshake(isDone),
    data: (socket: MaybeSocket, bytes) => socket.data?.onData(bytes),
    drain: (socket: MaybeSocket) => socket.data?.onDrain(),
    end: (socket: MaybeSocket) => socket.data?.onPeerEnd(),
    close: (socket: MaybeSocket) => socket.data?.onClose(),
    error: (socket: MaybeSocket) => socket.data?.abandon(),
  };

  function rankOf(address: string): Rank {
    if (isTrusted(address)) return "proxy";
    return isAllowed(address) ? "client" : "stranger";
  }

  /** Whether there is room for a connection; if not, it was counted as refused. */
  function hasRoom(address: string, rank: Rank): boolean {
    const why = places.makeRoom(address, rank);
    if (why !== null) refusals.count(why, address);
    return why === null;
  }

  function accept(socket: Socket<SocketUser>): void {
    const address = plainAddress(socket.remoteAddress);
    const rank = rankOf(address);
    if (!hasRoom(address, rank)) {
      socket.terminate();
      return;
    }
    if (proxyProtocol) {
      const arrival = new Arrival(arrivals, socket, address, rank === "proxy");
      socket.data = arrival;
      places.add(arrival, rank);
    } else {
      connect(socket, address, rank, now());
    }
  }

  function connect(socket: Socket<SocketUser>, address: string, rank: Rank, arrivedAt: number): Connection {
    const sender = { address, isAllowed: isAllowed(address), isProxy: rank === "proxy" };
    const connection = new Connection(owner, socket, sender, arrivedAt);
    socket.data = connection;
    places.add(connection, rank);
    return connection;
  }

  function pass(arrival: Arrival, address: string, rest: Buffer): void {
    const { socket, arrivedAt } = arrival;
    places.remove(arrival);
    const rank = rankOf(address);
    if (!hasRoom(address, rank)) {
      socket.terminate();
      if (places.size === 0) onEmpty?.();
      return;
    }
    if (identity === null) {
      const connection = connect(socket, address, rank, arrivedAt);
      if (rest.length > 0) connection.onData(rest);
      return;
    }
    const open = (secured: Socket<SocketUser>) => void connect(secured, address, rank, arrivedAt);
    if (!upgradeToTls(socket, identity, rest, { ...handlers, open })) socket.terminate();
  }

  function checkDeadlines(): void {
    const at = now();
    for (const held of places.all()) {
      if (held.deadlineAt <= at) held.expire();
    }
  }

  function listen(): TCPSocketListener<SocketUser> {
    if (proxyProtocol && identity !== null) checkIdentity(identity);
    // With the PROXY protocol TLS begins after its header. Everywhere else the socket does it by itself: that is
    // quicker by a fifth of what a connection costs.
    const tls: TLSOptions | null = identity === null || proxyProtocol ? null : serverTls(identity);
    return Bun.listen<SocketUser>({
      hostname: options.address,
      port: options.port,
      // A client may close its side before it has read the answer.
      allowHalfOpen: true,
      ...(tls === null ? {} : { tls }),
      socket: handlers,
    });
  }

  return {
    get connections() {
      return places.size;
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
        if (proxyProtocol) checkIdentity(next);
        else if (server !== null) replaceIdentity(server, next);
      } catch (error) {
        throw tlsError(name, error);
      }
      identity = next;
    },

    setAllow(allow) {
      isAllowed = createAllowList(allow);
    },

    setTrustedProxies(trustedProxies) {
      isTrusted = createTrustList(trustedProxies);
    },

    async stop(graceMs) {
      if (server === null) return;
      stopping = true;
      server.stop(false);
      server = null;
      const silentUntil = now() + Math.min(graceMs, STOP_SILENT_MS);
      for (const held of places.all()) held.wind(silentUntil);
      if (places.size > 0) await emptyWithin(graceMs);
      for (const held of places.all()) held.abandon();
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
