// The store as the rooms that answer see it: what an answer rests on is on both nodes, or the peer counts as gone, and
// `onDurable` says which of the two before the result is given back.
import type { Store } from "../store/types.ts";
import type { Replicator } from "./replicator.ts";

/**
 * Duplicates and reads wait too: what they rest on may have been committed here a moment ago. What needs no commit to
 * be answered (`lazy`) waits for nothing. What nobody is answered for (rings, the sweep) goes on at the local commit.
 * @param isPaired whether there is a peer at the moment; without one nothing is waited for, and `onDurable` not called
 */
export function createPairedStore(
  store: Store,
  replicator: Pick<Replicator, "durableOnBoth">,
  isPaired: () => boolean = () => true,
): Store {
  return {
    ...store,

    async submit(request) {
      let isLazy = false;
      const result = await store.submit({
        ...request,
        decide(state, boundElsewhere) {
          const decided = request.decide(state, boundElsewhere);
          isLazy = decided.change?.lazy === true;
          return decided;
        },
      });
      if (isLazy || !isPaired()) return result;
      const durability = await replicator.durableOnBoth(store.committedSeq());
      request.onDurable?.(durability);
      return result;
    },

    async read(registrationIds, onDurable) {
      const views = await store.read(registrationIds);
      if (!isPaired()) return views;
      const durability = await replicator.durableOnBoth(store.committedSeq());
      onDurable?.(durability);
      return views;
    },
  };
}
