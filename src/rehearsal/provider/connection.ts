// One client's connection to a simulated push service: the socket under the HTTP/2 session, and what may still
// be said on it after GOAWAY, a freeze or a reset.
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { goawayFrame, rstStreamFrame } from "./frames.ts";
import type { Misbehaviour } from "./misbehaviour.ts";

/** What is answered to one request. */
export interface WireAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Connection {
  readonly session: ServerHttp2Session;
  readonly socket: TLSSocket;
  /** Answers `stream`, unless the connection has gone silent for it; says whether anything was sent. */
  answer(stream: ServerHttp2Stream, answer: WireAnswer): boolean;
  /** Sets MAX_CONCURRENT_STREAMS from now on; streams above it are refused with REFUSED_STREAM. */
  allowStreams(count: number): void;
  /** Streams above `lastStreamId` are neither judged nor answered from now on. */
  goaway(lastStreamId: number, reason: string, code: number): void;
  resetStream(stream: ServerHttp2Stream, code: number): void;
  close(): void;
  abort(): void;
  freeze(): void;
  /** Whether a request on this stream is still to be judged. */
  hears(stream: ServerHttp2Stream): boolean;
}

// RFC 9113 §7.
const REFUSED_STREAM = 7;

/** Takes over a session and the TLS socket under it. */
export function createConnection(session: ServerHttp2Session, socket: TLSSocket): Connection {
  let lastStreamId = Number.POSITIVE_INFINITY;
  // Closed, aborted or frozen: nothing is read, judged or answered any more.
  let silent = false;
  const reset = new Set<number>();
  const sendGoaway = session.goaway.bind(session);
  // Bun answers the client's own GOAWAY with one that names the newest stream; after ours with a lower id that
  // is a protocol error (RFC 9113 §6.8: the last stream id must not increase), and the client drops everything.
  session.goaway = (code, last, data) => {
    if (lastStreamId === Number.POSITIVE_INFINITY) sendGoaway(code, last, data);
  };

  const id = (stream: ServerHttp2Stream): number => stream.id ?? 0;
  const hears = (stream: ServerHttp2Stream): boolean =>
    !silent && !stream.destroyed && id(stream) <= lastStreamId && !reset.has(id(stream));

  return {
    session,
    socket,
    hears,
    answer(stream, answer) {
      if (!hears(stream) || session.destroyed) return false;
      stream.respond({ ":status": answer.status, ...answer.headers });
      // An empty body as text would be an empty DATA frame too many; clients give a peer up after a thousand of them.
      if (answer.body === "") stream.end();
      else stream.end(answer.body);
      return true;
    },
    allowStreams(count) {
      if (!session.destroyed) session.settings({ maxConcurrentStreams: count });
    },
    goaway(last, reason, code) {
      lastStreamId = Math.min(lastStreamId, last);
      socket.write(goawayFrame(code, lastStreamId, JSON.stringify({ reason })));
    },
    resetStream(stream, code) {
      reset.add(id(stream));
      socket.write(rstStreamFrame(id(stream), code));
    },
    close() {
      silent = true;
      socket.end();
    },
    abort() {
      silent = true;
      socket.resetAndDestroy();
    },
    freeze() {
      silent = true;
      stopReading(socket);
    },
  };
}

/**
 * Stops reading from the network. `socket.pause()` holds back data events only: Bun's HTTP/2 session reads beneath
 * them and would go on answering PING and SETTINGS.
 */
function stopReading(socket: TLSSocket): void {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { pause?(): void } };
  if (handle?.pause === undefined) throw new Error("this runtime's sockets cannot be frozen");
  handle.pause();
}

/** What is left to do for a request after its misbehaviour, if it had one, was carried out. */
export interface Conduct {
  /** The push is judged, and delivered if accepted. */
  readonly judge: boolean;
  /** The answer goes out. */
  readonly answer: boolean;
  /** Before the answer, milliseconds. */
  readonly delayMs: number;
  /** After judging, the connection closes. */
  readonly closeAfter: boolean;
  /** This answer instead of the judgement's. */
  readonly instead?: WireAnswer;
}

const NORMAL: Conduct = { judge: true, answer: true, delayMs: 0, closeAfter: false };
const NOTHING: Conduct = { judge: false, answer: false, delayMs: 0, closeAfter: false };

/** Carries a planned misbehaviour out on the wire and says what is left to do for the request. */
export function misbehave(
  connection: Connection,
  stream: ServerHttp2Stream,
  what: Misbehaviour | undefined,
): Conduct {
  switch (what?.kind) {
    case "goaway": {
      const streamId = stream.id ?? 0;
      // Client streams have odd ids: the one before this one is two below.
      const last = what.processed === "unprocessed" ? Math.max(0, streamId - 2) : streamId;
      connection.goaway(last, what.reason ?? "Shutdown", what.code ?? 0);
      if (what.processed === "unprocessed") return NOTHING;
      if (what.processed === "answered") return NORMAL;
      return { ...NORMAL, answer: false, closeAfter: true };
    }
    case "reset-stream":
      connection.resetStream(stream, what.code ?? REFUSED_STREAM);
      return NOTHING;
    case "close":
      connection.close();
      return NOTHING;
    case "abort":
      connection.abort();
      return NOTHING;
    case "freeze":
      connection.freeze();
      return NOTHING;
    case "lower-streams":
      connection.allowStreams(what.to);
      return NORMAL;
    default:
      return withoutWire(what);
  }
}

/** The same on HTTP/1.1, where what HTTP/2 says in a frame can only be a connection that ends. */
export function misbehaveHttp1(socket: TLSSocket | undefined, what: Misbehaviour | undefined): Conduct {
  switch (what?.kind) {
    case "goaway":
      if (what.processed === "answered") return { ...NORMAL, closeAfter: true };
      if (what.processed === "unanswered") return { ...NORMAL, answer: false, closeAfter: true };
      socket?.end();
      return NOTHING;
    case "reset-stream":
    case "close":
      socket?.end();
      return NOTHING;
    case "abort":
      socket?.resetAndDestroy();
      return NOTHING;
    case "freeze":
      if (socket !== undefined) stopReading(socket);
      return NOTHING;
    case "lower-streams":
      return NORMAL;
    default:
      return withoutWire(what);
  }
}

type Wireless = Extract<Misbehaviour, { readonly kind: "answer" | "delay" | "lose-answer" | "hang" }>;

function withoutWire(what: Wireless | undefined): Conduct {
  switch (what?.kind) {
    case undefined:
      return NORMAL;
    case "answer":
      return { ...NOTHING, answer: true, instead: what };
    case "delay":
      return { ...NORMAL, delayMs: what.ms };
    case "lose-answer":
      return { ...NORMAL, answer: false };
    case "hang":
      return NOTHING;
  }
}
