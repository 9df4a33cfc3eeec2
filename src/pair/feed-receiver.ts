// Merges the peer's rows as they come over one connection, page by page, and acknowledges each once it is durable.
// Never waits for what this node has sent itself.
import type { Position, Store } from "../store/types.ts";
import type { Connection } from "./connection.ts";
import type { RowsFrame } from "./frames.ts";

export interface FeedReceiverOptions {
  readonly store: Pick<Store, "merge">;
  readonly connection: Connection;
  /** The position up to which this node has the peer's feed. */
  readonly from: number;
  /** The peer's last position when it said hello. */
  readonly head: number;
  /** Everything that the peer had when it said hello is merged; once. */
  readonly caughtUp: () => void;
  /** A page could not be merged; it is tried again. */
  readonly failed: (error: unknown) => void;
}

export interface FeedReceiver {
  /** Takes a page; gives what is wrong with it, or null. */
  take(page: RowsFrame): string | null;
  stop(): void;
  /** Resolves when no page is being merged. */
  idle(): Promise<void>;
  /** How many positions of the peer's feed are not merged yet. */
  readonly behind: number;
}

// Twice what this version sends without an acknowledgement.
const MOST_WAITING = 4;
// A disk that is full, say, is looked at again after this time, milliseconds.
const RETRY_MS = 500;

export function createFeedReceiver(options: FeedReceiverOptions): FeedReceiver {
  const { store, connection } = options;
  const { feed } = connection.hello.position;
  const waiting: RowsFrame[] = [];
  let expectedSeq = options.from;
  let mergedSeq = options.from;
  let head = Math.max(options.head, options.from);
  let isWorking = false;
  let isStopped = false;
  let isCaughtUp = false;
  let wake: (() => void) | null = null;
  let working: Promise<void> = Promise.resolve();

  function merged(upTo: Position): void {
    mergedSeq = upTo.seq;
    connection.send({ kind: "ack", seq: mergedSeq });
    look();
  }

  function look(): void {
    if (isCaughtUp || mergedSeq < options.head) return;
    isCaughtUp = true;
    options.caughtUp();
  }

  async function work(): Promise<void> {
    for (;;) {
      const [page] = waiting;
      if (page === undefined || isStopped) break;
      try {
        await store.merge(page.rows, page.upTo);
        waiting.shift();
        if (!isStopped) merged(page.upTo);
      } catch (error) {
        // Later pages must not be merged before this one: the position would pass over it.
        if (!isStopped) {
          options.failed(error);
          await pause();
        }
      }
    }
    isWorking = false;
  }

  function pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, RETRY_MS);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  look();
  return {
    take(page) {
      if (page.upTo.feed !== feed) return "rows of another feed";
      if (page.after !== expectedSeq) return "rows that do not follow on those before";
      if (waiting.length >= MOST_WAITING) return "more pages than were acknowledged";
      expectedSeq = page.upTo.seq;
      head = page.head;
      waiting.push(page);
      if (!isWorking) {
        isWorking = true;
        working = work();
      }
      return null;
    },
    stop() {
      isStopped = true;
      wake?.();
    },
    idle: () => working,
    get behind() {
      return Math.max(0, head - mergedSeq);
    },
  };
}
