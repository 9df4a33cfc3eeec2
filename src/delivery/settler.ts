// Notes in the store how rings ended: many in one commit, again and again until it works, since a ring that is
// not noted would be rung twice.
import { isBellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";
import { createQuietLog } from "../ops/quiet-log.ts";
import type { Ring, Settlement, Store } from "../store/types.ts";
import type { RingFate } from "./lane.ts";
import type { Timer, Timers } from "./timers.ts";

export interface SettlerOptions {
  readonly store: Pick<Store, "settle">;
  readonly log: Logger;
  readonly timers: Timers;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** Called for each settlement once it is noted, or given up because of `stop`. */
  readonly landed: (settlement: Settlement) => void;
}

export interface Settler {
  add(settlement: Settlement): void;
  /**
   * Tries once more to note what is left; then it stays owed, and is rung again after the next start. What is
   * added afterwards stays owed too: the store is about to close.
   */
  stop(): Promise<void>;
}

// After a commit failed, milliseconds: Exchange's and the phones' writes wait for the disk just the same.
const RETRY_MS = 1_000;
// A settlement that cannot be written although others can: a defect. Tried rarely, so that it costs nothing.
const DEFECT_RETRY_MS = 300_000;
// A failure is told once in this time, milliseconds.
const QUIET_MS = 60_000;

export function createSettler(options: SettlerOptions): Settler {
  const { store, log, timers, landed } = options;
  const quiet = createQuietLog(QUIET_MS, options.monotonicNow);
  let waiting: Settlement[] = [];
  let immediate: ReturnType<typeof setImmediate> | null = null;
  const retries = new Map<Timer, readonly Settlement[]>();
  const writing = new Set<Promise<void>>();
  let stopping = false;
  let stopped = false;

  function flush(): void {
    immediate = null;
    if (waiting.length === 0) return;
    const batch = waiting;
    waiting = [];
    write(batch);
  }

  function write(batch: readonly Settlement[]): void {
    const written = store.settle(batch).then(
      () => {
        for (const settlement of batch) landed(settlement);
      },
      (error: unknown) => failed(batch, error),
    );
    writing.add(written);
    void written.finally(() => writing.delete(written));
  }

  function failed(batch: readonly Settlement[], error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    quiet.say("settle", (suppressed) =>
      log.error({ reason, suppressed }, "Ended rings could not be noted; it is tried again."),
    );
    const everyone = isBellError(error, "store_unavailable");
    if (!everyone && batch.length > 1) {
      // One of them cannot be written: the others shall not wait for it.
      for (const settlement of batch) write([settlement]);
    } else if (stopping) {
      for (const settlement of batch) landed(settlement);
    } else {
      retry(batch, everyone ? RETRY_MS : DEFECT_RETRY_MS);
    }
  }

  function retry(batch: readonly Settlement[], delayMs: number): void {
    const timer = timers.after(delayMs, () => {
      retries.delete(timer);
      write(batch);
    });
    retries.set(timer, batch);
  }

  return {
    add(settlement) {
      if (stopped) {
        landed(settlement);
        return;
      }
      waiting.push(settlement);
      // All that ends in one turn of the event loop shares a commit.
      immediate ??= setImmediate(flush);
    },

    async stop() {
      stopping = true;
      for (const [timer, batch] of retries) {
        timer.cancel();
        waiting.push(...batch);
      }
      retries.clear();
      while (waiting.length > 0 || writing.size > 0) {
        flush();
        await Promise.all(writing);
      }
      stopped = true;
      if (immediate !== null) clearImmediate(immediate);
    },
  };
}

/**
 * What to note for a ring.
 * @param begunAt when it began, @param at when it ended, both epoch milliseconds
 */
export function settlementOf(ring: Ring, fate: RingFate, at: number, begunAt: number): Settlement {
  const { outcome } = fate;
  switch (fate.kind) {
    case "done":
      return { ring, kind: "done", outcome, at };
    case "dead":
      // A renewal while the ring was under way is newer than this judgement and must win over it.
      return { ring, kind: "dead", outcome, at: begunAt, ends: fate.ends };
    case "again":
      return { ring, kind: "again", outcome, at, notBefore: at + fate.delayMs, counts: fate.counts };
  }
}
