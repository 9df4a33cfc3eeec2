// A wire between two nodes that a test can cut, block, or let break after so many bytes. It only passes on bytes: what
// goes through it is the nodes' own TLS.
import { connect, createServer, type Socket } from "node:net";

export interface Relay {
  readonly port: number;
  /** Where connections are passed on to. */
  target: number;
  /** Refuses connections, as a host does where nobody listens; or takes them again. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  /** `open`; `cut`: connections end at once, with what is on its way lost; `dead`: nothing passes, nothing ends. */
  mode: "open" | "cut" | "dead";
  /** The next connections end after so many bytes, both ways together. */
  breakAfterBytes: number;
  /** Ends the connections that there are. */
  sever(): void;
  /** Bytes that have passed, both ways together. */
  readonly passedBytes: number;
  close(): void;
}

export async function createRelay(): Promise<Relay> {
  const sockets = new Set<Socket>();
  let passedBytes = 0;
  const server = createServer((near) => {
    track(near);
    if (relay.mode === "cut") {
      near.destroy();
      return;
    }
    const far = connect({ host: "127.0.0.1", port: relay.target });
    track(far);
    let left = relay.breakAfterBytes;
    const pass = (from: Socket, to: Socket) => (bytes: Buffer) => {
      if (relay.mode !== "open") return;
      left -= bytes.length;
      passedBytes += bytes.length;
      if (left < 0) {
        near.destroy();
        far.destroy();
      } else if (!to.write(bytes)) {
        from.pause();
      }
    };
    near.on("data", pass(near, far));
    far.on("data", pass(far, near));
    far.on("drain", () => near.resume());
    near.on("drain", () => far.resume());
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const relay: Relay = {
    port: (server.address() as { port: number }).port,
    target: 0,
    async refuse() {
      await new Promise((resolve) => {
        server.close(resolve);
        relay.sever();
      });
    },
    async accept() {
      if (!server.listening)
        await new Promise<void>((resolve) => server.listen(relay.port, "127.0.0.1", resolve));
    },
    mode: "open",
    breakAfterBytes: Number.POSITIVE_INFINITY,
    sever() {
      for (const socket of sockets) socket.destroy();
    },
    get passedBytes() {
      return passedBytes;
    },
    close() {
      server.close();
      relay.sever();
    },
  };
  return relay;
}
