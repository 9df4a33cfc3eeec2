// One connection to the peer, from its handshake to its end: hello, beats, frames both ways, and noticing that the
// other side is silent. Which connection is kept is the link's decision.
import { checkServerIdentity, type TLSSocket } from "node:tls";
import { createFrameReader } from "./frame-reader.ts";
import { type Beat, encodeFrame, type Frame, type Hello, type Json, PROTOCOL } from "./frames.ts";
import { createOutbox, type Lane } from "./outbox.ts";
import type { BeatTrip } from "./skew.ts";

/** Why a connection ended: a word for programs, a sentence for people. */
export interface Ending {
  readonly code: /** The other side ended it, or its process did. */
    | "closed"
    /** Nothing was heard for too long. */
    | "silent"
    /** The other side said so, with a reason. */
    | "farewell"
    /** Not the peer, or not a version that this one understands. */
    | "rejected"
    /** What came was no frame, or no frame that belongs there. */
    | "garbled"
    /** This node ended it. */
    | "ended";
  readonly detail: string;
}

/** What this node says of its rows. */
export type Greeting = Pick<Hello, "position" | "cursor" | "feeds">;

export interface Timing {
  /** Between two beats. */
  readonly beatMs: number;
  /** After so long without a byte the other side counts as silent. */
  readonly silentMs: number;
  /** For connecting, the handshake and the first hello together. */
  readonly helloMs: number;
}

export interface ConnectionOptions {
  readonly socket: TLSSocket;
  /** Whether this node dialled. */
  readonly isDialled: boolean;
  /** This node's name, and the one that the other side has to prove. */
  readonly node: string;
  readonly peerName: string;
  readonly session: string;
  readonly greeting: () => Promise<Greeting>;
  /** What the roles say, in hello and in beats. */
  readonly state: () => Json;
  readonly timing: Timing;
  /** Wall time, epoch milliseconds, and monotonic time, milliseconds. */
  readonly now: () => number;
  readonly monotonicNow: () => number;
  readonly events: ConnectionEvents;
}

export interface ConnectionEvents {
  /** The first frame; before it there is no other. */
  hello(connection: Connection): void;
  frame(connection: Connection, frame: Frame): void;
  /** One of this node's beats came back. */
  trip(trip: BeatTrip): void;
  /** Once, at the end. */
  closed(connection: Connection, ending: Ending): void;
}

export interface Connection {
  readonly isDialled: boolean;
  /** What the peer said first. Throws before it has. */
  readonly hello: Hello;
  /** What this node said first. Throws before it has. */
  readonly greeting: Greeting;
  /** When the peer said hello, monotonic milliseconds. */
  readonly openedAt: number;
  readonly isOpen: boolean;
  /** When the last bytes came, monotonic milliseconds. */
  readonly heardAt: number;
  send(frame: Frame): void;
  /** A beat out of turn, since what it says has changed. */
  beat(): void;
  /** Says why and ends. */
  close(code: string, detail: string): void;
}

// How long the last words may take before the socket is torn down, milliseconds.
const FAREWELL_MS = 500;

