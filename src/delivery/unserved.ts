// Queues to which rings are owed and for which no credential is configured: nothing can be sent, but it must be
// seen. They count as paused, and end by a credential or when nothing is owed to them any more.
import type { Queue, Store } from "../store/types.ts";
import type { Pause } from "./lane.ts";
import { queueKey } from "./lanes.ts";
import type { RingLog } from "./ring-log.ts";
import type { Timer, Timers } from "./timers.ts";

export interface UnservedOptions {
  readonly store: Pick<Store, "due" | "counts">;
  readonly timers: Timers;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly ringLog: Pick<RingLog, "pauseChanged" | "pauseGone" | "storeFailed">;
  readonly isServed: (queue: Queue) => boolean;
}

export interface Unserved {
  /** Looks at every queue that has registrations; resolves when it did. Does not reject. */
  survey(): Promise<void>;
  /** Something became due for a queue without a sender. */
  note(queue: Queue): void;
  readonly queues: readonly Queue[];
  /** Resolves when it asks the store no more. */
  stop(): Promise<void>;
}

export const NO_CREDENTIAL = "no_credential";

// How often it is looked whether something is still owed, while there is such a queue, milliseconds.
const LOOK_MS = 30_000;
// Asks for what is owed at any time: the last moment that a Date can name.
const EVER = 8_640_000_000_000_000;

const PAUSE: Pause = { why: "no_credential", reason: NO_CREDENTIAL, probeAt: 0, probes: 0 };

export function createUnserved(options: UnservedOptions): Unserved {
  const { store, timers, ringLog, isServed } = options;
  const queues = new Map<string, Queue>();
  let timer: Timer | null = null;
  let looking: Promise<void> = Promise.resolve();
  let stopping = false;

  function note(queue: Queue): void {
    if (stopping || queues.has(queueKey(queue))) return;
    queues.set(queueKey(queue), queue);
    ringLog.pauseChanged(queue, null, PAUSE);
    keepLooking();
  }

  function keepLooking(): void {
    if (stopping || queues.size === 0) return;
    timer ??= timers.after(LOOK_MS, () => {
      timer = null;
      void soon(() => lookAt([...queues.values()]));
    });
  }

  async function lookAt(candidates: readonly Queue[]): Promise<void> {
    for (const queue of candidates) {
      if (stopping) return;
      if (!isServed(queue) && (await store.due(queue, EVER, 1)).length > 0) note(queue);
      else if (queues.delete(queueKey(queue))) ringLog.pauseGone(queue, PAUSE);
    }
  }

  /** One look after the other; what cannot be asked now is asked again. */
  function soon(look: () => Promise<void>): Promise<void> {
    looking = looking.then(look).then(keepLooking, (error: unknown) => {
      if (stopping) return;
      ringLog.storeFailed(error);
      keepLooking();
    });
    return looking;
  }

  return {
    note,

    survey: () =>
      soon(async () => {
        if (stopping) return;
        const { registrations } = await store.counts(options.now());
        await lookAt([...registrations, ...queues.values()].map(({ app, platform }) => ({ app, platform })));
      }),

    get queues() {
      return [...queues.values()];
    },

    async stop() {
      stopping = true;
      timer?.cancel();
      await looking;
    },
  };
}
