// What the delivery tests share: rings, senders to the simulated providers, a clock that the test moves, and a
// small HTTP/2 server that speaks frames, for what a well-behaved server would never do.
import { createServer, type TLSSocket } from "node:tls";
import { createHttp2Pool, type Http2PoolOptions } from "../../src/delivery/http2-pool.ts";
import { realTimers, type Timers } from "../../src/delivery/timers.ts";
import { createTransport } from "../../src/delivery/transport.ts";
import { createAuthority, type IssuedCertificate, issue } from "../../src/rehearsal/certificates.ts";
import type { Ring } from "../../src/store/types.ts";

export const APP = "com.example.mail";
export const TEXTS = {
  newMessages: "NEW_MESSAGES",
  sound: "default",
  fcmTitle: "new_messages",
  fcmBody: "new_messages",
  testRing: "TEST_RING",
};

let trusted: Promise<{ authority: string; server: IssuedCertificate }> | null = null;

/** One authority and one server certificate for all tests of a run. */
export function certificates() {
  trusted ??= (async () => {
    const authority = await createAuthority("Delivery tests");
    return {
      authority: authority.certificate,
      server: await issue(authority, { names: ["localhost", "127.0.0.1"] }),
    };
  })();
  return trusted;
}

export function ring(more: Partial<Ring> = {}): Ring {
  return {
    registrationId: "00000000-0000-4000-8000-000000000001",
    app: APP,
    platform: "apns",
    token: "ab".repeat(32),
    tokenMac: Buffer.alloc(16),
    renewedAt: 1_760_000_000_000,
    locale: null,
    badge: 3,
    reason: "mail",
    folder: null,
    attempt: 0,
    since: 1_760_000_000_000,
    apnsId: "00000000-0000-4000-8000-00000000a1d5",
    carries: { badgeRef: null, seen: {}, marks: {} },
    ...more,
  };
}

/** Waits until `done` says so, looking each few milliseconds; fails after `limitMs`. */
export async function until(done: () => boolean | Promise<boolean>, what: string, limitMs = 5_000) {
  const end = performance.now() + limitMs;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`waited ${limitMs} ms in vain for: ${what}`);
    await Bun.sleep(2);
  }
}

/** Timers and a monotonic clock that stand still until `advance`. */
export function manualTime() {
  let now = 1_000_000;
  const waiting = new Set<{ at: number; run: () => void }>();
  const timers: Timers = {
    after(delayMs, run) {
      const entry = { at: now + delayMs, run };
      waiting.add(entry);
      return { cancel: () => void waiting.delete(entry) };
    },
  };
  return {
    timers,
    now: () => now,
    /** Moves the clock and runs what became due, in order. */
    advance(ms: number) {
      const target = now + ms;
      for (let turns = 0; turns < 10_000; turns += 1) {
        const next = [...waiting].filter((entry) => entry.at <= target).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        waiting.delete(next);
        now = Math.max(now, next.at);
        next.run();
      }
      now = target;
    },
    get waiting() {
      return waiting.size;
    },
  };
}

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7 } as const;

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, at * 4);
  return bytes;
}

/** One connection of the frame server. */
export interface FrameConnection {
  /** 0 for the first connection that the server saw. */
  readonly number: number;
  /** Streams whose request has come completely and that were not answered. */
  readonly open: Set<number>;
  answer(stream: number, status?: 200 | 400 | 500, body?: string): void;
  /** Headers and a piece of the body, without an end. */
  partial(stream: number, status: 200 | 400 | 500, body: string): void;
  reset(stream: number, code: number): void;
  goaway(lastStream: number, code?: number, debug?: string): void;
  settings(maxConcurrentStreams: number): void;
  destroy(): void;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
}

export interface FrameServerOptions {
  /** MAX_CONCURRENT_STREAMS in the first SETTINGS; null: no SETTINGS until `settings` is called. */
  readonly streams?: number | null;
  readonly answerPings?: boolean;
  /** 127.0.0.1 unless given. */
  readonly address?: string;
  readonly port?: number;
  /** A request has come completely. */
  readonly onRequest: (connection: FrameConnection, stream: number, body: string) => void;
  readonly onConnection?: (connection: FrameConnection) => void;
}

// HPACK static table (RFC 7541, appendix A): `:status 200`, `400` and `500` as indexed fields.
const STATUS = { 200: 0x88, 400: 0x8c, 500: 0x8e } as const;

