// One HTTP/2 connection of a pool: how many streams it may carry now, what came back, whether it is alive.
// RFC 9113 for GOAWAY, RST_STREAM and SETTINGS; the comments say where Bun's client needs a hand.
import { type ClientHttp2Session, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import { dial } from "./dial.ts";
import type { Job } from "./http2-job.ts";
import type { ClientIdentity, Transport } from "./transport.ts";

/** Times in milliseconds; a test makes them short. */
export interface ConnectionTimes {
  /** From the look-up of the address to the peer's SETTINGS. */
  readonly connectMs: number;
  /** From a request to its answer. */
  readonly answerMs: number;
  /** Nothing heard for so long while something is owed: ask with a PING. */
  readonly silentMs: number;
  /** A PING without an answer for so long: the peer is dead. */
  readonly pingMs: number;
  /** PING after so long without any traffic. */
  readonly idlePingMs: number;
}

export const CONNECTION_TIMES: ConnectionTimes = {
  connectMs: 10_000,
  // Google asks for at least 10 s.
  answerMs: 10_000,
  silentMs: 3_000,
  pingMs: 3_000,
  // Apple: check the health of a connection with a PING after an hour of silence.
  idlePingMs: 3_600_000,
};

// Providers answer with a few hundred bytes; more is no answer of theirs and is not kept.
const MAX_BODY_CHARACTERS = 65_536;

export interface ConnectionOptions {
  readonly origin: string;
  readonly transport: Transport;
  readonly identity: ClientIdentity | null;
  readonly maxStreams: number;
  /** One stream until the first answer with status 200, as Apple's server wants it. */
  readonly cautious: boolean;
  readonly times: ConnectionTimes;
  readonly monotonicNow: () => number;
  /** With which of the host's addresses to begin. */
  readonly turn: number;
}

/** What a connection tells its pool. */
export interface ConnectionOwner {
  /** More streams may be opened now. */
  roomChanged(): void;
  /** A job came back: `refused` was certainly not processed, `lost` may have been. */
  returned(job: Job, how: "refused" | "lost"): void;
  /** The first answer has come. */
  worked(): void;
  /**
   * The connection has ended. `code` is the error's code, or `closed`; `stage` how far it came: never set up,
   * set up without an answer, or in use.
   */
  ended(code: string, stage: "never" | "unused" | "used"): void;
}

export interface Connection {
  /** Streams that may be opened now; 0 while connecting and after `retire`. */
  readonly room: number;
  readonly inFlight: number;
  /** Whether it is still being set up. */
  readonly connecting: boolean;
  /** Whether it is still being set up or has not yet proven itself. */
  readonly warming: boolean;
  /** Whether it takes no more requests. */
  readonly retired: boolean;
  send(job: Job): void;
  /** Opens no more streams; ends when the open ones are done, at once while it is still being set up. */
  retire(): void;
  /** Ends now; what is in flight comes back as lost. */
  destroy(code: string): void;
  /** Looks at deadlines and liveness. To be called often while the pool works. */
  tick(now: number): void;
}

type State = "connecting" | "open" | "retired" | "ended";

export function openConnection(options: ConnectionOptions, owner: ConnectionOwner): Connection {
  const { times, monotonicNow } = options;
  const flying = new Map<Job, (code: number) => void>();
  let state: State = "connecting";
  let proven = !options.cautious;
  let peerLimit = 1;
  // Follows what the peer really takes: a refused stream lowers it, answers raise it again.
  let ownLimit = options.maxStreams;
  // Whether the peer's SETTINGS have come, and whether an answer has.
  let settled = false;
  let answered = false;
  let heardAt = monotonicNow();
  let pingSince: number | null = null;
  let failure = "closed";
  let retiredAt = 0;
  const openedAt = monotonicNow();
  let session: ClientHttp2Session | null = null;

  // The address is looked up anew for each connection.
  const dialling = dial(
    {
      origin: options.origin,
      transport: options.transport,
      identity: options.identity,
      protocol: "h2",
      turn: options.turn,
    },
    {
      connected: begin,
      failed(code) {
        failure = code;
        end();
      },
    },
  );

  const limit = () => Math.min(peerLimit, ownLimit, proven ? options.maxStreams : 1);

  function heard(): void {
    heardAt = monotonicNow();
    pingSince = null;
  }

  function begin(socket: Socket): void {
    const begun = connect(options.origin, {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
    session = begun;
    // Before the peer's SETTINGS, Bun assumes that any number of streams is welcome; most would be refused.
    begun.on("remoteSettings", (settings) => {
      heard();
      settled = true;
      peerLimit = settings.maxConcurrentStreams ?? options.maxStreams;
      if (state === "connecting") state = "open";
      owner.roomChanged();
    });
    begun.on("goaway", (errorCode, _lastStreamId, debugData) => {
      // Streams above the last id end as refused, the others are still answered or end as lost.
      if (errorCode !== constants.NGHTTP2_NO_ERROR) failure = `GOAWAY_${errorCode}`;
      failure = goawayReason(debugData) ?? failure;
      retire();
    });
    begun.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.name;
    });
    begun.on("close", end);
  }

  function end(): void {
    if (state === "ended") return;
    state = "ended";
    // Bun ends a killed socket's streams without an event for each in every case: return what is left.
    for (const job of [...flying.keys()]) giveBack(job, "lost");
    owner.ended(failure, answered ? "used" : settled ? "unused" : "never");
  }

  function giveBack(job: Job, how: "refused" | "lost"): void {
    if (flying.delete(job)) owner.returned(job, how);
  }

  function send(job: Job): void {
    let stream: ReturnType<ClientHttp2Session["request"]>;
    if (session === null) {
      owner.returned(job, "refused");
      return;
    }
    try {
      stream = session.request({
        ":method": "POST",
        ":path": job.request.path,
        ...job.request.headers,
      });
    } catch {
      // ERR_HTTP2_GOAWAY_SESSION, ERR_HTTP2_INVALID_SESSION: nothing went out.
      retire();
      owner.returned(job, "refused");
      return;
    }
    let status = 0;
    let headers: Readonly<Record<string, string | string[] | undefined>> = {};
    let body = "";
    let ended = false;
    const now = monotonicNow();
    if (flying.size === 0) heardAt = now;
    job.answerUntilMs = now + times.answerMs;
    flying.set(job, (code) => stream.close(code));
    stream.on("response", (received) => {
      heard();
      headers = received as typeof headers;
      status = Number(received[":status"] ?? 0);
    });
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      if (body.length < MAX_BODY_CHARACTERS) body += chunk;
    });
    stream.on("end", () => {
      ended = true;
    });
    // What went wrong is read from `rstCode` when the stream closes; error names differ between runtimes.
    stream.on("error", () => {});
    stream.on("close", () => {
      if (!flying.has(job)) return;
      // A 200 says all there is to say, even if its end is missing; of other answers the body is needed.
      const complete = ended && stream.rstCode === constants.NGHTTP2_NO_ERROR;
      if (status === 200 || (status !== 0 && complete)) {
        flying.delete(job);
        noteAnswer(status);
        job.finish({ kind: "answer", status, headers, body, retire });
        owner.roomChanged();
        return;
      }
      const refused = status === 0 && stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      if (refused) ownLimit = Math.max(1, Math.min(ownLimit, flying.size - 1));
      giveBack(job, refused ? "refused" : "lost");
      owner.roomChanged();
    });
    stream.end(job.request.body);
  }

  function noteAnswer(status: number): void {
    if (!answered) owner.worked();
    answered = true;
    if (status === 200) proven = true;
    if (ownLimit < options.maxStreams) ownLimit += 1;
  }

  function retire(): void {
    // Nothing is in flight yet, and a session that waits for its peer's SETTINGS would not close by itself.
    if (state === "connecting") destroy(failure);
    if (state !== "open") return;
    state = "retired";
    retiredAt = monotonicNow();
    session?.close();
  }

  function destroy(code: string): void {
    if (state === "ended") return;
    failure = code;
    dialling.abandon();
    session?.destroy();
    end();
  }

  function tick(now: number): void {
    if (state === "ended") return;
    if (state === "connecting") {
      if (now - openedAt >= times.connectMs) destroy(dialling.silence);
      return;
    }
    // It closes by itself, unless its peer does not take part.
    if (state === "retired" && flying.size === 0 && now - Math.max(retiredAt, heardAt) >= times.pingMs) {
      destroy(failure);
      return;
    }
    for (const [job, cancel] of [...flying]) {
      if (now < job.answerUntilMs) continue;
      flying.delete(job);
      cancel(constants.NGHTTP2_CANCEL);
      job.finish({ kind: "timeout" });
    }
    if (pingSince !== null) {
      if (now - pingSince >= times.pingMs) destroy("PING_TIMEOUT");
      return;
    }
    const silentMs = now - heardAt;
    if (silentMs >= (flying.size > 0 ? times.silentMs : times.idlePingMs)) ping(now);
  }

  function ping(now: number): void {
    pingSince = now;
    try {
      session?.ping((error) => {
        if (error === null) heard();
      });
    } catch {
      destroy("PING_FAILED");
    }
  }

  return {
    get room() {
      return state === "open" ? Math.max(0, limit() - flying.size) : 0;
    },
    get inFlight() {
      return flying.size;
    },
    get connecting() {
      return state === "connecting";
    },
    get warming() {
      return state === "connecting" || (state === "open" && !proven);
    },
    get retired() {
      return state === "retired" || state === "ended";
    },
    send,
    retire,
    destroy,
    tick,
  };
}

// Apple puts its reason into GOAWAY's debug data, as JSON.
function goawayReason(debugData: Uint8Array | undefined): string | null {
  if (debugData === undefined || debugData.length === 0) return null;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(debugData).toString("utf8"));
    const reason = (parsed as { reason?: unknown } | null)?.reason;
    return typeof reason === "string" ? `GOAWAY_${reason}` : null;
  } catch {
    return null;
  }
}
