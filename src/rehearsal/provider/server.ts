// The life of a simulated push service's TLS server: listening, its connections, its timers, and an end to all of
// them. What is said on the connections is the business of the service.
import {
  createSecureServer,
  type Http2SecureServer,
  type SecureServerOptions,
  type ServerHttp2Session,
} from "node:http2";
import type { TLSSocket } from "node:tls";
import { type Connection, createConnection } from "./connection.ts";

export interface ProviderServerOptions {
  readonly secure: SecureServerOptions;
  /** Loopback address and port; 127.0.0.1 and any free port if left out. A restart keeps the port. */
  readonly address?: string;
  readonly port?: number;
  /** Called with the new server before it listens. */
  readonly prepare?: (server: Http2SecureServer) => void;
  readonly onSession?: (connection: Connection) => void;
  readonly onConnected: () => void;
  readonly onDisconnected: () => void;
}

export interface ProviderServer {
  start(): Promise<{ readonly url: string; readonly port: number }>;
  /** Ends every connection and stops listening; `start` listens on the same port again. */
  stop(): Promise<void>;
  /** Open HTTP/2 connections. */
  connections(): readonly Connection[];
  /** The HTTP/2 connection of a session, or undefined once it has closed. */
  connectionOf(session: unknown): Connection | undefined;
  /** The TLS socket that came from a port of this machine: `request.socket` may be a proxy of it. */
  socketFrom(remotePort: number | undefined): TLSSocket | undefined;
  /** Waits; never resolves if the server is stopped meanwhile. */
  pause(ms: number): Promise<void>;
}

/** Nothing listens before `start`. */
export function createProviderServer(options: ProviderServerOptions): ProviderServer {
  const open = new Map<ServerHttp2Session, Connection>();
  const sockets = new Set<TLSSocket>();
  const timers = new Set<NodeJS.Timeout>();
  let server: Http2SecureServer | undefined;
  let port = options.port ?? 0;

  function watch(secure: Http2SecureServer): void {
    // A session hides its socket behind a proxy that refuses pause() and destroy(). It is created within the
    // same event, after this listener.
    let newest: TLSSocket | undefined;
    secure.prependListener("secureConnection", (socket: TLSSocket) => {
      newest = socket;
      sockets.add(socket);
      options.onConnected();
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        options.onDisconnected();
      });
    });
    secure.on("session", (session) => {
      if (newest === undefined) return;
      const connection = createConnection(session, newest);
      open.set(session, connection);
      session.on("error", () => {});
      session.on("close", () => open.delete(session));
      options.onSession?.(connection);
    });
    // A client that breaks off or speaks no common protocol is its own business.
    secure.on("tlsClientError", () => {});
    secure.on("sessionError", () => {});
  }

  return {
    start() {
      const secure = createSecureServer({ minVersion: "TLSv1.2", ...options.secure });
      server = secure;
      watch(secure);
      options.prepare?.(secure);
      return new Promise((resolve, reject) => {
        secure.on("error", reject);
        secure.listen(port, options.address ?? "127.0.0.1", () => {
          const address = secure.address();
          if (address === null || typeof address === "string") {
            reject(new Error("not listening on a TCP port"));
            return;
          }
          port = address.port;
          resolve({ url: `https://localhost:${port}`, port });
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
    connections: () => [...open.values()],
    connectionOf: (session) => open.get(session as ServerHttp2Session),
    socketFrom: (remotePort) => [...sockets].find((socket) => socket.remotePort === remotePort),
    pause(ms) {
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          timers.delete(timer);
          resolve();
        }, ms);
        timers.add(timer);
      });
    },
  };
}
