// Merges the peer's rows as they come over one connection, and acknowledges pages once they are durable. Pages that
// wait share a commit; a long one is merged in as many as it takes to keep each short.
// Never waits for what this node has sent itself.
import type { Position, ReplicaRow } from "../store/feed-types.ts";
import type { Store } from "../store/types.ts";
import { createBatchSize } from "./batch-size.ts";
import type { Connection } from "./connection.ts";
import type { RowsFrame } from "./frames.ts";
import { unsound } from "./sound-rows.ts";

export interface FeedReceiverOptions {
  readonly store: Pick<Store, "merge">;
  readonly connection: Connection;
  /** The position up to which this node has the peer's feed. */
  readonly from: number;
  /** The peer's last position when it said hello. */
  readonly head: number;
  /** Everything that the peer had when it said hello is merged; once. */
  readonly caughtUp: () => void;
  /** Monotonic time, milliseconds. */
  readonly monotonicNow: () => number;
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
const MOST_WAITING = 8;
// A disk that is full, say, is looked at again after this time, milliseconds.
const RETRY_MS = 500;
// A commit keeps this node from other work, milliseconds. So few rows, which are most of the news of a moment, stay
// together: each further commit is one more wait for the disk before the peer may answer.
const MERGE_TARGET_MS = 15;
const LEAST_ROWS = 64;
const MOST_ROWS = 256;

export function createFeedReceiver(options: FeedReceiverOptions): FeedReceiver {
  const { store, connection, monotonicNow } = options;
  const { feed } = connection.hello.position;
  const waiting: RowsFrame[] = [];
  const size = createBatchSize({ least: LEAST_ROWS, most: MOST_ROWS, targetMs: MERGE_TARGET_MS });
  let expectedSeq = options.from;
  let mergedSeq = options.from;
  let head = Math.max(options.head, options.from);
  // Of the first page that waits.
  let mergedRows = 0;
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

  /**
   * A row that is written again before it was sent is sent at its new position, past where the peer stood at the hello:
   * all is here once a page was merged that left nothing for the next one.
   */
  function look(): void {
    if (isCaughtUp || mergedSeq < options.head || mergedSeq < head) return;
    isCaughtUp = true;
    options.caughtUp();
  }

  async function work(): Promise<void> {
    while (waiting.length > 0 && !isStopped) {
      try {
        const { rows, upTo, pages } = nextPart();
        const wrong = unsound(rows);
        if (wrong !== null) throw new Error(wrong);
        const begunAt = monotonicNow();
        await store.merge(rows, upTo);
        size.took(rows.length, monotonicNow() - begunAt);
        waiting.splice(0, pages);
        // Of a page that goes on, the first rows are behind it.
        mergedRows = pages > 0 ? 0 : mergedRows + rows.length;
        if (pages > 0 && !isStopped) merged(upTo);
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

  /** What is merged next: as many whole pages as there is room for, or the next rows of one that is longer. */
  function nextPart(): { rows: readonly ReplicaRow[]; upTo: Position; pages: number } {
    const [first, ...others] = waiting;
    if (first === undefined) throw new Error("no page waits");
    const left = first.rows.slice(mergedRows);
    if (left.length > size.rows) {
      const rows = left.slice(0, size.rows);
      // All before that row was merged, and nothing else has this position.
      return { rows, upTo: { ...first.upTo, seq: rows.at(-1)?.seq ?? first.after }, pages: 0 };
    }
    const rows = [...left];
    let last = first;
    let pages = 1;
    for (const page of others) {
      if (rows.length + page.rows.length > size.rows) break;
      rows.push(...page.rows);
      last = page;
      pages += 1;
    }
    return { rows, upTo: last.upTo, pages };
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
      if (!isInOrder(page)) return "rows out of order";
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

/** The position within a page says that all before it was merged, so it must be one. */
function isInOrder({ after, rows, upTo }: RowsFrame): boolean {
  let last = after;
  return rows.every(({ seq }) => {
    const follows = seq > last && seq <= upTo.seq;
    last = seq;
    return follows;
  });
}
