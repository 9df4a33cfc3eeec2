// Keeps two databases equal over the link: sends this node's rows, merges the peer's, and knows what both have.
// Restored and copied databases are noticed here, when both say hello.
import type { Logger } from "../ops/log.ts";
import type { Durability, Store } from "../store/types.ts";
import type { Connection, Greeting } from "./connection.ts";
import { createDurabilityBook } from "./durability.ts";
import { createEchoes } from "./echoes.ts";
import { createFeedReceiver, type FeedReceiver } from "./feed-receiver.ts";
import { createFeedSender, type FeedSender, PAGE, type PageLimits } from "./feed-sender.ts";
import type { LinkUser } from "./link.ts";
import { resume } from "./resume.ts";

export type ReplicaStore = Pick<
  Store,
  | "position"
  | "peerKnowledge"
  | "page"
  | "merge"
  | "beginFeed"
  | "placeOf"
  | "keepCommits"
  | "committedSeq"
  | "onCommitted"
>;

export interface ReplicatorOptions {
  readonly store: ReplicaStore;
  readonly node: string;
  readonly peerName: string;
  /** When the oldest commit that the peer has not acknowledged is so old, answers no longer wait. Milliseconds. */
  readonly aloneAfterMs: number;
  /** They wait again after the peer has acknowledged promptly for so long. Milliseconds. */
  readonly resumeAfterMs?: number;
  readonly page?: Partial<PageLimits>;
  readonly log: Logger;
  /** Monotonic time, milliseconds. */
  readonly monotonicNow: () => number;
  readonly events?: ReplicatorEvents;
}

export interface ReplicatorEvents {
  /** This node has everything that the peer had when they met. Once a connection. */
  readonly caughtUp?: () => void;
  /** Answers wait for the peer from now on, or no longer do: it counts as gone. */
  readonly waiting?: (isWaiting: boolean) => void;
  /** This node's database was restored or rolled back; it exchanges everything under a new feed until `caughtUp`. */
  readonly newFeed?: (why: string) => void;
}

export interface ReplicatorStatus {
  /** Whether answers wait for the peer; false: it counts as gone. */
  readonly isWaiting: boolean;
  /** Whether the peer has every row that an answer rests on. */
  readonly isProtected: boolean;
  /** Positions of this node's feed that the peer has not acknowledged: about as many rows. */
  readonly lagRows: number;
  /** The last position of this node's feed that the peer has. */
  readonly acknowledgedSeq: number;
  /** Positions of the peer's feed that this node has not merged; null without a connection. */
  readonly behindRows: number | null;
  /** Everything that the peer had when they met last is merged. */
  readonly isCaughtUp: boolean;
}

export interface Replicator extends LinkUser {
  /** The store is open: begins to follow its commits. */
  start(): void;
  /** Lets go of everybody who waits. */
  stop(): void;
  /**
   * Resolves once what stands at `seq` of this node's feed, and before it, is on both nodes (`pair`), or the peer
   * counts as gone (`node`). Never rejects, and never takes longer than `aloneAfterMs`.
   */
  durableOnBoth(seq: number): Promise<Durability>;
  readonly status: ReplicatorStatus;
}

const RESUME_AFTER_MS = 10_000;
const TICK_MS = 100;
// What the peer would only have to note is told once a second: each note is a commit there.
const EMPTY_EVERY_TICKS = 10;
const SAME_WORDS_MS = 60_000;

