// A client without manners: raw bytes over TCP or TLS from any loopback address, and how its connection ended.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface Target {
  readonly port: number;
  /** Whether to begin TLS; the port expects it. */
  readonly tls: boolean;
  /** Loopback address to come from. */
  readonly from: string;
}

export interface Client {
  readonly socket: Socket;
  readonly isClosed: boolean;
  /** Everything that came back, and how long the connection lived; resolves when it is closed. Never rejects. */
  readonly end: Promise<{ readonly answer: string; readonly livedMs: number }>;
}

// Answers are short; what comes beyond is counted as nothing.
const KEPT_BYTES = 4096;

/** Connects and waits until the connection is ready, or has failed: then it is closed already. */
export function open({ port, tls, from }: Target): Promise<Client> {
  const begunAt = performance.now();
  const plain = connectTcp({ host: "127.0.0.1", port, localAddress: from });
  // The certificate is not this client's business.
  const socket = tls ? connectTls({ socket: plain, rejectUnauthorized: false }) : plain;
  let answer = "";
  let isClosed = false;
  const end = Promise.withResolvers<{ readonly answer: string; readonly livedMs: number }>();
  const ready = Promise.withResolvers<void>();
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    ready.resolve();
    end.resolve({ answer, livedMs: performance.now() - begunAt });
    socket.destroy();
    plain.destroy();
  };
  socket.on("data", (bytes: Buffer) => {
    if (answer.length < KEPT_BYTES) answer += bytes.toString("latin1");
  });
  for (const each of new Set([socket, plain])) {
    each.on("error", close);
    each.on("end", close);
    each.on("close", close);
  }
  socket.once(tls ? "secureConnect" : "connect", () => ready.resolve());
  const client: Client = {
    socket,
    get isClosed() {
      return isClosed;
    },
    end: end.promise,
  };
  return ready.promise.then(() => client);
}

/** Sends bytes on a connection of their own. */
export async function ask(target: Target, bytes: string | Buffer): Promise<string> {
  const client = await open(target);
  if (!client.isClosed) client.socket.write(bytes);
  return (await client.end).answer;
}
