// Sends this node's rows over one connection: every row after the position that the peer has, page by page, then each
// commit as it comes. First copies, catching up and following are the same.
import type { Position, ReplicaRow } from "../store/feed-types.ts";
import type { Store } from "../store/types.ts";
import { createBatchSize } from "./batch-size.ts";
import type { Connection } from "./connection.ts";
import type { Echoes } from "./echoes.ts";
import { wireBytes } from "./row-codec.ts";

export interface PageLimits {
  readonly rows: number;
  readonly bytes: number;
}

/** The most; how many rows are read at a time depends on how long that takes. */
export const PAGE: PageLimits = { rows: 256, bytes: 128 * 1024 };

// Reading a page and making a frame of it keeps this node from other work, milliseconds.
const READ_TARGET_MS = 5;
// Even a slow disk reads them within some milliseconds, and fewer would cost the peer a commit each.
const LEAST_ROWS = 48;

export interface FeedSender {
  /** There may be more to send: this node's feed ends at `head`. */
  pump(head: number): void;
  /** The peer has everything up to there; says whether it may, from what was sent. */
  acknowledged(seq: number): boolean;
  /** Lets the peer know of positions at which there is nothing for it; at most once a second is enough. */
  tellEmpty(head: number): void;
  stop(): void;
  /** Names of commits by which the peer may have what this sent. */
  readonly names: readonly string[];
}

export interface FeedSenderOptions {
  readonly store: Pick<Store, "page" | "keepCommits">;
  readonly connection: Connection;
  /** The position that the peer has, and the name of the commit that it has it by; empty if it has nothing. */
  readonly from: Pick<Position, "seq" | "commit">;
  /** Such names from connections before. */
  readonly earlier: readonly string[];
  readonly echoes: Echoes;
  readonly limits: PageLimits;
  /** Monotonic time, milliseconds. */
  readonly monotonicNow: () => number;
  /** Reading failed: the connection is of no use. */
  readonly failed: (error: unknown) => void;
}

// What waits there while a commit takes its time shares the next one.
const MOST_IN_FLIGHT = 4;

export function createFeedSender(options: FeedSenderOptions): FeedSender {
  const { store, connection, echoes, limits, monotonicNow } = options;
  const size = createBatchSize({ least: LEAST_ROWS, most: limits.rows, targetMs: READ_TARGET_MS });
  let sentSeq = options.from.seq;
  let acknowledged = options.from;
  let inFlight: Pick<Position, "seq" | "commit">[] = [];
  let earlier = options.earlier;
  let head = 0;
  let isReading = false;
  let isAgain = false;
  let isStopped = false;
  // The first page goes out even if it is empty, so that the peer knows that it has everything.
  let isEmptyWanted = true;

  /** Commits that the peer may name when it comes back must not be forgotten before. */
  function names(): readonly string[] {
    return [...earlier, acknowledged.commit, ...inFlight.map(({ commit }) => commit)].filter(
      (name) => name !== "",
    );
  }

  /** Reads the next page that has anything for the peer; false: there is none. */
  async function sendPage(): Promise<boolean> {
    for (let from = sentSeq; ; ) {
      const begunAt = monotonicNow();
      const page = await store.page(echoes.skip(from), size.rows);
      if (isStopped) return false;
      const { rows, isCut } = select(page.rows);
      const last = rows.at(-1);
      const upTo = isCut && last !== undefined ? { ...page.upTo, seq: last.seq } : page.upTo;
      if (rows.length === 0 && upTo.seq < page.head) {
        from = upTo.seq;
        size.took(page.rows.length, monotonicNow() - begunAt);
        await othersTurn();
        if (isStopped) return false;
        continue;
      }
      if (rows.length === 0 && !isEmptyWanted) return false;
      isEmptyWanted = false;
      inFlight.push(upTo);
      store.keepCommits({ acknowledgedSeq: acknowledged.seq, names: names() });
      connection.send({ kind: "rows", after: sentSeq, upTo, head: page.head, rows });
      sentSeq = upTo.seq;
      size.took(page.rows.length, monotonicNow() - begunAt);
      return upTo.seq < page.head;
    }
  }

  /** Without what the peer has anyway, and cut at so many bytes, but never to nothing. */
  function select(found: readonly ReplicaRow[]): { rows: ReplicaRow[]; isCut: boolean } {
    const rows: ReplicaRow[] = [];
    let bytes = 0;
    for (const row of found) {
      if (echoes.has(row.seq)) continue;
      bytes += wireBytes(row.row);
      if (bytes > limits.bytes && rows.length > 0) return { rows, isCut: true };
      rows.push(row);
    }
    return { rows, isCut: false };
  }

  async function read(): Promise<void> {
    isReading = true;
    try {
      do {
        isAgain = false;
        while (inFlight.length < MOST_IN_FLIGHT && (await sendPage()) && !isStopped) await othersTurn();
      } while (isAgain && !isStopped && inFlight.length < MOST_IN_FLIGHT);
    } catch (error) {
      if (!isStopped) options.failed(error);
    } finally {
      isReading = false;
    }
  }

  /** Whoever came meanwhile is served between two pages. */
  function othersTurn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  function pump(newHead: number): void {
    head = Math.max(head, newHead);
    if (isStopped || inFlight.length >= MOST_IN_FLIGHT) return;
    if (!isEmptyWanted && echoes.skip(sentSeq) >= head) return;
    if (isReading) isAgain = true;
    else void read();
  }

  store.keepCommits({ acknowledgedSeq: acknowledged.seq, names: names() });
  return {
    pump,
    acknowledged(seq) {
      const found = inFlight.find((each) => each.seq === seq);
      if (found === undefined) return false;
      acknowledged = found;
      earlier = [];
      inFlight = inFlight.slice(inFlight.indexOf(found) + 1);
      pump(head);
      return true;
    },
    tellEmpty(newHead) {
      if (inFlight.length > 0 || sentSeq >= newHead) return;
      isEmptyWanted = true;
      pump(newHead);
    },
    stop() {
      isStopped = true;
    },
    get names() {
      return names();
    },
  };
}
