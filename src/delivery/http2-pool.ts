// A pool of HTTP/2 connections to one origin with one credential: queues requests, spreads them, opens more
// connections for bursts, and sends again what certainly or possibly was not processed.
import {
  CONNECTION_TIMES,
  type Connection,
  type ConnectionTimes,
  openConnection,
} from "./http2-connection.ts";
import type { Http2Request, Http2Result, Job } from "./http2-job.ts";
import { cleanReason } from "./outcome.ts";
import { retryDelayMs } from "./retry.ts";
import type { Timer, Timers } from "./timers.ts";
import type { ClientIdentity, Transport } from "./transport.ts";

export interface Http2PoolOptions {
  /** Scheme, host and port, for example `https://api.push.apple.com`. */
  readonly origin: string;
  readonly transport: Transport;
  readonly identity?: ClientIdentity | null;
  /** One stream a connection until its first answer with status 200. */
  readonly cautious: boolean;
  readonly maxConnections?: number;
  readonly maxStreams?: number;
  readonly times?: Partial<ConnectionTimes>;
  readonly timers: Timers;
  readonly monotonicNow: () => number;
  /** 0 up to but not including 1. */
  readonly random: () => number;
}

export interface Http2Pool {
  /** Requests that make sense to have on their way at once. */
  readonly capacity: number;
  /** Opens the first connection ahead of the first request. Failures show with the first request. */
  warm(): void;
  /** Sends a POST. Never rejects. */
  request(request: Http2Request): Promise<Http2Result>;
  /**
   * Takes every connection of this moment out of use: their streams finish, new ones go over new connections. One
   * that is still being set up stays: it is new.
   */
  retireAll(): void;
  /** The same, and a new connection at once, so that the next requests find one. */
  renew(): void;
  /** Ends every connection; what is on its way finishes as `stopped`. */
  stop(): void;
}

// Four carry what one phone fleet needs in a burst; each costs Apple and us a handshake and memory.
const MAX_CONNECTIONS = 4;
// The peer's flow-control window is 64 KiB for a connection: 100 bodies of up to 650 bytes fit, and old streams
// never starve behind new ones (at 900 in flight some waited for seconds).
const MAX_STREAMS = 100;
// Requests that may wait for a stream; callers keep what they owe elsewhere and send a few hundred at once.
const MAX_QUEUED = 4_000;
// How long a request may wait for a free stream, milliseconds.
const QUEUE_MS = 30_000;
// Times a request is sent again after being refused (certainly not processed) or lost (possibly processed).
const MAX_REFUSED = 20;
const MAX_LOST = 2;
// How often deadlines and liveness are looked at while anything is connected or waits, milliseconds.
const TICK_MS = 250;

