// Breaks the product on purpose, in the test build only: a checker that never failed proves nothing.
import type { Store } from "./store/types.ts";

// Long enough for a kill to fall between the answer and the commit. Milliseconds.
const LATE_COMMIT_MS = 150;

export type Defects = ReadonlySet<string>;

/** @param text names with commas between them */
export function readDefects(text = ""): Defects {
  return new Set(text.split(","));
}

/**
 * The store with a defect.
 * @param defects `answer-before-commit`: what was answered OK may never reach the disk. `resume-nothing`: what is
 *   owed is not looked for, so a restart forgets it. `merge-nothing`: the other node's rows are acknowledged and
 *   thrown away. Anything else: none.
 */
export function withDefect(store: Store, defects: Defects): Store {
  if (defects.has("answer-before-commit")) {
    return {
      ...store,
      async submit(request) {
        const [view] = await store.read([request.registrationId]);
        if (view?.state.kind !== "present") return store.submit(request);
        setTimeout(() => {
          store.submit(request).catch(() => {});
        }, LATE_COMMIT_MS);
        return request.decide(view.state, []).result;
      },
    };
  }
  if (defects.has("resume-nothing")) {
    return { ...store, due: async () => [], nextDueAt: async () => null };
  }
  if (defects.has("merge-nothing")) return { ...store, merge: (_theirs, upTo) => store.merge([], upTo) };
  return store;
}

/**
 * The store that answers, with a defect.
 * @param paired waits for the other node
 * @param own this node's
 * @param defects `answer-without-peer`: says that both nodes have what the other one may never get
 */
export function withAnswerDefect(paired: Store, own: Store, defects: Defects): Store {
  if (!defects.has("answer-without-peer")) return paired;
  return {
    ...own,
    async submit(request) {
      const result = await own.submit(request);
      request.onDurable?.("pair");
      return result;
    },
  };
}

/**
 * Whether this node may ring, with a defect.
 * @param defects `ring-while-passive`: always
 */
export function withRingDefect(rings: () => boolean, defects: Defects): () => boolean {
  return defects.has("ring-while-passive") ? () => true : rings;
}

/**
 * What a hand-over waits for, with a defect.
 * @param idle resolves once no ring is on its way
 * @param defects `no-drain`: nothing, so that both nodes ring for the same
 */
export function withDrainDefect(idle: () => Promise<void>, defects: Defects): () => Promise<void> {
  return defects.has("no-drain") ? async () => {} : idle;
}

/**
 * Whether this node may say that a subscription has ended, with a defect.
 * @param defects `end-while-alone`: always, also where the other node may know better
 */
export function withEndDefect(mayEnd: () => boolean, defects: Defects): () => boolean {
  return defects.has("end-while-alone") ? () => true : mayEnd;
}

/** Epoch milliseconds, and monotonic milliseconds. */
export interface Clocks {
  readonly now: () => number;
  readonly monotonicNow: () => number;
}

// Longer than any turn of a running node's event loop. Milliseconds.
const GAP_MS = 1_000;

/**
 * The clocks that the pair goes by, with a defect.
 * @param defects `freeze-unnoticed`: they stand still while the process does, so that nobody sees that it did
 */
export function withClockDefect({ now, monotonicNow }: Clocks, defects: Defects): Clocks {
  if (!defects.has("freeze-unnoticed")) return { now, monotonicNow };
  let lastMs = monotonicNow();
  let missedMs = 0;
  const look = () => {
    const atMs = monotonicNow();
    if (atMs - lastMs > GAP_MS) missedMs += atMs - lastMs;
    lastMs = atMs;
    return missedMs;
  };
  return { now: () => now() - look(), monotonicNow: () => monotonicNow() - look() };
}

// What a service watchdog waits for is shorter. Milliseconds.
const LONGEST_BLOCK_MS = 120_000;

/** A control verb that hangs the whole process for a time: `{ ms }`. */
export const blockVerb = {
  block(input: unknown): null {
    const ms = Number((input as { readonly ms?: unknown } | null)?.ms);
    // After the answer, which would not get out otherwise.
    setTimeout(() => Bun.sleepSync(Math.min(ms, LONGEST_BLOCK_MS)), 50);
    return null;
  },
} as const;
