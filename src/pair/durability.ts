// Whether an answer waits for the peer, and what it then may say: `pair` if the peer has durably what it rests on,
// `node` if the peer counts as gone. Time is passed in; the owner calls `tick`.
import type { Durability } from "../store/types.ts";

export interface DurabilityOptions {
  /** When the oldest commit that is not acknowledged is so old, the peer counts as gone. Milliseconds. */
  readonly aloneAfterMs: number;
  /** Waiting is resumed after the peer has acknowledged promptly for so long. Milliseconds. */
  readonly resumeAfterMs: number;
  /** It begins to wait for the peer again, or no longer does. */
  readonly changed: (isWaiting: boolean, why: string) => void;
}

export interface DurabilityBook {
  /**
   * Resolves once what stands at `seq` of this node's feed is on both nodes, or the peer counts as gone.
   * @param now monotonic, milliseconds, as everywhere here
   */
  durableOnBoth(seq: number, now: number): Promise<Durability>;
  /** Everything up to `seq` is durable here. */
  committed(seq: number, now: number): void;
  /** Everything up to `seq` is durable at the peer. */
  acknowledged(seq: number, now: number): void;
  /** The link is up; the peer has everything up to `seq`, which may be less than was thought. */
  linkUp(seq: number, now: number): void;
  linkDown(now: number): void;
  /** The peer's process is gone. */
  gone(): void;
  tick(now: number): void;
  /** Lets go of everybody who waits. */
  stop(): void;
  /** Whether answers wait for the peer. */
  readonly isWaiting: boolean;
  /**
   * Whether the peer has every row that an answer was given for: all there are but those whose answer is still
   * waiting. Only while the link is up.
   */
  readonly isProtected: boolean;
  /** The last position that the peer has. */
  readonly acknowledgedSeq: number;
}

/** Commits of one moment that are not acknowledged. */
interface Pending {
  lastSeq: number;
  readonly at: number;
}

// Commits within so many milliseconds are as old as the first of them.
const MOMENT_MS = 50;
// Younger than this: acknowledged promptly. A commit of a good disk takes 5 ms, of a bad one 50.
const PROMPT_MS = 500;
// More moments than `alone_after` has; beyond that, only the age of the oldest matters.
const MOST_MOMENTS = 1_000;

/** @param startedAt monotonic, milliseconds: the link is down since then */
export function createDurabilityBook(options: DurabilityOptions, startedAt: number): DurabilityBook {
  let pending: Pending[] = [];
  let waiters: { readonly seq: number; readonly resolve: (durability: Durability) => void }[] = [];
  let committedSeq = 0;
  let acknowledgedSeq = 0;
  /** Null while the link is up. */
  let downSince: number | null = startedAt;
  let isWaiting = true;
  // Up to there answers were given without the peer, or may have been before this process began.
  let unwaitedSeq = 0;
  let promptSince: number | null = null;

  function oldestMs(now: number): number {
    const [oldest] = pending;
    return oldest === undefined ? 0 : now - oldest.at;
  }

  function settle(): void {
    const passed = waiters.findIndex((waiter) => waiter.seq > acknowledgedSeq);
    const done = waiters.splice(0, passed < 0 ? waiters.length : passed);
    for (const { resolve } of done) resolve("pair");
  }

  function alone(why: string): void {
    promptSince = null;
    if (!isWaiting) return;
    isWaiting = false;
    const left = waiters;
    waiters = [];
    for (const { resolve } of left) resolve("node");
    options.changed(false, why);
  }

  const book: DurabilityBook = {
    durableOnBoth(seq, now) {
      book.tick(now);
      if (seq <= acknowledgedSeq) return Promise.resolve("pair");
      if (!isWaiting) return Promise.resolve("node");
      return new Promise((resolve) => {
        // Nearly always the last: positions only grow.
        const at = waiters.findLastIndex((waiter) => waiter.seq <= seq) + 1;
        waiters.splice(at, 0, { seq, resolve });
      });
    },

    committed(seq, now) {
      committedSeq = seq;
      const last = pending.at(-1);
      if (last !== undefined && (now - last.at < MOMENT_MS || pending.length >= MOST_MOMENTS)) {
        last.lastSeq = seq;
      } else {
        pending.push({ lastSeq: seq, at: now });
      }
    },

    acknowledged(seq, now) {
      if (seq <= acknowledgedSeq) return;
      acknowledgedSeq = seq;
      const left = pending.findIndex((each) => each.lastSeq > seq);
      pending = left < 0 ? [] : pending.slice(left);
      settle();
      book.tick(now);
    },

    linkUp(seq, now) {
      downSince = null;
      promptSince = null;
      if (seq < acknowledgedSeq) {
        // It was restored, or a new one is in its place.
        acknowledgedSeq = seq;
        unwaitedSeq = committedSeq;
        pending = [{ lastSeq: committedSeq, at: now }];
      } else {
        unwaitedSeq = Math.max(unwaitedSeq, committedSeq);
        if (pending.length === 0 && seq < committedSeq) pending = [{ lastSeq: committedSeq, at: now }];
        book.acknowledged(seq, now);
      }
    },

    linkDown(now) {
      downSince ??= now;
      promptSince = null;
    },

    gone: () => alone("its process is gone"),

    tick(now) {
      const ageMs = oldestMs(now);
      if (isWaiting) {
        const downMs = downSince === null ? 0 : now - downSince;
        if (ageMs > options.aloneAfterMs) alone(`it has acknowledged nothing for ${Math.round(ageMs)} ms`);
        else if (downMs > options.aloneAfterMs) alone(`the link has been down for ${Math.round(downMs)} ms`);
        else return;
      }
      unwaitedSeq = committedSeq;
      if (downSince !== null || ageMs > PROMPT_MS) promptSince = null;
      else promptSince ??= now;
      if (promptSince === null || now - promptSince < options.resumeAfterMs) return;
      isWaiting = true;
      options.changed(true, "it acknowledges promptly");
    },

    stop() {
      for (const { resolve } of waiters.splice(0)) resolve("node");
    },

    get isWaiting() {
      return isWaiting;
    },
    get isProtected() {
      return downSince === null && isWaiting && acknowledgedSeq >= unwaitedSeq;
    },
    get acknowledgedSeq() {
      return acknowledgedSeq;
    },
  };
  return book;
}
