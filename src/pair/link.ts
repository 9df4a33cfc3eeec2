// The link to the other node: both listen and both dial, and one connection is kept. Says whether it is up and why it
// is not; what is said over it is for the replicator and the roles.
import { randomBytes } from "node:crypto";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { BellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";
import { type Candidate, isReplaced } from "./choice.ts";
import {
  type Connection,
  type ConnectionEvents,
  type Ending,
  type Greeting,
  openConnection,
  type Timing,
  wrongCertificate,
} from "./connection.ts";
import { type Dial, type DialFailure, dial, type LinkIdentity, secured } from "./dial.ts";
import type { Frame, Json } from "./frames.ts";
import { createSkewWatch } from "./skew.ts";

/** `refused` alone means that the peer's process is gone; everything else may be the network. */
export type LinkState =
  | { readonly kind: "up" }
  | {
      readonly kind: "down";
      readonly why: "starting" | DialFailure["why"] | Ending["code"];
      /** A sentence for people. */
      readonly detail: string;
    };

/** Who speaks over the link. */
export interface LinkUser {
  /** What the node says of its rows when a connection begins. */
  greeting(): Promise<Greeting>;
  /** A connection is up, perhaps in place of another, which was told to be down before. */
  up(connection: Connection): void;
  down(connection: Connection): void;
  frame(connection: Connection, frame: Frame): void;
  /** The link's state, whenever it changes. */
  changed(state: LinkState): void;
}

export interface LinkOptions {
  readonly node: string;
  /** The name in the peer's certificate, and by which it calls itself. */
  readonly peerName: string;
  /** Port 0 takes any free one. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly peer: { readonly host: string; readonly port: number };
  readonly identity: LinkIdentity;
  readonly user: LinkUser;
  /** What the roles say in hello and beats. */
  readonly state: () => Json;
  readonly timing?: Partial<Timing>;
  readonly log: Logger;
  /** Wall time, epoch milliseconds, and monotonic time, milliseconds. */
  readonly now: () => number;
  readonly monotonicNow: () => number;
}

export interface Link {
  /** Listens and begins to dial. Throws BellError listen_in_use or listen_failed. */
  start(): Promise<{ readonly port: number }>;
  /** @param why said to the peer; by default that the node stops */
  stop(why?: { readonly code: string; readonly detail: string }): Promise<void>;
  readonly state: LinkState;
  /** How far the peer's clock is ahead, milliseconds; null while unknown. */
  readonly skewMs: number | null;
  readonly roundTripMs: number | null;
  /** When the peer was heard last, monotonic milliseconds; null: never. */
  readonly heardAt: number | null;
  /** Sends a beat out of turn. */
  beat(): void;
  /** Sends the roles' message if the link is up. */
  send(name: string, body: Json): boolean;
  /** Handshakes that begin from now on use this certificate; the connection that there is stays. */
  setIdentity(identity: LinkIdentity): void;
}

// Four beats a second, so that silence shows within `alone_after` even when some are late; short enough waits, since
// the link is local: a peer that is gone is known to be within a tenth of a second.
const TIMING: Timing = { beatMs: 250, silentMs: 2_000, helloMs: 2_000 };
// Waits before the next dial, milliseconds, by the number of failures.
const WAITS_MS = [0, 50, 100, 200, 250] as const;
// A connection that lasted so long was a good one, milliseconds.
const STEADY_MS = 1_000;
// A peer that does not accept this node, or that it does not accept, will not do so in a moment: milliseconds.
const REJECTED_WAIT_MS = 2_000;
// Connections that have not proved who they are.
const MOST_STRANGERS = 8;
// The same is not told again before, milliseconds.
const SAME_WORDS_MS = 60_000;

// Longer than the last words may take.
const STOP_MS = 1_000;

export function createLink(options: LinkOptions): Link {
  const { node, peerName, user, log, monotonicNow } = options;
  const timing: Timing = { ...TIMING, ...options.timing };
  const session = randomBytes(8).toString("hex");
  let identity = options.identity;
  let server: Server | null = null;
  let isStopped = true;
  let state: LinkState = { kind: "down", why: "starting", detail: "The link was not up yet." };
  let current: Connection | null = null;
  const strangers = new Set<Connection>();
  const shaking = new Set<TLSSocket>();
  let dialing: Dial | null = null;
  let dialTimer: ReturnType<typeof setTimeout> | null = null;
  let failures = 0;
  let lastHeardAt: number | null = null;
  const skew = createSkewWatch(peerName, log);
  const told = new Map<string, number>();

  function set(next: LinkState): void {
    const isSame =
      next.kind === state.kind && (next.kind === "up" || ("why" in state && next.why === state.why));
    state = next;
    if (isSame || isStopped) return;
    if (next.kind === "up") log.info({ peer: peerName }, "The link to the other node is up.");
    else
      log.warn({ peer: peerName, why: next.why, detail: next.detail }, "The link to the other node is down.");
    user.changed(next);
  }

  /** Says the same at most once a minute: whoever knocks all the time must not fill the log. */
  function warnRarely(detail: string, remoteAddress: string | null): void {
    const at = monotonicNow();
    if (at - (told.get(detail) ?? -SAME_WORDS_MS) < SAME_WORDS_MS) return;
    if (told.size > 100) told.clear();
    told.set(detail, at);
    log.warn({ remoteAddress, detail }, "A connection on the pair's link was rejected.");
  }

  const events: ConnectionEvents = {
    hello(connection) {
      strangers.delete(connection);
      if (current !== null && !isReplaced(candidate(current), candidate(connection))) {
        connection.close("duplicate", "There is a connection already.");
        return;
      }
      const before = current;
      current = connection;
      if (before !== null) {
        user.down(before);
        before.close("duplicate", "Another connection took its place.");
      }
      if (before === null || before.hello.session !== connection.hello.session) skew.forget();
      lastHeardAt = monotonicNow();
      // Attached before it is told: what the roles do then may already need it.
      user.up(connection);
      if (current === connection) set({ kind: "up" });
    },
    frame(connection, frame) {
      if (connection !== current) return;
      lastHeardAt = connection.heardAt;
      user.frame(connection, frame);
    },
    trip(trip) {
      skew.note(trip);
    },
    closed(connection, ending) {
      const wasStranger = strangers.delete(connection);
      if (wasStranger && connection.isDialled) {
        failed(asFailure(ending));
        return;
      }
      if (connection !== current) {
        if (ending.code === "rejected" || ending.code === "garbled") warnRarely(ending.detail, null);
        return;
      }
      current = null;
      user.down(connection);
      set({ kind: "down", why: ending.code, detail: ending.detail });
      // At once, to see whether the peer's process is gone; but not again and again where each connection ends at once.
      failures = monotonicNow() - connection.openedAt > STEADY_MS ? 0 : failures + 1;
      const isHopeless = ending.code === "rejected" || ending.code === "garbled";
      dialSoon(isHopeless ? REJECTED_WAIT_MS : waitMs());
    },
  };

  function candidate(connection: Connection): Candidate {
    const { hello, isDialled, openedAt } = connection;
    return { dialledBy: isDialled ? node : peerName, session: hello.session, openedAt };
  }

  function begin(socket: TLSSocket, isDialled: boolean): void {
    const common = { node, peerName, session, state: options.state, timing, now: options.now, monotonicNow };
    strangers.add(openConnection({ socket, isDialled, greeting: () => user.greeting(), events, ...common }));
  }

  function accept(socket: TLSSocket): void {
    shaking.delete(socket);
    socket.on("error", () => {});
    const wrong = wrongCertificate(socket, peerName);
    if (wrong !== null) warnRarely(wrong, socket.remoteAddress ?? null);
    if (wrong !== null || strangers.size >= MOST_STRANGERS || isStopped) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    begin(socket, false);
  }

  function dialSoon(waitMs: number): void {
    if (isStopped || dialTimer !== null || dialing !== null) return;
    dialTimer = setTimeout(() => {
      dialTimer = null;
      if (current === null && !isStopped) dialNow();
    }, waitMs);
  }

  function waitMs(): number {
    return WAITS_MS[Math.min(failures, WAITS_MS.length - 1)] ?? 0;
  }

  function dialNow(): void {
    const attempt = dial({ ...options.peer, peerName, identity, timeoutMs: timing.helloMs });
    dialing = attempt;
    void attempt.done.then((result) => {
      dialing = null;
      if ("why" in result) failed(result);
      else if (isStopped || current !== null) result.destroy();
      else begin(result, true);
    });
  }

  function failed(failure: DialFailure): void {
    if (isStopped || current !== null) return;
    set({ kind: "down", why: failure.why, detail: failure.detail });
    failures += 1;
    dialSoon(failure.why === "rejected" ? REJECTED_WAIT_MS : waitMs());
  }

  return {
    get state() {
      return state;
    },
    get skewMs() {
      return skew.skewMs;
    },
    get roundTripMs() {
      return skew.roundTripMs;
    },
    get heardAt() {
      return current?.heardAt ?? lastHeardAt;
    },

    async start() {
      const { address, port } = options.listen;
      const listening = createServer({ ...asked(identity), handshakeTimeout: timing.helloMs }, accept);
      listening.on("connection", (socket: TLSSocket) => {
        shaking.add(socket);
        socket.once("close", () => shaking.delete(socket));
      });
      listening.on("tlsClientError", (error: Error & { readonly code?: unknown }, socket: TLSSocket) => {
        // Who hangs up while shaking hands is no news.
        if (error.code !== "ECONNRESET") warnRarely(error.message, socket.remoteAddress ?? null);
        socket.destroy();
      });
      await new Promise<void>((resolve, reject) => {
        listening.once("error", (error: Error) => reject(listenError(address, port, error)));
        listening.listen(port, address, resolve);
      });
      listening.on("error", () => {});
      server = listening;
      isStopped = false;
      dialSoon(0);
      const bound = listening.address();
      return { port: typeof bound === "object" && bound !== null ? bound.port : port };
    },

    async stop(why = { code: "stopping", detail: "The node stops." }) {
      isStopped = true;
      if (dialTimer !== null) clearTimeout(dialTimer);
      dialTimer = null;
      dialing?.cancel();
      const closing = server;
      server = null;
      const closed = new Promise<void>((resolve) => {
        if (closing === null) resolve();
        else closing.close(() => resolve());
      });
      for (const socket of shaking) socket.destroy();
      for (const connection of [...strangers]) connection.close(why.code, why.detail);
      current?.close(why.code, why.detail);
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, STOP_MS))]);
    },

    beat() {
      current?.beat();
    },

    send(name, body) {
      if (current === null) return false;
      current.send({ kind: "message", name, body });
      return true;
    },

    setIdentity(next) {
      server?.setSecureContext(asked(next));
      identity = next;
    },
  };
}

/** For the listening side: who connects has to show a certificate. */
function asked(identity: LinkIdentity) {
  return { ...secured(identity), requestCert: true };
}

/** A connection that ended before the peer said hello, as a dial that failed. */
function asFailure(ending: Ending): DialFailure {
  switch (ending.code) {
    case "closed":
      return {
        why: "closed",
        detail: `The peer ended the connection before it said hello; it may not accept this node's certificate. ${ending.detail}`,
      };
    case "silent":
      return { why: "silent", detail: ending.detail };
    case "farewell":
    case "rejected":
    case "garbled":
      return { why: "rejected", detail: ending.detail };
    case "ended":
      return { why: "closed", detail: ending.detail };
  }
}

function listenError(address: string, port: number, error: Error & { readonly code?: unknown }): BellError {
  const place = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  if (error.code === "EADDRINUSE") {
    return new BellError("listen_in_use", `The pair's link cannot use ${place}: it is in use.`, error);
  }
  const reason = typeof error.code === "string" ? error.code : "unknown reason";
  return new BellError("listen_failed", `The pair's link cannot use ${place} (${reason}).`, error);
}
