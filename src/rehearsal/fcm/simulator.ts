// A simulated FCM with Google's token endpoint beside it: HTTP/2 and HTTP/1.1 over TLS on a loopback port. It
// refuses what the real API refuses, misbehaves when told to, and remembers what it saw.
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import type { TLSSocket } from "node:tls";
import { createLedger, type SeenRequest, type Totals, type Violation } from "../provider/ledger.ts";
import { createMisbehaviourPlan, type Misbehaviour, type When } from "../provider/misbehaviour.ts";
import { createRateLimiter, type RateLimit } from "../provider/rate-limit.ts";
import { createFcmDevices, type FcmDevices } from "./devices.ts";
import { type AcceptedMessage, checkMessage, MESSAGE_LIMIT_BYTES } from "./message.ts";
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
  behave(): void;
  history(token: string): readonly DeliveredMessage[];
  /** The unread count that the phone was last told, or undefined if it never was. */
  lastUnread(token: string): number | undefined;
  requests(): readonly SeenRequest[];
  violations(): readonly Violation[];
  totals(): Totals;
}

// Google's published limits: 240 messages a minute for a device, 600 000 a minute for a project.
const DEVICE_LIMIT: RateLimit = { count: 240, windowMs: 60_000 };
const PROJECT_LIMIT: RateLimit = { count: 600_000, windowMs: 60_000 };

/** An answer for `misbehave({kind: "answer", …})`: FCM refuses with `reason`. */
export function fcmRefusal(reason: FcmReason, headers: Readonly<Record<string, string>> = {}): Misbehaviour {
  const answer = refusalAnswer(reason);
  return { kind: "answer", ...answer, headers: { ...answer.headers, ...headers } };
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly reason: string;
}

