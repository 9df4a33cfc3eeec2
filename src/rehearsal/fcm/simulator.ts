// A simulated FCM with Google's token endpoint beside it: HTTP/2 and HTTP/1.1 over TLS on a loopback port. It
// refuses what the real API refuses, misbehaves when told to, and remembers what it saw.
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { type Conduct, misbehave, misbehaveHttp1, type WireAnswer } from "../provider/connection.ts";
import { createLedger, type SeenRequest, type Totals, type Violation } from "../provider/ledger.ts";
import { createMisbehaviourPlan, type Misbehaviour, type When } from "../provider/misbehaviour.ts";
import type { RateLimit } from "../provider/rate-limit.ts";
import { createProviderServer } from "../provider/server.ts";
import { createFcmDevices, type FcmDevices } from "./devices.ts";
import { createJudge } from "./judge.ts";
import type { AcceptedMessage } from "./message.ts";
import { createOAuth, type KnownAccount, type OAuth } from "./oauth.ts";
import { type FcmReason, FcmRefusal, refusalAnswer, SHAPES } from "./refusal.ts";

export interface FcmSimulatorOptions {
  /** Server certificate and key, PEM. */
  readonly tls: { readonly certificate: string; readonly key: string };
  readonly projectId: string;
  readonly account: KnownAccount;
  /** Loopback address and port; 127.0.0.1 and any free port if left out. A restart keeps the port. */
  readonly address?: string;
  readonly port?: number;
  /** Epoch milliseconds; the real clock if left out. */
  readonly now?: () => number;
  readonly random: (count: number) => Buffer;
  readonly deviceLimit?: RateLimit;
  readonly deviceHourLimit?: RateLimit;
  readonly projectLimit?: RateLimit;
  /** Called for every accepted message, before it is answered: the way to the phone. */
  readonly onAccepted?: (message: DeliveredMessage) => void;
}

/** An accepted message with the simulator's time, epoch milliseconds. */
export interface DeliveredMessage extends AcceptedMessage {
  readonly at: number;
}

export interface FcmSimulator {
  /** Listens; the URLs are what `fcm.url` and `fcm.token_url` of a configuration take. */
  start(): Promise<{ readonly url: string; readonly tokenUrl: string; readonly port: number }>;
  /** Ends every connection and stops listening: an outage, until `start` again on the same port. */
  stop(): Promise<void>;
  readonly devices: FcmDevices;
  readonly oauth: OAuth;
  /** Plans a misbehaviour of the send endpoint; the next request if `when` is left out. */
  misbehave(what: Misbehaviour, when?: When): void;
  /** The same for the token endpoint. */
  misbehaveToken(what: Misbehaviour, when?: When): void;
  /** Drops every planned misbehaviour. */
  behave(): void;
  history(token: string): readonly DeliveredMessage[];
  /** The unread count that the phone was last told, or undefined if it never was. */
  lastUnread(token: string): number | undefined;
  /** Requests to the send endpoint. */
  requests(): readonly SeenRequest[];
  violations(): readonly Violation[];
  totals(): Totals;
}

// Google's published limits ("Throttling and quotas").
const DEVICE_LIMIT: RateLimit = { count: 240, windowMs: 60_000 };
const DEVICE_HOUR_LIMIT: RateLimit = { count: 5_000, windowMs: 3_600_000 };
const PROJECT_LIMIT: RateLimit = { count: 600_000, windowMs: 60_000 };
// What Google's front ends offer on a connection.
const STREAMS = 100;
// Far above what any check accepts; a body beyond it is not kept.
const BODY_LIMIT_BYTES = 65_536;
const JSON_TYPE = { "content-type": "application/json; charset=UTF-8" };
const SEND_PATH = /^\/v1\/projects\/([^/]+)\/messages:send$/;

/** An answer for `misbehave({kind: "answer", …})`: FCM refuses with `reason`. */
export function fcmRefusal(reason: FcmReason, headers: Readonly<Record<string, string>> = {}): Misbehaviour {
  const answer = refusalAnswer(reason);
  return { kind: "answer", ...answer, headers: { ...answer.headers, ...headers } };
}