/** Begins to speak on a socket whose handshake is done. */
export function openConnection(options: ConnectionOptions): Connection {
  const { socket, timing, monotonicNow, events } = options;
  const reader = createFrameReader();
  const outbox = createOutbox((bytes) => socket.write(bytes));
  let greeting: Greeting | null = null;
  let hello: Hello | null = null;
  let openedAt = 0;
  let isOpen = true;
  let heardAt = monotonicNow();
  let tickedAt = heardAt;
  const begunAt = heardAt;
  let beats = 0;
  const sentAt = new Map<number, number>();
  let lastHeard: { readonly number: number; readonly at: number } | null = null;
  // Frames that came before this node had said hello itself.
  const early: Frame[] = [];

  const connection: Connection = {
    isDialled: options.isDialled,
    get hello() {
      if (hello === null) throw new Error("the peer has not said hello");
      return hello;
    },
    get greeting() {
      if (greeting === null) throw new Error("this node has not said hello");
      return greeting;
    },
    get openedAt() {
      return openedAt;
    },
    get isOpen() {
      return isOpen;
    },
    get heardAt() {
      return heardAt;
    },
    send,
    beat: () => sendBeat(monotonicNow()),
    close: (code, detail) => end({ code: "ended", detail }, { kind: "bye", code, detail }),
  };

  function send(frame: Frame): void {
    if (!isOpen) return;
    const lane: Lane = frame.kind === "rows" ? "rows" : "first";
    const replaces = frame.kind === "beat" || frame.kind === "ack" ? frame.kind : undefined;
    if (!outbox.put(encodeFrame(frame), lane, replaces)) {
      end({ code: "silent", detail: "The peer does not read what it is sent." });
    }
  }

  function end(ending: Ending, lastWords?: Frame): void {
    if (!isOpen) return;
    if (lastWords !== undefined) send(lastWords);
    if (!isOpen) return;
    isOpen = false;
    clearInterval(timer);
    if (lastWords === undefined) {
      socket.destroy();
    } else {
      const torn = setTimeout(() => socket.destroy(), FAREWELL_MS);
      torn.unref();
      socket.once("close", () => clearTimeout(torn));
      socket.end();
    }
    events.closed(connection, ending);
  }

  function receive(frame: Frame): void {
    if (!isOpen) return;
    if (hello === null) {
      meet(frame);
      return;
    }
    switch (frame.kind) {
      case "hello":
        end({ code: "garbled", detail: "The peer said hello twice." });
        return;
      case "bye":
        end({ code: "farewell", detail: `${frame.code}: ${frame.detail}` });
        return;
      case "beat":
        hear(frame);
        break;
      case "rows":
      case "ack":
      case "message":
        break;
    }
    events.frame(connection, frame);
  }

  function meet(frame: Frame): void {
    if (frame.kind === "bye") {
      end({ code: "rejected", detail: `${frame.code}: ${frame.detail}` });
      return;
    }
    if (frame.kind !== "hello") {
      end({ code: "garbled", detail: "The peer did not begin with a hello." });
      return;
    }
    const wrong = wrongHello(frame, options.peerName);
    if (wrong === null) {
      hello = frame;
      openedAt = monotonicNow();
      events.hello(connection);
    } else {
      end({ code: "rejected", detail: wrong }, { kind: "bye", code: "incompatible", detail: wrong });
    }
  }

  function hear(beat: Beat): void {
    lastHeard = { number: beat.number, at: monotonicNow() };
    const sent = beat.heard === null ? undefined : sentAt.get(beat.heard.number);
    if (beat.heard === null || sent === undefined) return;
    const trip = { sentMs: sent, heardMs: lastHeard.at, heldMs: beat.heard.agoMs };
    events.trip({ ...trip, peerAt: beat.at, hereAt: options.now() });
  }

  function sendBeat(at: number): void {
    if (greeting === null) return;
    beats += 1;
    sentAt.set(beats, at);
    // What was not answered within some seconds tells nothing any more.
    sentAt.delete(beats - 32);
    const heard = lastHeard === null ? null : { number: lastHeard.number, agoMs: at - lastHeard.at };
    send({ kind: "beat", number: beats, at: options.now(), heard, state: options.state() });
  }

  function tick(): void {
    const at = monotonicNow();
    // This process itself was not running: what came meanwhile has yet to be read.
    if (at - tickedAt > 3 * timing.beatMs) heardAt = Math.max(heardAt, at - timing.beatMs);
    tickedAt = at;
    if (hello === null && at - begunAt > timing.helloMs) {
      end({ code: "silent", detail: "The peer connected and did not say hello." });
    } else if (at - heardAt > timing.silentMs) {
      end({ code: "silent", detail: `The peer was silent for ${Math.round(at - heardAt)} ms.` });
    } else {
      sendBeat(at);
    }
  }

  socket.on("drain", () => outbox.drained());
  socket.on("data", (bytes: Buffer) => {
    heardAt = monotonicNow();
    const { frames, failure } = reader.push(bytes);
    for (const frame of frames) {
      if (greeting === null) early.push(frame);
      else receive(frame);
    }
    if (failure !== null) end({ code: "garbled", detail: `The peer sent ${failure}.` });
  });
  socket.on("error", (error: Error) => end({ code: "closed", detail: String(error.message) }));
  socket.on("close", () => end({ code: "closed", detail: "The peer closed the connection." }));
  const timer = setInterval(tick, timing.beatMs);

  async function greet(): Promise<void> {
    const own = await options.greeting();
    greeting = own;
    const { major, minor } = PROTOCOL;
    const named = { kind: "hello", major, minor, node: options.node, session: options.session } as const;
    send({ ...named, ...own, state: options.state() });
    for (const frame of early.splice(0)) receive(frame);
  }
  greet().catch((error: unknown) =>
    end({ code: "ended", detail: `This node's database cannot be read: ${String(error)}` }),
  );
  return connection;
}

function wrongHello(hello: Hello, peerName: string): string | null {
  if (hello.major !== PROTOCOL.major) {
    return `It speaks version ${hello.major}.${hello.minor} of the link's protocol, this node ${PROTOCOL.major}.${PROTOCOL.minor}: one of the two has to be updated.`;
  }
  if (hello.node !== peerName) return `It calls itself "${hello.node}", expected was "${peerName}".`;
  return null;
}

/** What is wrong with the name in the other side's certificate, or null; its authority was checked already. */
export function wrongCertificate(socket: TLSSocket, peerName: string): string | null {
  const certificate = socket.getPeerCertificate();
  if (Object.keys(certificate).length === 0) return "It showed no certificate.";
  const wrong = checkServerIdentity(peerName, certificate);
  return wrong === undefined
    ? null
    : `Its certificate is not one for "${peerName}" (it names ${certificate.subjectaltname ?? "nobody"}).`;
}
