// A simulated APNs: HTTP/2 over TLS on a loopback port. It refuses what Apple's service refuses, misbehaves when
// told to, and remembers what it saw. The rules are in the files beside it; here is the wire and the life.
import type { ServerHttp2Stream } from "node:http2";
import { type Connection, misbehave, type WireAnswer } from "../provider/connection.ts";
import { createLedger, type SeenRequest, type Totals, type Violation } from "../provider/ledger.ts";
import { createMisbehaviourPlan, type Misbehaviour, type When } from "../provider/misbehaviour.ts";
import type { RateLimit } from "../provider/rate-limit.ts";
import { createProviderServer } from "../provider/server.ts";
import { readClientCertificate } from "./client-certificate.ts";
import { type ApnsDevices, createApnsDevices } from "./devices.ts";
import { type AcceptedPush, createJudge, type Judge, type Peer, type PushRequest } from "./judge.ts";
import { PAYLOAD_LIMIT_BYTES } from "./payload.ts";
import type { ApnsEnvironment, ProviderKey } from "./provider-token.ts";
import { type ApnsReason, ApnsRefusal, REASONS, reasonBody } from "./refusal.ts";
import { apnsIdOf } from "./request-headers.ts";

export interface ApnsSimulatorOptions {
  /** Server certificate and key, PEM. */
  readonly tls: { readonly certificate: string; readonly key: string };
  /** Keys that the service has given out. */
  readonly keys: readonly ProviderKey[];
  /** PEM of the authority that client certificates must come from; none are accepted if left out. */
  readonly clientAuthority?: string;
  readonly environment?: ApnsEnvironment;
  /** Loopback address and port; 127.0.0.1 and any free port if left out. A restart keeps the port. */
  readonly address?: string;
  readonly port?: number;
  /** Epoch milliseconds; the real clock if left out. */
  readonly now?: () => number;
  /** Streams at once on an authenticated connection. */
  readonly streams?: number;
  readonly deviceLimit?: RateLimit;
  readonly wedgeOnExpiredToken?: boolean;
  /** Called for every accepted push, before it is answered: the way to the phone. */
  readonly onAccepted?: (push: AcceptedPush) => void;
}

export interface ApnsSimulator {
  /** Listens; the URL is what `apns.url` of a configuration takes. */
  start(): Promise<{ readonly url: string; readonly port: number }>;
  /** Ends every connection and stops listening: an outage, until `start` again on the same port. */
  stop(): Promise<void>;
  readonly devices: ApnsDevices;
  /** Plans a misbehaviour; the next request if `when` is left out. */
  misbehave(what: Misbehaviour, when?: When): void;
  /** Drops every planned misbehaviour. */
  behave(): void;
  /** GOAWAY on every open connection: what is in flight is still answered. */
  goaway(reason: string): void;
  /** SETTINGS on every open connection. */
  allowStreams(count: number): void;
  history(token: string): readonly AcceptedPush[];
  /** The badge that the phone shows now, or undefined if it never got one. */
  lastBadge(token: string): number | undefined;
  requests(): readonly SeenRequest[];
  violations(): readonly Violation[];
  totals(): Totals;
}

// Apple's figure for an authenticated connection is in this region; it may change it at any time.
const STREAMS = 1000;
// Apple does not publish its limit for one device. This lets every sane burst pass.
const DEVICE_LIMIT: RateLimit = { count: 600, windowMs: 60_000 };
const TOKEN_PATH = /^\/3\/device\//;

/** An answer for `misbehave({kind: "answer", …})`: APNs refuses with `reason`. */
export function apnsRefusal(reason: ApnsReason, timestampMs?: number): Misbehaviour {
  return { kind: "answer", status: REASONS[reason].status, body: reasonBody(reason, timestampMs) };
}

interface Client {
  readonly connection: Connection;
  readonly peer: Peer;
  raised: boolean;
}