interface Answer extends WireAnswer {
  readonly reason: string;
}

/** One request with its body, and how to answer it. */
interface Call {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly contentType: string;
  readonly authorization: string | undefined;
  readonly body: Buffer;
  /** Carries a misbehaviour out. */
  conduct(what: Misbehaviour | undefined): Conduct;
  /** Says whether anything was sent. */
  answer(answer: WireAnswer): boolean;
  close(): void;
}

/** A simulated FCM. Nothing listens before `start`. */
export function createFcmSimulator(options: FcmSimulatorOptions): FcmSimulator {
  const now = options.now ?? Date.now;
  const devices = createFcmDevices();
  const oauth = createOAuth(options.account, options.random);
  const sendPlan = createMisbehaviourPlan();
  const tokenPlan = createMisbehaviourPlan();
  const ledger = createLedger<DeliveredMessage>();
  const judge = createJudge({
    projectId: options.projectId,
    devices,
    oauth,
    deviceLimit: options.deviceLimit ?? DEVICE_LIMIT,
    deviceHourLimit: options.deviceHourLimit ?? DEVICE_HOUR_LIMIT,
    projectLimit: options.projectLimit ?? PROJECT_LIMIT,
  });
  const server = createProviderServer({
    secure: {
      cert: options.tls.certificate,
      key: options.tls.key,
      allowHTTP1: true,
      settings: { maxConcurrentStreams: STREAMS, enablePush: false },
    },
    ...(options.address === undefined ? {} : { address: options.address }),
    ...(options.port === undefined ? {} : { port: options.port }),
    onConnected: ledger.connected,
    onDisconnected: ledger.disconnected,
    prepare: (secure) => secure.on("request", receive),
  });

  function violated(token: string, rule: string, detail: string): void {
    ledger.violated({ at: now(), token, rule, detail });
  }

  function judged(project: string, call: Call, token: string): Answer {
    try {
      const message = judge(project, call.authorization, call.body, now());
      for (const { rule, detail } of harmOf(message)) violated(token, rule, detail);
      const delivered = { ...message, at: now() };
      if (!message.validateOnly && message.token !== "") {
        ledger.accepted(delivered);
        options.onAccepted?.(delivered);
      }
      const id = message.validateOnly ? "fake_message_id" : options.random(8).toString("hex");
      const body = JSON.stringify({ name: `projects/${project}/messages/${id}` });
      return { status: 200, headers: JSON_TYPE, body, reason: "accepted" };
    } catch (error) {
      if (!(error instanceof FcmRefusal)) throw error;
      if (SHAPES[error.reason].violation) violated(token, error.reason, error.message);
      return { ...refusalAnswer(error.reason, error.fields), reason: error.reason };
    }
  }

  async function perform(
    call: Call,
    what: Misbehaviour | undefined,
    judgement: () => Answer | Promise<Answer>,
  ): Promise<{ readonly reason: string; readonly status?: number }> {
    const conduct = call.conduct(what);
    const { instead } = conduct;
    let answer: Answer | undefined;
    if (instead !== undefined) {
      answer = { ...instead, headers: { ...JSON_TYPE, ...instead.headers }, reason: reasonOf(instead.body) };
    } else if (conduct.judge) {
      answer = await judgement();
    }
    if (conduct.delayMs > 0) await server.pause(conduct.delayMs);
    const sent = answer !== undefined && conduct.answer && call.answer(answer);
    if (conduct.closeAfter) call.close();
    const reason = answer?.reason ?? what?.kind ?? "unanswered";
    return sent && answer !== undefined ? { reason, status: answer.status } : { reason };
  }

  async function send(call: Call, project: string): Promise<void> {
    const token = tokenOf(call.body);
    const result = await perform(call, sendPlan.take(token), () => judged(project, call, token));
    ledger.answered({ at: now(), token, ...result });
  }

  async function giveToken(call: Call): Promise<void> {
    await perform(call, tokenPlan.take(""), async () => {
      const url = `https://${call.authority}/token`;
      const answer = await oauth.exchange(call.contentType, call.body.toString("utf8"), url, now());
      return { ...answer, headers: JSON_TYPE, reason: "token" };
    });
  }

  function route(call: Call): Promise<void> {
    const project = SEND_PATH.exec(call.path)?.[1];
    if (call.method === "POST" && project !== undefined) return send(call, decodeURIComponent(project));
    if (call.method === "POST" && call.path === "/token") return giveToken(call);
    violated("", "PATH", `${call.method} ${call.path}`);
    // Google's front end knows no such page, and says so in HTML.
    const headers = { "content-type": "text/html; charset=UTF-8" };
    call.answer({ status: 404, headers, body: "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>" });
    return Promise.resolve();
  }

  function receive(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("error", () => {});
    response.on("error", () => {});
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= BODY_LIMIT_BYTES) chunks.push(chunk);
    });
    request.on("end", () => {
      const call = callOf(request, response, Buffer.concat(chunks));
      if (call === undefined) return;
      route(call).catch(() => call.answer(refusalAnswer("INTERNAL")));
    });
  }

  function callOf(request: Http2ServerRequest, response: Http2ServerResponse, body: Buffer) {
    const call = {
      method: request.method,
      path: request.url,
      authority: request.authority || (request.headers.host ?? ""),
      contentType: request.headers["content-type"] ?? "",
      authorization: request.headers.authorization,
      body,
    };
    if (request.httpVersionMajor === 1) return { ...call, ...http1(request, response) };
    const { stream } = request;
    const connection = server.connectionOf(stream.session);
    if (connection === undefined || !connection.hears(stream)) return undefined;
    return {
      ...call,
      conduct: (what: Misbehaviour | undefined) => misbehave(connection, stream, what),
      answer: (answer: WireAnswer) => connection.answer(stream, answer),
      close: connection.close,
    };
  }

  function http1(request: Http2ServerRequest, response: Http2ServerResponse) {
    const socket = server.socketFrom(request.socket.remotePort);
    let frozen = false;
    return {
      conduct(what: Misbehaviour | undefined) {
        frozen = what?.kind === "freeze";
        return misbehaveHttp1(socket, what);
      },
      answer({ status, headers, body }: WireAnswer) {
        if (frozen || socket === undefined || socket.destroyed) return false;
        response.writeHead(status, { ...headers });
        response.end(body);
        return true;
      },
      close: () => void socket?.end(),
    };
  }

  return {
    devices,
    oauth,
    async start() {
      const { url, port } = await server.start();
      return { url, tokenUrl: `${url}/token`, port };
    },
    stop: server.stop,
    misbehave: sendPlan.add,
    misbehaveToken: tokenPlan.add,
    behave() {
      sendPlan.clear();
      tokenPlan.clear();
    },
    history: ledger.history,
    lastUnread: (token) => ledger.history(token).findLast((message) => message.unread !== undefined)?.unread,
    requests: ledger.requests,
    violations: ledger.violations,
    totals: ledger.totals,
  };
}

/** What FCM accepts but a good sender does not send. */
function harmOf(message: AcceptedMessage): readonly { readonly rule: string; readonly detail: string }[] {
  const harm: { readonly rule: string; readonly detail: string }[] = [];
  if (message.collapseKey !== undefined) {
    harm.push({ rule: "COLLAPSE_KEY", detail: "after a burst, a collapsible message waits for minutes" });
  }
  // An app that gets data only shows new mail and a test itself.
  const shownByApp = message.reason === "mail" || message.reason === "test";
  if (message.priority === "high" && !message.visible && !shownByApp) {
    harm.push({ rule: "HIGH_WITHOUT_NOTIFICATION", detail: "Google takes the priority from such apps" });
  }
  return harm;
}

function tokenOf(body: Buffer): string {
  return /"token"\s*:\s*"([^"]*)"/.exec(body.toString("utf8"))?.[1] ?? "";
}

function reasonOf(body: string): string {
  return (/"errorCode":"(\w+)"/.exec(body) ?? /"status":"(\w+)"/.exec(body))?.[1] ?? "answer";
}
