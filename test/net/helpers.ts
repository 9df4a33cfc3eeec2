// Helpers of the listener tests: certificates made on the spot, a listener with its log, and a raw client.
import "reflect-metadata";
import { connect as connectPlain, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import * as x509 from "@peculiar/x509";
import { fixedAnswer } from "../../src/net/answer.ts";
import type { Limits } from "../../src/net/limits.ts";
import { createListener, type ListenerOptions } from "../../src/net/listener.ts";
import type { HttpRequest } from "../../src/net/types.ts";
import { createLogger, type Logger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";

const ALGORITHMS = {
  rsa: {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  },
  ec: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  ed25519: { name: "Ed25519" },
} as const;

const DAY_MS = 86_400_000;

/** A self-signed certificate for `bell.test` and 127.0.0.1, valid for these days around now. */
export async function makeIdentity(
  kind: keyof typeof ALGORITHMS = "ec",
  validity: { readonly fromDays: number; readonly toDays: number } = { fromDays: -1, toDays: 30 },
): Promise<{ certificate: string; key: string }> {
  const algorithm = ALGORITHMS[kind];
  const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=bell.test",
    serialNumber: "01",
    notBefore: new Date(Date.now() + validity.fromDays * DAY_MS),
    notAfter: new Date(Date.now() + validity.toDays * DAY_MS),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "dns", value: "bell.test" },
        { type: "ip", value: "127.0.0.1" },
      ]),
    ],
  });
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const lines = key.match(/.{1,64}/g)!.join("\n");
  return {
    certificate: `${certificate.toString("pem")}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
  };
}

// One certificate serves every test that does not care for its kind.
const shared = await makeIdentity("ec");

export const OK = fixedAnswer(200, { "Content-Type": "text/plain" }, "OK");
export const HEALTHY = fixedAnswer(200, { "Content-Type": "text/plain" }, "ROLE=ACTIVE\n");

/** A clock that runs fast enough for tests: limits in tens of milliseconds. */
export const QUICK: Partial<Limits> = {
  handshakeMs: 150,
  headersMs: 150,
  bodyMs: 150,
  keepAliveMs: 150,
  lingerMs: 150,
  tickMs: 10,
};

/** `proxied`: TLS after the header of a trusted proxy that speaks for `CLIENT`. */
export type Transport = "tls" | "plain" | "proxied";

export const TRANSPORTS: readonly Transport[] = ["tls", "plain", "proxied"];
/** Whom the proxy passes on. */
export const CLIENT = "192.0.2.7";
export const PROXY_LINE = `PROXY TCP4 ${CLIENT} 192.0.2.1 4711 9443\r\n`;

/** Starts a listener on a free port of the loopback address. Without a handler it answers OK. */
export async function startListener(transport: Transport, options: Partial<ListenerOptions> = {}) {
  const lines: string[] = [];
  const log: Logger = createLogger("debug", "json", (line) => void lines.push(line));
  const metrics = createMetrics({ version: "0", commit: "0" });
  const requests: HttpRequest[] = [];
  const { handler = () => OK, ...rest } = options;
  const listener = createListener({
    name: "registration",
    address: "127.0.0.1",
    port: 0,
    tls: transport === "plain" ? null : shared,
    ...(transport === "proxied" ? { trustedProxies: ["127.0.0.0/8"], proxyProtocol: true } : {}),
    allow: [],
    healthPaths: ["/livez", "/readyz", "/primary"],
    healthHandler: () => HEALTHY,
    log,
    metrics,
    ...rest,
    handler: (request) => {
      requests.push(request);
      return handler(request);
    },
  });
  const { port } = await listener.start();
  return {
    listener,
    port,
    requests,
    lines,
    connect: () => connect(transport, port),
    /** Sends bytes on a connection of their own and returns everything that comes back until it is closed. */
    async ask(bytes: string | Buffer): Promise<string> {
      const client = await connect(transport, port);
      client.send(bytes);
      const answer = await client.closed();
      client.destroy();
      return answer;
    },
    async refused(why: string): Promise<number> {
      const metric = await metrics.connectionsRefused.get();
      return metric.values.find((entry) => entry.labels.why === why)?.value ?? 0;
    },
    async answers(status: number): Promise<number> {
      const metric = await metrics.answers.get();
      return metric.values.find((entry) => String(entry.labels.status) === String(status))?.value ?? 0;
    },
    stop: () => listener.stop(0),
  };
}

export type TestListener = Awaited<ReturnType<typeof startListener>>;

// A test that hangs fails with what it was waiting for, not with the runner's time limit.
const PATIENCE_MS = 4000;

/** Opens a raw connection; over TLS it is past the handshake. */
export async function connect(transport: Transport, port: number) {
  const options = { host: "127.0.0.1", port, allowHalfOpen: true };
  if (transport === "proxied") return connectProxied(port, PROXY_LINE);
  const socket: Socket =
    transport === "tls" ? connectTls({ ...options, rejectUnauthorized: false }) : connectPlain(options);
  return watch(socket, transport === "tls" ? "secureConnect" : "connect");
}

/** Opens a connection as a proxy does: its header, then the client's TLS. */
export async function connectProxied(port: number, header: string | Buffer, tls: ConnectionOptions = {}) {
  const socket = connectPlain({ host: "127.0.0.1", port, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", () => resolve());
    socket.once("error", reject);
  });
  socket.write(header);
  return watch(connectTls({ socket, rejectUnauthorized: false, ...tls }), "secureConnect");
}

/** Collects what a socket receives. */
export async function watch(socket: Socket, ready: string | null) {
  let received = "";
  let isEnded = false;
  let failure: string | null = null;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const check of waiting) check();
  };
  socket.on("data", (bytes: Buffer) => {
    received += bytes.toString("latin1");
    wake();
  });
  socket.on("end", () => {
    isEnded = true;
    wake();
  });
  socket.on("close", () => {
    isEnded = true;
    wake();
  });
  socket.on("error", (error: Error & { code?: string }) => {
    failure = error.code ?? error.message;
    isEnded = true;
    wake();
  });
  let isReady = ready === null;
  if (ready !== null) {
    socket.once(ready, () => {
      isReady = true;
      wake();
    });
  }
  const until = (what: string, condition: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const check = () => {
        if (!condition()) return;
        clearTimeout(limit);
        waiting.delete(check);
        resolve();
      };
      const limit = setTimeout(() => {
        waiting.delete(check);
        reject(new Error(`waited in vain for ${what}; received: ${JSON.stringify(received.slice(0, 300))}`));
      }, PATIENCE_MS);
      waiting.add(check);
      check();
    });
  await until("the connection", () => isReady || isEnded);
  return {
    socket,
    get received() {
      return received;
    },
    /** Error code of the socket, if it had one. */
    get failure() {
      return failure;
    },
    get isEnded() {
      return isEnded;
    },
    send: (bytes: string | Buffer) => void socket.write(bytes),
    /** Waits until this text has been received. */
    async until(text: string) {
      await until(JSON.stringify(text), () => received.includes(text) || isEnded);
      return received;
    },
    /** Waits until the other side has closed. */
    async closed() {
      await until("the other side's end", () => isEnded);
      return received;
    },
    destroy: () => void socket.destroy(),
  };
}

/** Builds a request: `Host` is added, and `Content-Length` if there is a body. */
export function request(
  line: string,
  headers: Readonly<Record<string, string>> = {},
  body: string | Buffer = "",
): Buffer {
  const all: Record<string, string> = { Host: "bell.test", Connection: "close", ...headers };
  if (body.length > 0) all["Content-Length"] ??= String(Buffer.byteLength(body));
  const head = Object.entries(all)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${head}\r\n`), Buffer.from(body)]);
}

/** The status codes of the answers in what a client received. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

/** Waits until a condition holds, looking often; fails after some seconds. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400; i += 1) {
    if (condition()) return;
    await Bun.sleep(10);
  }
  throw new Error(`did not happen: ${what}`);
}
