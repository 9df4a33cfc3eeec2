// The other end of the link as a test wants it: right in its TLS and its name, and then whatever it says.
import { connect, type TLSSocket } from "node:tls";
import type { Greeting } from "../../src/pair/connection.ts";
import { secured } from "../../src/pair/dial.ts";
import { createFrameReader } from "../../src/pair/frame-reader.ts";
import { encodeFrame, type Frame, type Hello, PROTOCOL } from "../../src/pair/frames.ts";
import type { NodeCertificate } from "./certificates.ts";

/** Of a node without rows. */
export const GREETING: Greeting = {
  position: { feed: "of-the-stranger", seq: 0, commit: "c" },
  cursor: null,
  feeds: [],
};

/** What a passive node without wishes says of itself. */
export const PASSIVE = {
  epoch: 1,
  role: "passive",
  why: "started",
  forMs: 5,
  seeding: "seeded",
  ready: true,
  yielding: null,
  wants: false,
  mark: 1,
  heardMark: 0,
} as const;

export interface Stranger {
  readonly socket: TLSSocket;
  /** What it was told. */
  readonly frames: Frame[];
  readonly isClosed: boolean;
  say(frame: Frame): void;
}

/**
 * Connects to "bell-a" as "bell-b".
 * @param hello what its hello says otherwise; null: it says none
 */
export async function meetAsStranger(
  port: number,
  identity: NodeCertificate,
  hello: Partial<Hello> | null = {},
): Promise<Stranger> {
  const socket = connect({ host: "127.0.0.1", port, servername: "bell-a", ...secured(identity) });
  const reader = createFrameReader();
  const frames: Frame[] = [];
  let isClosed = false;
  socket.on("error", () => {});
  socket.on("close", () => {
    isClosed = true;
  });
  socket.on("data", (bytes: Buffer) => frames.push(...reader.push(bytes).frames));
  await new Promise<void>((resolve) => {
    socket.once("secureConnect", resolve);
    socket.once("close", () => resolve());
  });
  const say = (frame: Frame) => void socket.write(encodeFrame(frame));
  const named = { kind: "hello", ...PROTOCOL, node: "bell-b", session: "s1", state: null } as const;
  if (hello !== null) say({ ...named, ...GREETING, ...hello });
  return {
    socket,
    frames,
    get isClosed() {
      return isClosed;
    },
    say,
  };
}