export function createHttp2Pool(options: Http2PoolOptions): Http2Pool {
  const { timers, monotonicNow, random } = options;
  const maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  const maxStreams = options.maxStreams ?? MAX_STREAMS;
  const capacity = maxConnections * maxStreams;
  const times: ConnectionTimes = { ...CONNECTION_TIMES, ...options.times };
  const connections = new Set<Connection>();
  const queue: Job[] = [];
  let flushing = false;
  let ticking: Timer | null = null;
  let stopped = false;
  // Connects that failed in a row, and when the next one is allowed (monotonic milliseconds).
  let failures = 0;
  let connectAt = Number.NEGATIVE_INFINITY;
  let lastCode = "closed";
  // Moves on with each failure, so that the next connect begins with another of the host's addresses.
  let turn = 0;

  function wake(): void {
    if (flushing || stopped) return;
    flushing = true;
    // Frames written in one turn of the event loop share a TLS record: half the system calls.
    setImmediate(flush);
  }

  function flush(): void {
    flushing = false;
    if (stopped) return;
    const free = [...connections].filter((connection) => connection.room > 0);
    for (let turn = 0; queue.length > 0 && free.length > 0; turn += 1) {
      const at = turn % free.length;
      const connection = free[at];
      if (connection === undefined) break;
      const job = queue.shift();
      if (job === undefined) break;
      connection.send(job);
      if (connection.room === 0) free.splice(at, 1);
    }
    if (queue.length > 0) needConnection();
    keepTicking();
  }

  function needConnection(): void {
    if ([...connections].some((connection) => connection.warming)) return;
    const usable = [...connections].filter((connection) => !connection.retired);
    // Retired ones end by themselves soon; they must not add up when a peer sends GOAWAY after GOAWAY.
    if (usable.length >= maxConnections || connections.size >= 2 * maxConnections) return;
    if (monotonicNow() >= connectAt) {
      connect();
      return;
    }
    // Others still work: they take the queue. With none, waiting would only hide the outage.
    if (connections.size === 0) failQueue();
  }

  function connect(): void {
    const connection = openConnection(
      {
        origin: options.origin,
        transport: options.transport,
        identity: options.identity ?? null,
        maxStreams,
        cautious: options.cautious,
        times,
        monotonicNow,
        turn,
      },
      {
        roomChanged: () => {
          if (queue.length > 0) wake();
        },
        returned,
        worked: succeeded,
        ended: (code, stage) => ended(connection, code, stage),
      },
    );
    connections.add(connection);
    keepTicking();
  }

  function ended(connection: Connection, code: string, stage: "never" | "unused" | "used"): void {
    connections.delete(connection);
    if (stopped) return;
    if (stage === "unused" && failures === 0) {
      // Lost before its first answer: that happens. A second time in a row it is an outage, or a client certificate
      // that the peer does not take, which it says only after the handshake.
      failures = 1;
      turn += 1;
      lastCode = cleanReason(code);
    } else if (stage !== "used") {
      failed(code);
    }
    if (queue.length > 0) wake();
  }

  function succeeded(): void {
    failures = 0;
    connectAt = Number.NEGATIVE_INFINITY;
  }

  function failed(code: string): void {
    lastCode = cleanReason(code);
    // "unreachable" is the same for both platforms and has no budget, so there is always a delay.
    const delayMs = retryDelayMs("apns", "unreachable", failures, null, random()) ?? 0;
    failures += 1;
    turn += 1;
    connectAt = monotonicNow() + delayMs;
  }

  function returned(job: Job, how: "refused" | "lost"): void {
    if (stopped) {
      job.finish({ kind: "stopped" });
      return;
    }
    if (how === "refused") job.refused += 1;
    else job.lost += 1;
    // Sending again what may have been processed is safe: a badge is absolute and the apns-id is the same.
    if (job.refused > MAX_REFUSED || job.lost > MAX_LOST) {
      job.finish(how === "refused" ? { kind: "busy" } : { kind: "lost" });
      return;
    }
    queue.unshift(job);
    wake();
  }

  function failQueue(): void {
    const retryInMs = Math.max(0, Math.ceil(connectAt - monotonicNow()));
    for (const job of queue.splice(0)) job.finish({ kind: "unreachable", code: lastCode, retryInMs });
  }

  function retireAll(): void {
    for (const connection of [...connections]) if (!connection.connecting) connection.retire();
  }

  function keepTicking(): void {
    if (ticking !== null || stopped || (connections.size === 0 && queue.length === 0)) return;
    ticking = timers.after(TICK_MS, () => {
      ticking = null;
      const now = monotonicNow();
      for (const connection of [...connections]) connection.tick(now);
      for (let at = queue.length - 1; at >= 0; at -= 1) {
        const job = queue[at];
        if (job === undefined || now < job.queuedUntilMs) continue;
        queue.splice(at, 1);
        job.finish({ kind: "busy" });
      }
      if (queue.length > 0) wake();
      keepTicking();
    });
  }

  return {
    capacity,
    warm() {
      if (!stopped && connections.size === 0 && monotonicNow() >= connectAt) connect();
    },
    request(request) {
      return new Promise((finish) => {
        if (stopped) return finish({ kind: "stopped" });
        if (queue.length >= MAX_QUEUED) return finish({ kind: "busy" });
        queue.push({
          request,
          finish,
          queuedUntilMs: monotonicNow() + QUEUE_MS,
          answerUntilMs: Number.POSITIVE_INFINITY,
          refused: 0,
          lost: 0,
        });
        wake();
      });
    },
    retireAll,
    renew() {
      if (stopped) return;
      retireAll();
      const isUnderWay = [...connections].some((connection) => connection.connecting);
      if (!isUnderWay && connections.size < 2 * maxConnections && monotonicNow() >= connectAt) connect();
    },
    stop() {
      stopped = true;
      ticking?.cancel();
      ticking = null;
      for (const job of queue.splice(0)) job.finish({ kind: "stopped" });
      for (const connection of [...connections]) connection.destroy("stopped");
    },
  };
}