/** A simulated FCM. Nothing listens before `start`. */
export function createFcmSimulator(options: FcmSimulatorOptions): FcmSimulator {
  const now = options.now ?? Date.now;
  const devices = createFcmDevices();
  const oauth = createOAuth(options.account, options.random);
  const plan = createMisbehaviourPlan();
  const ledger = createLedger<DeliveredMessage>();
  const perDevice = createRateLimiter(options.deviceLimit ?? DEVICE_LIMIT);
  const perProject = createRateLimiter(options.projectLimit ?? PROJECT_LIMIT);
  const sockets = new Set<TLSSocket>();
  const timers = new Set<NodeJS.Timeout>();
  const sendPath = /^\/v1\/projects\/([^/]+)\/messages:send$/;
  let server: Http2SecureServer | undefined;
  let port = options.port ?? 0;

  const json = { "content-type": "application/json; charset=UTF-8" };
  const baseUrl = () => `https://localhost:${port}`;

  function judge(project: string, authorization: string | undefined, body: Buffer, bytes: number): Answer {
    const at = now();
    let token = "";
    try {
      if (!oauth.accepts(authorization, at)) throw new FcmRefusal("UNAUTHENTICATED");
      if (project !== options.projectId) throw new FcmRefusal("WRONG_PROJECT");
      const message = checkMessage(body, bytes);
      token = message.token;
      if (message.collapseKey !== undefined) {
        ledger.violated({
          at,
          token,
          rule: "COLLAPSE_KEY",
          detail: "a collapsible message waits for minutes",
        });
      }
      if (message.priority === "high" && !message.visible && message.reason !== "test") {
        ledger.violated({
          at,
          token,
          rule: "HIGH_WITHOUT_NOTIFICATION",
          detail: "Google slows such apps down",
        });
      }
      devices.check(token);
      if (perProject.take("", at) !== undefined) throw new FcmRefusal("PROJECT_QUOTA");
      if (perDevice.take(token, at) !== undefined) throw new FcmRefusal("DEVICE_QUOTA");
      if (!message.validateOnly) {
        const delivered = { ...message, at };
        ledger.accepted(delivered);
        options.onAccepted?.(delivered);
      }
      const id = options.random(8).toString("hex");
      const name = `projects/${project}/messages/${message.validateOnly ? "fake_message_id" : id}`;
      return { status: 200, headers: json, body: JSON.stringify({ name }), reason: "accepted" };
    } catch (error) {
      if (!(error instanceof FcmRefusal)) throw error;
      if (SHAPES[error.reason].violation) {
        ledger.violated({ at, token, rule: error.reason, detail: error.message });
      }
      return { ...refusalAnswer(error.reason, error.fields), reason: error.reason };
    }
  }

  function answerNow(response: Http2ServerResponse, answer: Answer): void {
    if (response.stream?.destroyed === true) return;
    response.writeHead(answer.status, { ...answer.headers });
    response.end(answer.body);
  }

  function send(
    request: Http2ServerRequest,
    response: Http2ServerResponse,
    project: string,
    body: Buffer,
    bytes: number,
  ): void {
    const token = /"token"\s*:\s*"([^"]*)"/.exec(body.toString("utf8"))?.[1] ?? "";
    const what = plan.take(token);
    const note = (reason: string, status?: number) =>
      ledger.answered({ at: now(), token, reason, ...(status === undefined ? {} : { status }) });
    const judged = () => judge(project, request.headers.authorization, body, bytes);
    switch (what?.kind) {
      case undefined:
      case "lower-streams": {
        const answer = judged();
        note(answer.reason, answer.status);
        answerNow(response, answer);
        return;
      }
      case "answer": {
        const reason =
          /"errorCode":"(\w+)"/.exec(what.body)?.[1] ?? /"status":"(\w+)"/.exec(what.body)?.[1] ?? "answer";
        note(reason, what.status);
        answerNow(response, { status: what.status, headers: what.headers ?? {}, body: what.body, reason });
        return;
      }
      case "delay": {
        const answer = judged();
        const timer = setTimeout(() => {
          timers.delete(timer);
          note(answer.reason, answer.status);
          answerNow(response, answer);
        }, what.ms);
        timers.add(timer);
        return;
      }
      case "lose-answer":
        judged();
        note("lose-answer");
        return;
      case "hang":
        note("hang");
        return;
      case "freeze":
      case "close":
      case "abort":
      case "goaway":
      case "reset-stream":
        // The connection is cut under the request: the same to a sender, whichever way it happens.
        note(what.kind);
        for (const socket of sockets) if (socket.remotePort === request.socket.remotePort) socket.destroy();
        return;
    }
  }

  function take(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      // Beyond the limit bytes are counted, not kept.
      if (bytes <= MESSAGE_LIMIT_BYTES * 2) chunks.push(chunk);
      bytes += chunk.length;
    });
    request.on("error", () => {});
    response.on("error", () => {});
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const path = request.url.split("?")[0] ?? "";
      const project = sendPath.exec(path)?.[1];
      if (request.method === "POST" && project !== undefined) {
        send(request, response, project, body, bytes);
      } else if (request.method === "POST" && path === "/token") {
        oauth
          .exchange(request.headers["content-type"] ?? "", body.toString("utf8"), `${baseUrl()}/token`, now())
          .then((answer) => answerNow(response, { ...answer, headers: json, reason: "token" }))
          .catch(() => answerNow(response, { status: 500, headers: json, body: "{}", reason: "internal" }));
      } else {
        answerNow(response, { ...refusalAnswer("WRONG_PROJECT"), reason: "WRONG_PROJECT" });
      }
    });
  }

  return {
    devices,
    oauth,
    start() {
      const secure = createSecureServer({
        cert: options.tls.certificate,
        key: options.tls.key,
        minVersion: "TLSv1.2",
        allowHTTP1: true,
      });
      server = secure;
      secure.on("secureConnection", (socket: TLSSocket) => {
        sockets.add(socket);
        ledger.connected();
        socket.on("error", () => {});
        socket.on("close", () => {
          sockets.delete(socket);
          ledger.disconnected();
        });
      });
      secure.on("session", (session) => session.on("error", () => {}));
      secure.on("request", take);
      secure.on("tlsClientError", () => {});
      return new Promise((resolve, reject) => {
        secure.once("error", reject);
        secure.listen(port, options.address ?? "127.0.0.1", () => {
          const address = secure.address();
          if (address === null || typeof address === "string") throw new Error("no TCP address");
          port = address.port;
          resolve({ url: baseUrl(), tokenUrl: `${baseUrl()}/token`, port });
        });
      });
    },
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      const stopping = server;
      server = undefined;
      if (stopping === undefined) return;
      const closed = new Promise<void>((resolve) => stopping.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    misbehave: plan.add,
    behave: plan.clear,
    history: ledger.history,
    lastUnread: (token) => ledger.history(token).findLast((message) => message.unread !== undefined)?.unread,
    requests: ledger.requests,
    violations: ledger.violations,
    totals: ledger.totals,
  };
}
