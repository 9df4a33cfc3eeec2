// Proxies for the tests of the way out: Debian's squid and tinyproxy as real ones, and small ones of the tests' own
// for what a good proxy would never do.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext, TLSSocket, connect as tlsConnect } from "node:tls";
import { spawn } from "bun";
import type { IssuedCertificate } from "../../src/rehearsal/certificates.ts";
import { until } from "./helpers.ts";

export const SQUID = "/usr/sbin/squid";
export const TINYPROXY = "/usr/bin/tinyproxy";
const NCSA = "/usr/lib/squid/basic_ncsa_auth";
export const hasSquid = existsSync(SQUID) && existsSync(NCSA);
export const hasTinyproxy = existsSync(TINYPROXY);

export interface RealProxy {
  readonly url: string;
  /** Host and port of each tunnel that it was asked for, as its own log tells; squid writes when a tunnel ends. */
  asked(): string[];
  stop(): Promise<void>;
}

export interface RealProxyOptions {
  readonly user?: { readonly name: string; readonly password: string };
  /** Squid only: the ports that CONNECT is allowed to; all unless given. */
  readonly ports?: readonly number[];
  /** Squid only: speaks TLS to its clients. */
  readonly tls?: IssuedCertificate;
}

export async function tinyproxy({ user }: RealProxyOptions = {}): Promise<RealProxy> {
  const port = await freePort();
  return run([TINYPROXY, "-d", "-c", "proxy.conf"], port, "http", {
    "proxy.conf": [
      `Port ${port}`,
      "Listen 127.0.0.1",
      "Timeout 60",
      'LogFile "access.log"',
      "LogLevel Connect",
      "MaxClients 50",
      ...(user === undefined ? [] : [`BasicAuth ${user.name} ${user.password}`]),
    ].join("\n"),
  });
}

export async function squid({ user, ports, tls }: RealProxyOptions = {}): Promise<RealProxy> {
  const port = await freePort();
  const allowed =
    ports === undefined ? [] : [`acl allowed port ${ports.join(" ")}`, "http_access deny !allowed"];
  const basic = [
    `auth_param basic program ${NCSA} passwords`,
    "acl known proxy_auth REQUIRED",
    "http_access deny !known",
  ];
  return run([SQUID, "-N", "-f", "squid.conf"], port, tls === undefined ? "http" : "https", {
    passwords: user === undefined ? "" : `${user.name}:${await crypt(user.password)}\n`,
    "tls.pem": tls === undefined ? "" : `${tls.certificate}\n`,
    "tls.key": tls === undefined ? "" : `${tls.key}\n`,
    "squid.conf": [
      tls === undefined
        ? `http_port 127.0.0.1:${port}`
        : `https_port 127.0.0.1:${port} tls-cert=tls.pem tls-key=tls.key`,
      ...(user === undefined ? [] : basic),
      ...allowed,
      "http_access allow all",
      "dns_nameservers 127.0.0.1",
      "connect_timeout 2 seconds",
      "forward_timeout 3 seconds",
      "connect_retries 0",
      "shutdown_lifetime 0 seconds",
      "pid_filename none",
      "visible_hostname proxy.test",
      "cache deny all",
      "cache_mem 8 MB",
      "access_log stdio:access.log",
      "cache_log cache.log",
      "coredump_dir .",
      "",
    ].join("\n"),
  });
}

async function run(
  command: string[],
  port: number,
  scheme: "http" | "https",
  files: Readonly<Record<string, string>>,
): Promise<RealProxy> {
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-proxy-"));
  // Squid gives up root for a user of its own.
  chmodSync(directory, 0o777);
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(directory, name), text);
    chmodSync(join(directory, name), 0o644);
  }
  const child = spawn({ cmd: command, cwd: directory, stdout: "ignore", stderr: "ignore" });
  const stop = async () => {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await until(() => answers(port), `${command[0]} to answer`, 15_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `${scheme}://localhost:${port}`,
    asked() {
      const log = join(directory, "access.log");
      const lines = existsSync(log) ? readFileSync(log, "utf8") : "";
      return [...lines.matchAll(/CONNECT ([a-z0-9.]+:\d+)/g)].map(([, authority = ""]) => authority);
    },
    stop,
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function crypt(password: string): Promise<string> {
  const made = spawn({ cmd: ["openssl", "passwd", "-apr1", password], stdout: "pipe" });
  return (await new Response(made.stdout).text()).trim();
}

export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A server on a port of its own that hands each connection on, and ends them all. */
export async function tcpServer(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    onSocket(socket);
  });
  const port = await listen(server);
  return {
    port,
    sockets,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A proxy that answers each request as told, and counts them. */
export async function answeringProxy(answer: string) {
  const heads: string[] = [];
  const server = await tcpServer((socket) => {
    socket.once("data", (head: Buffer) => {
      heads.push(head.toString("latin1"));
      socket.end(answer);
    });
  });
  return { url: `http://localhost:${server.port}`, heads, stop: server.stop };
}

/**
 * A proxy that opens every tunnel itself and reads along: its own certificate to one side, its own TLS to the other.
 * @param protocols what it offers; none: TLS without ALPN
 */
export async function inspectingProxy(own: IssuedCertificate, trusted: string, protocols: readonly string[]) {
  const context = createSecureContext({ cert: own.certificate, key: own.key });
  const inner = new Set<Socket>();
  let inspected = 0;
  const server = await tcpServer((socket) => {
    socket.once("data", (head: Buffer) => {
      const [, host = "", port = ""] = /^CONNECT ([^:]+):(\d+)/.exec(head.toString("latin1")) ?? [];
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      const offer = protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] };
      const front = new TLSSocket(socket, { isServer: true, secureContext: context, ...offer });
      inner.add(front);
      front.on("error", () => front.destroy());
      front.once("data", (first: Buffer) => {
        inspected += 1;
        const agreed = typeof front.alpnProtocol === "string" ? front.alpnProtocol : "http/1.1";
        const back = tlsConnect({
          host,
          port: Number(port),
          servername: host,
          ca: trusted,
          ALPNProtocols: [agreed],
        });
        inner.add(back);
        back.on("error", () => front.destroy());
        back.write(first);
        front.pipe(back);
        back.pipe(front);
      });
    });
  });
  return {
    url: `http://localhost:${server.port}`,
    /** Tunnels that it read along. */
    get inspected() {
      return inspected;
    },
    async stop() {
      for (const socket of inner) socket.destroy();
      await server.stop();
    },
  };
}
