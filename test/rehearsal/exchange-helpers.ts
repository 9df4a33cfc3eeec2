// A listener for the tests of the simulated Exchange: a bare TLS server that keeps what it read, byte for byte, and
// answers with whatever bytes a test wants. It is no HTTP server on purpose.
import { createServer, type TLSSocket } from "node:tls";
import { type Authority, createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { createManualClock } from "../../src/rehearsal/ews/clock.ts";
import type { EventKind } from "../../src/rehearsal/ews/notification.ts";
import { createExchangeSimulator, type ExchangeSimulatorOptions } from "../../src/rehearsal/ews/simulator.ts";

export interface Received {
  /** The whole request as read. */
  readonly raw: string;
  readonly head: string;
  readonly body: string;
}

/** Bytes to write; null leaves the request without an answer. */
export type Answering = (request: Received, count: number) => string | null;

export const OK_BODY =
  '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><SendNotificationResult xmlns="http://schemas.microsoft.com/exchange/services/2006/messages"><SubscriptionStatus>OK</SubscriptionStatus></SendNotificationResult></s:Body></s:Envelope>';
export const UNSUBSCRIBE_BODY = OK_BODY.replace(">OK<", ">Unsubscribe<");

export function http(status: number, body: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ "Content-Type": "text/xml; charset=utf-8", ...headers });
  return `HTTP/1.1 ${status} Text\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}Content-Length: ${Buffer.byteLength(body, "latin1")}\r\nConnection: close\r\n\r\n${body}`;
}

export const ok: Answering = () => http(200, OK_BODY);

let shared: Promise<Authority> | undefined;
export function authority(): Promise<Authority> {
  shared ??= createAuthority("Rehearsal test CA");
  return shared;
}

export async function startListener(
  answering: Answering,
  certificate?: { readonly certificate: string; readonly key: string },
) {
  const { certificate: cert, key } =
    certificate ?? (await issue(await authority(), { names: ["127.0.0.1", "bell.corp.example"] }));
  const received: Received[] = [];
  const sockets = new Set<TLSSocket>();
  const waiting: (() => void)[] = [];
  let connections = 0;
  let open = 0;
  let mostOpen = 0;
  const server = createServer({ cert, key }, (socket) => {
    connections++;
    open++;
    mostOpen = Math.max(mostOpen, open);
    sockets.add(socket);
    let bytes = "";
    let answered = false;
    socket.on("data", (chunk) => {
      bytes += chunk.toString("latin1");
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0 || answered) return;
      const head = bytes.slice(0, end + 4);
      const length = Number(/^Content-Length: (\d+)/im.exec(head)?.[1] ?? 0);
      if (bytes.length < end + 4 + length) return;
      answered = true;
      const request = { raw: bytes, head, body: bytes.slice(end + 4) };
      received.push(request);
      for (const wake of waiting.splice(0)) wake();
      const answer = answering(request, received.length);
      if (answer !== null) socket.end(Buffer.from(answer, "latin1"));
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      open--;
      sockets.delete(socket);
    });
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `https://127.0.0.1:${port}/ews/some-capability`,
    port,
    received,
    connections: () => connections,
    mostOpen: () => mostOpen,
    /** Resolves once `count` requests have been read. */
    async has(count: number) {
      while (received.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export const ALL_EVENTS: readonly EventKind[] = [
  "Copied",
  "Created",
  "Deleted",
  "Modified",
  "Moved",
  "NewMail",
  "FreeBusyChanged",
];

/** A simulator on a clock that stands still, with one mailbox and everything that happens noted. */
export async function startExchange(options: Partial<ExchangeSimulatorOptions> = {}) {
  const clock = createManualClock();
  // Any sequence will do as long as it is the same in every run.
  let state = 1;
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const exchange = createExchangeSimulator({
    ca: (await authority()).certificate,
    clock,
    random,
    ...options,
  });
  const retries: number[] = [];
  const ends: string[] = [];
  const waiting: (() => void)[] = [];
  let verdicts = 0;
  exchange.observe({
    // After a failure the wait for the next try is set when this has been called.
    onRetry: (_post, waitMs) => {
      retries.push(waitMs);
    },
    onEnd: (_subscription, reason) => {
      ends.push(reason);
    },
    onVerdict: () => {
      verdicts++;
      queueMicrotask(() => {
        for (const wake of waiting.splice(0)) wake();
      });
    },
  });
  const mailbox = exchange.addMailbox("mailbox-1");
  return {
    exchange,
    clock,
    mailbox,
    retries,
    ends,
    /** Resolves once Exchange has judged `count` answers and settled the last one. */
    async judged(count: number) {
      while (verdicts < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    subscribe(url: string, statusFrequencyMinutes = 15, folders: readonly string[] = ["inbox"]) {
      return exchange.subscribe({
        mailbox: "mailbox-1",
        folders,
        eventTypes: ALL_EVENTS,
        statusFrequencyMinutes,
        url,
      });
    },
  };
}

/** The text of every element of this local name, in order. */
export function texts(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<t:${name}>([^<]*)</t:${name}>`, "g"))].map((match) => match[1] ?? "");
}

/** The names of the events of a notification, in order. */
export function eventNames(xml: string): string[] {
  return [...xml.matchAll(/<t:(\w+)Event>/g)].map((match) => match[1] ?? "");
}