/** A TLS server that speaks HTTP/2 frame by frame. */
export async function frameServer(options: FrameServerOptions) {
  const { server: identity } = await certificates();
  const connections: FrameConnection[] = [];
  const sockets = new Set<TLSSocket>();
  let mostOpen = 0;
  let pings = 0;
  const server = createServer(
    { cert: identity.certificate, key: identity.key, ALPNProtocols: ["h2"] },
    (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => {});
      const bodies = new Map<number, string>();
      const connection: FrameConnection = {
        number: connections.length,
        open: new Set(),
        answer(stream, status = 200, body = "") {
          connection.open.delete(stream);
          const text = Buffer.from(body);
          const headers = frame(
            FRAME.headers,
            text.length === 0 ? 5 : 4,
            stream,
            Buffer.from([STATUS[status]]),
          );
          socket.write(
            text.length === 0 ? headers : Buffer.concat([headers, frame(FRAME.data, 1, stream, text)]),
          );
        },
        partial(stream, status, body) {
          const headers = frame(FRAME.headers, 4, stream, Buffer.from([STATUS[status]]));
          socket.write(Buffer.concat([headers, frame(FRAME.data, 0, stream, Buffer.from(body))]));
        },
        reset(stream, code) {
          connection.open.delete(stream);
          socket.write(frame(FRAME.reset, 0, stream, numbers(code)));
        },
        goaway(lastStream, code = 0, debug = "") {
          socket.write(
            frame(FRAME.goaway, 0, 0, Buffer.concat([numbers(lastStream, code), Buffer.from(debug)])),
          );
        },
        settings(maxConcurrentStreams) {
          const setting = Buffer.alloc(6);
          setting.writeUInt16BE(3, 0);
          setting.writeUInt32BE(maxConcurrentStreams, 2);
          socket.write(frame(FRAME.settings, 0, 0, setting));
        },
        destroy: () => socket.destroy(),
        ended: new Promise((resolve) => socket.once("close", () => resolve())),
      };
      connections.push(connection);
      if (options.streams !== null) connection.settings(options.streams ?? 100);
      options.onConnection?.(connection);
      let buffer = Buffer.alloc(0);
      let preface = false;
      socket.on("data", (chunk: Buffer) => {
        buffer = Buffer.concat([buffer, chunk]);
        if (!preface) {
          if (buffer.length < 24) return;
          buffer = buffer.subarray(24);
          preface = true;
        }
        while (buffer.length >= 9) {
          const length = buffer.readUIntBE(0, 3);
          if (buffer.length < 9 + length) return;
          const type = buffer[3] ?? 0;
          const flags = buffer[4] ?? 0;
          const stream = buffer.readUInt32BE(5) & 0x7fffffff;
          const payload = buffer.subarray(9, 9 + length);
          buffer = buffer.subarray(9 + length);
          if (type === FRAME.settings && (flags & 1) === 0) socket.write(frame(FRAME.settings, 1, 0));
          if (type === FRAME.ping && (flags & 1) === 0) {
            pings += 1;
            if (options.answerPings !== false) socket.write(frame(FRAME.ping, 1, 0, payload));
          }
          if (type === FRAME.data) bodies.set(stream, (bodies.get(stream) ?? "") + payload.toString());
          if ((type === FRAME.data || type === FRAME.headers) && (flags & 1) === 1) {
            connection.open.add(stream);
            mostOpen = Math.max(mostOpen, connection.open.size);
            options.onRequest(connection, stream, bodies.get(stream) ?? "");
          }
        }
      });
    },
  );
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, options.address ?? "127.0.0.1", resolve);
    });
  await listen(options.port ?? 0);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    port,
    url: `https://localhost:${port}`,
    connections,
    get mostOpen() {
      return mostOpen;
    },
    get pings() {
      return pings;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A pool to `origin` that trusts the tests' authority. */
export async function poolTo(origin: string, more: Partial<Http2PoolOptions> = {}) {
  const { authority } = await certificates();
  return createHttp2Pool({
    origin,
    transport: createTransport({ ca: authority }),
    cautious: false,
    timers: realTimers,
    monotonicNow: () => performance.now(),
    random: () => 0,
    ...more,
  });
}

export function post(body: string) {
  return { path: "/3/device/00", headers: { "apns-topic": APP }, body };
}
