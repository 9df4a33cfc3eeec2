// What stands between clients and servers in companies: relays, load balancers that end TLS, proxies that inspect it.
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTls, TLSSocket } from "node:tls";
import type { IssuedCertificate } from "../../../src/rehearsal/certificates.ts";

export interface Middleman {
  readonly port: number;
  stop(): Promise<void>;
}

interface Listening {
  listen(port: number, host: string, ready: () => void): unknown;
  close(done: () => void): unknown;
  address(): ReturnType<Server["address"]>;
  on(event: "connection", listener: (socket: Socket) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** Lets a server listen on loopback; `stop` ends its connections too. */
async function up(server: Listening, host = "127.0.0.1", port = 0): Promise<Middleman> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      const closed = new Promise<void>((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      return closed;
    },
  };
}

function join(one: Socket, other: Socket): void {
  for (const [a, b] of [
    [one, other],
    [other, one],
  ] as const) {
    a.on("error", () => b.destroy());
    a.on("close", () => b.destroy());
    a.pipe(b);
  }
}

/** Passes TCP on, as a port forwarding or a load balancer for SSL bridge does. */
export function relay(to: number, host?: string, port?: number): Promise<Middleman> {
  return up(
    createServer((socket) => join(socket, connect(to, "127.0.0.1"))),
    host,
    port,
  );
}

/** Ends TLS with a certificate of its own and speaks TLS to the back-end. */
export function offloader(tls: IssuedCertificate, to: number): Promise<Middleman> {
  const server = createTls({ cert: tls.certificate, key: tls.key }, (socket) =>
    join(socket, connectTls({ host: "127.0.0.1", port: to, rejectUnauthorized: false })),
  );
  return up(server as unknown as Listening);
}

/** An HTTPS server that answers everything in one way. */
export function webServer(
  tls: IssuedCertificate,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Middleman> {
  return up(createHttps({ cert: tls.certificate, key: tls.key }, answer) as unknown as Listening);
}

/** An HTTP/2 server that answers everything in one way. */
export function http2Server(
  tls: IssuedCertificate,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Middleman> {
  const server = createSecureServer({ cert: tls.certificate, key: tls.key, allowHTTP1: false });
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": status, ...headers });
    stream.end(body);
  });
  return up(server as unknown as Listening);
}

/** Answers whatever comes with these bytes and closes. */
export function parrot(bytes: Buffer): Promise<Middleman> {
  return up(
    createServer((socket) => {
      socket.once("data", () => socket.end(bytes));
    }),
  );
}

/** Takes connections and says nothing. */
export function silence(): Promise<Middleman> {
  return up(createServer(() => {}));
}

/** A proxy that answers every CONNECT with one status. */
export function refusingProxy(status: number): Promise<Middleman> {
  const server = createHttp();
  server.on("connect", (_request, socket: Socket) => {
    socket.on("error", () => {});
    socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  });
  return up(server);
}

/** A proxy that tunnels. */
export function proxy(): Promise<Middleman> {
  const server = createHttp();
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    const { hostname, port } = new URL(`https://${request.url}`);
    socket.on("error", () => {});
    const there = connect(Number(port), hostname, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      join(socket, there);
    });
    there.on("error", () => socket.destroy());
  });
  return up(server);
}

/**
 * A proxy that ends TLS within its tunnels with a certificate of its own, and speaks TLS to the real end.
 * @param instead a port of this machine that is reached whatever the client wants
 */
export function inspectingProxy(tls: IssuedCertificate, instead?: number): Promise<Middleman> {
  const server = createHttp();
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    const { hostname, port } = new URL(`https://${request.url}`);
    socket.on("error", () => {});
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    const inner = new TLSSocket(socket, {
      isServer: true,
      cert: tls.certificate,
      key: tls.key,
      ALPNProtocols: ["h2", "http/1.1"],
    });
    inner.on("error", () => socket.destroy());
    inner.once("secure", () => {
      const protocol = inner.alpnProtocol;
      const there = connectTls({
        host: instead === undefined ? hostname : "127.0.0.1",
        port: instead ?? Number(port),
        rejectUnauthorized: false,
        ALPNProtocols: typeof protocol === "string" ? [protocol] : ["h2", "http/1.1"],
      });
      join(inner, there);
    });
  });
  return up(server);
}