/** A simulated APNs. Nothing listens before `start`. */
export function createApnsSimulator(options: ApnsSimulatorOptions): ApnsSimulator {
  const now = options.now ?? Date.now;
  const streams = options.streams ?? STREAMS;
  const devices = createApnsDevices();
  const plan = createMisbehaviourPlan();
  const ledger = createLedger<AcceptedPush>();
  const judge: Judge = createJudge({
    environment: options.environment ?? "production",
    keys: options.keys,
    devices,
    deviceLimit: options.deviceLimit ?? DEVICE_LIMIT,
    wedgeOnExpiredToken: options.wedgeOnExpiredToken ?? true,
  });
  const server = createProviderServer({
    secure: {
      cert: options.tls.certificate,
      key: options.tls.key,
      // Asked for, but judged only when a request comes: a refused sender shall get its reason.
      requestCert: options.clientAuthority !== undefined,
      rejectUnauthorized: false,
      ...(options.clientAuthority === undefined ? {} : { ca: options.clientAuthority }),
      settings: { maxConcurrentStreams: 1, enablePush: false },
    },
    ...(options.address === undefined ? {} : { address: options.address }),
    ...(options.port === undefined ? {} : { port: options.port }),
    onConnected: ledger.connected,
    onDisconnected: ledger.disconnected,
    onSession: welcome,
  });

  /** One stream until the sender is known, then many; back to one after it was refused. */
  function adjustStreams(client: Client): void {
    if (client.peer.authenticated === client.raised) return;
    client.raised = client.peer.authenticated;
    client.connection.allowStreams(client.raised ? streams : 1);
  }

  async function judged(client: Client, request: PushRequest, apnsId: string): Promise<WireAnswer & Seen> {
    const headers = { "apns-id": apnsId };
    try {
      const push = await judge(request, client.peer, apnsId, now());
      ledger.accepted(push);
      options.onAccepted?.(push);
      return { status: 200, headers, body: "", reason: "accepted" };
    } catch (error) {
      if (!(error instanceof ApnsRefusal)) throw error;
      const { status, violation } = REASONS[error.reason];
      const token = tokenOf(request.path);
      if (violation) ledger.violated({ at: now(), token, rule: error.reason, detail: error.message });
      return {
        status,
        headers: { ...headers, "content-type": "application/json" },
        body: reasonBody(error.reason, error.timestampMs),
        reason: error.reason,
      };
    } finally {
      adjustStreams(client);
    }
  }

  async function serve(client: Client, stream: ServerHttp2Stream, request: PushRequest): Promise<void> {
    const { connection } = client;
    const token = tokenOf(request.path);
    const apnsId = apnsIdOf(request.headers);
    const what = plan.take(token);
    const conduct = misbehave(connection, stream, what);
    const answer =
      conduct.instead === undefined
        ? conduct.judge
          ? await judged(client, request, apnsId)
          : undefined
        : { headers: {}, ...conduct.instead, reason: reasonOf(conduct.instead.body) };
    if (conduct.delayMs > 0) await server.pause(conduct.delayMs);
    let sent = false;
    if (answer !== undefined && conduct.answer) {
      sent = connection.answer(stream, {
        ...answer,
        headers: { "apns-id": apnsId, ...answer.headers },
      });
    }
    ledger.answered({
      at: now(),
      token,
      id: apnsId,
      reason: answer?.reason ?? what?.kind ?? "unanswered",
      ...(sent && answer !== undefined ? { status: answer.status } : {}),
    });
    if (conduct.closeAfter) connection.close();
  }

  function welcome(connection: Connection): void {
    const certificate = readClientCertificate(connection.socket);
    const client: Client = {
      connection,
      peer: { certificate, authenticated: certificate.kind === "good", wedged: false },
      raised: false,
    };
    connection.session.on("stream", (stream, headers, _flags, rawHeaders) => {
      stream.on("error", () => {});
      collect(stream, (body, bodyBytes) => {
        if (!connection.hears(stream)) return;
        const headerNames = rawHeaders.filter((_name, at) => at % 2 === 0);
        const method = String(headers[":method"]);
        const path = String(headers[":path"]);
        serve(client, stream, { method, path, headers, headerNames, body, bodyBytes }).catch(() => {
          connection.answer(stream, { status: 500, body: reasonBody("InternalServerError") });
        });
      });
    });
    adjustStreams(client);
  }

  return {
    devices,
    start: server.start,
    stop: server.stop,
    misbehave: plan.add,
    behave: plan.clear,
    goaway(reason) {
      for (const connection of server.connections()) {
        // The newest stream that a client can have opened: none of those in flight is cut off.
        connection.goaway(newestStream(connection), reason, 0);
      }
    },
    allowStreams(count) {
      for (const connection of server.connections()) connection.allowStreams(count);
    },
    history: (token) => ledger.history(token.toLowerCase()),
    lastBadge: (token) =>
      ledger.history(token.toLowerCase()).findLast((push) => push.badge !== undefined)?.badge,
    requests: ledger.requests,
    violations: ledger.violations,
    totals: ledger.totals,
  };
}

interface Seen {
  readonly reason: string;
}

function newestStream(connection: Connection): number {
  // `lastProcStreamID` is the newest stream that the session has seen.
  return connection.session.state.lastProcStreamID ?? 0;
}

function tokenOf(path: string): string {
  return TOKEN_PATH.test(path) ? path.replace(TOKEN_PATH, "").toLowerCase() : "";
}

function reasonOf(body: string): string {
  const reason = /"reason":"(\w+)"/.exec(body)?.[1];
  return reason ?? "answer";
}

/** Reads a body; beyond the limit bytes are counted, not kept. */
function collect(stream: ServerHttp2Stream, done: (body: Buffer, bodyBytes: number) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (bytes <= PAYLOAD_LIMIT_BYTES) chunks.push(chunk);
    bytes += chunk.length;
  });
  stream.on("end", () => done(Buffer.concat(chunks), bytes));
}
