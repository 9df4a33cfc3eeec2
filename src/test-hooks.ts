// Breaks the product on purpose, in the test build only: a checker that never failed proves nothing.
import type { Store } from "./store/types.ts";

// Long enough for a kill to fall between the answer and the commit. Milliseconds.
const LATE_COMMIT_MS = 150;

/**
 * The store with a defect.
 * @param defect `answer-before-commit`: what was answered OK may never reach the disk. `resume-nothing`: what is
 *   owed is not looked for, so a restart forgets it. Anything else: none.
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
    default:
      return store;
  }
}
