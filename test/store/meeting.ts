// Two real stores that were apart, and the ways in which they can come together.
import { openTestStore } from "./helpers.ts";

type Opened = Awaited<ReturnType<typeof openTestStore>>;

export interface Apart {
  readonly a: Opened;
  readonly b: Opened;
  close(): Promise<void>;
}

export async function openApart(): Promise<Apart> {
  const [a, b] = [await openTestStore(), await openTestStore()];
  return {
    a,
    b,
    async close() {
      await a.close();
      await b.close();
    },
  };
}

const rowsOf = ({ store }: Opened) => store.rowsAfter(0, 1_000);

/** Which node's rows travel first; `crossing`: both are read before either is merged. */
export const WAYS = ["a first", "b first", "crossing"] as const;
export type Way = (typeof WAYS)[number];

/** Both nodes have everything afterwards. */
export async function meet({ a, b }: Apart, way: Way): Promise<void> {
  const [fromA, fromB] = [await rowsOf(a), await rowsOf(b)];
  if (way === "a first") {
    await b.store.merge(fromA);
    await a.store.merge(await rowsOf(b));
    return;
  }
  if (way === "b first") {
    await a.store.merge(fromB);
    await b.store.merge(await rowsOf(a));
    return;
  }
  await a.store.merge(fromB);
  await b.store.merge(fromA);
  // What came of it is told too, as a node passes on what it had to merge.
  const [mergedA, mergedB] = [await rowsOf(a), await rowsOf(b)];
  await a.store.merge(mergedB);
  await b.store.merge(mergedA);
}
