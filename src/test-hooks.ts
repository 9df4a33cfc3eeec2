// Breaks the product on purpose, in the test build only: a checker that never failed proves nothing.
import type { Store } from "./store/types.ts";

// Long enough for a kill to fall between the answer and the commit. Milliseconds.
const LATE_COMMIT_MS = 150;

/**
 * The store with a defect.
 * @param defect `answer-before-commit`: what was answered OK may never reach the disk. `resume-nothing`: what is
 *   owed is not looked for, so a restart forgets it. `merge-nothing`: the other node's rows are acknowledged and
 *   thrown away. Anything else: none.
 */
export function withDefect(store: Store, defect: string | undefined): Store {
  switch (defect) {
    case "answer-before-commit":
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
    case "resume-nothing":
      return { ...store, due: async () => [], nextDueAt: async () => null };
    case "merge-nothing":
      return { ...store, merge: (_theirs, upTo) => store.merge([], upTo) };
    default:
      return store;
  }
}

/**
 * The store that answers, with a defect.
 * @param paired waits for the other node
 * @param own this node's
 * @param defect `answer-without-peer`: says that both nodes have what the other one may never get
 */
export function withAnswerDefect(paired: Store, own: Store, defect: string | undefined): Store {
  if (defect !== "answer-without-peer") return paired;
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
 * @param defect `ring-while-passive`: always
 */
export function withRingDefect(rings: () => boolean, defect: string | undefined): () => boolean {
  return defect === "ring-while-passive" ? () => true : rings;
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