export function createReplicator(options: ReplicatorOptions): Replicator {
  const { store, node, peerName, log, monotonicNow, events = {} } = options;
  const limits: PageLimits = { ...PAGE, ...options.page };
  const echoes = createEchoes();
  // The peer's feed that they came from.
  let echoFeed = "";
  // This node's own; null while a new one is being begun.
  let feed: string | null = null;
  let session: { readonly sender: FeedSender; readonly receiver: FeedReceiver } | null = null;
  let merging: Promise<void> = Promise.resolve();
  let beginning: Promise<void> = Promise.resolve();
  let sentNames: readonly string[] = [];
  let isCaughtUp = false;
  let timer: ReturnType<typeof setInterval> | null = null;
  let ticks = 0;
  const told = new Map<string, number>();
  const { aloneAfterMs, resumeAfterMs = RESUME_AFTER_MS } = options;
  const book = createDurabilityBook({ aloneAfterMs, resumeAfterMs, changed: tellWaiting }, monotonicNow());

  function tellWaiting(isWaiting: boolean, why: string): void {
    if (isWaiting) log.info({ peer: peerName, why }, "Answers wait for the other node again.");
    else log.warn({ peer: peerName, why }, "The other node counts as gone: answers no longer wait for it.");
    events.waiting?.(isWaiting);
  }

  /** Says what goes on failing at most once a minute. */
  function tellFailure(what: string, error: unknown): void {
    if (monotonicNow() - (told.get(what) ?? Number.NEGATIVE_INFINITY) < SAME_WORDS_MS) return;
    told.set(what, monotonicNow());
    log.error({ peer: peerName, reason: String(error) }, what);
  }

  /** What the peer has, and what it has because it came from there. */
  function acknowledge(seq: number): void {
    book.acknowledged(echoes.skip(seq), monotonicNow());
  }

  function begin(connection: Connection): void {
    const { hello, greeting } = connection;
    if (greeting.position.feed !== feed) {
      // Two connections were being made when a new feed began on the first.
      connection.close("new_feed", "The node's feed has begun anew.");
      return;
    }
    const position = { ...greeting.position, seq: store.committedSeq() };
    const from = resume({ node, peerName, position, placeOf: store.placeOf, theirs: hello });
    if (from.kind === "new_feed") {
      beginNewFeed(from.why);
      connection.close("new_feed", "The node's feed begins anew.");
      return;
    }
    if (from.kind === "wait") return;
    if (echoFeed !== hello.position.feed) echoes.clear();
    echoFeed = hello.position.feed;
    isCaughtUp = false;
    const sender = createFeedSender({
      store,
      connection,
      from: {
        seq: from.seq,
        // A commit that the peer has named, it may name again.
        commit: hello.cursor?.feed === position.feed ? hello.cursor.commit : "",
      },
      earlier: sentNames,
      echoes,
      limits,
      monotonicNow,
      failed: (error) => connection.close("unreadable", `Rows cannot be read: ${String(error)}`),
    });
    const known = greeting.cursor?.feed === hello.position.feed ? greeting.cursor.seq : 0;
    const receiver = createFeedReceiver({
      store,
      connection,
      from: known,
      head: hello.position.seq,
      monotonicNow,
      caughtUp: () => {
        isCaughtUp = true;
        events.caughtUp?.();
      },
      failed: (error) => tellFailure("Rows of the other node cannot be stored; trying again.", error),
    });
    session = { sender, receiver };
    book.linkUp(echoes.skip(from.seq), monotonicNow());
    sender.pump(store.committedSeq());
  }

  function beginNewFeed(why: string): void {
    log.warn({ why }, "This node's database was restored or rolled back: both nodes exchange everything.");
    events.newFeed?.(why);
    echoes.clear();
    feed = null;
    beginning = store.beginFeed().catch((error: unknown) => {
      tellFailure("A new feed could not be begun; trying again.", error);
    });
  }

  return {
    start() {
      const seq = store.committedSeq();
      if (seq > 0) book.committed(seq, monotonicNow());
      store.onCommitted((committed, ranges) => {
        echoes.add(ranges.filter(({ feed }) => feed === echoFeed));
        book.committed(committed, monotonicNow());
        acknowledge(book.acknowledgedSeq);
        session?.sender.pump(committed);
      });
      timer = setInterval(() => {
        book.tick(monotonicNow());
        ticks += 1;
        if (ticks % EMPTY_EVERY_TICKS === 0) session?.sender.tellEmpty(store.committedSeq());
      }, TICK_MS);
    },

    stop() {
      if (timer !== null) clearInterval(timer);
      timer = null;
      store.onCommitted(() => {});
      book.stop();
    },

    async greeting(): Promise<Greeting> {
      // What is being merged is part of what this node has.
      await merging;
      for (let before: Promise<void> | null = null; before !== beginning; ) {
        before = beginning;
        await before;
      }
      const [position, { cursor, feeds }] = await Promise.all([store.position(), store.peerKnowledge()]);
      feed = position.feed;
      return { position, cursor, feeds };
    },

    up: begin,

    down() {
      if (session === null) return;
      session.sender.stop();
      session.receiver.stop();
      sentNames = session.sender.names;
      merging = session.receiver.idle();
      session = null;
      book.linkDown(monotonicNow());
    },

    frame(connection, frame) {
      if (session === null) return;
      switch (frame.kind) {
        case "rows": {
          const wrong = session.receiver.take(frame);
          if (wrong !== null) connection.close("protocol", wrong);
          return;
        }
        case "ack":
          if (!session.sender.acknowledged(frame.seq)) {
            connection.close("protocol", "an acknowledgement of what was not sent");
            return;
          }
          echoes.drop(frame.seq);
          acknowledge(frame.seq);
          return;
        case "hello":
        case "beat":
        case "message":
        case "bye":
          return;
      }
    },

    changed(state) {
      if (state.kind === "down" && state.why === "refused") book.gone();
    },

    durableOnBoth: (seq) => book.durableOnBoth(seq, monotonicNow()),

    get status() {
      const committed = store.committedSeq();
      const acknowledged = book.acknowledgedSeq;
      return {
        acknowledgedSeq: acknowledged,
        isWaiting: book.isWaiting,
        isProtected: book.isProtected,
        lagRows: Math.max(0, committed - acknowledged) - echoes.count(acknowledged, committed),
        behindRows: session?.receiver.behind ?? null,
        isCaughtUp,
      };
    },
  };
}
