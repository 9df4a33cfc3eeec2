// Makes a corpus out of what a fuzz run kept: few files, and short ones.
import { isPlace } from "./coverage.ts";

/** Runs an input and tells everything that it reaches. */
export type Reach = (bytes: Buffer) => readonly string[];

// Files that are kept for each target.
const MOST_KEPT = 120;
// What a target says of an input is worth more places than one.
const WORD_COUNTS = 20;
// Below this, an input's length hardly speaks against it.
const SHORT_BYTES = 300;
// Runs that cutting down one input may take.
const MOST_TRIES = 150;

/** Few and short inputs that reach the same together, each cut down to what it is kept for. */
export function minimise(inputs: readonly Buffer[], reach: Reach): Buffer[] {
  const seen = new Set<string>();
  const kept: Buffer[] = [];
  let left = inputs.map((bytes) => ({ bytes, fresh: reach(bytes) }));
  while (kept.length < MOST_KEPT) {
    left = left
      .map(({ bytes, fresh }) => ({ bytes, fresh: fresh.filter((feature) => !seen.has(feature)) }))
      .filter(({ fresh }) => fresh.length > 0);
    const worth = ({ bytes, fresh }: (typeof left)[number]) =>
      fresh.reduce((sum, feature) => sum + (isPlace(feature) ? 1 : WORD_COUNTS), 0) /
      (bytes.length + SHORT_BYTES);
    const [best] = left.toSorted((a, b) => worth(b) - worth(a));
    if (best === undefined) break;
    const small = shorten(best.bytes, best.fresh, reach);
    // Its own features too: a few are seen once only, by chance.
    for (const feature of [...best.fresh, ...reach(small)]) seen.add(feature);
    kept.push(small);
  }
  return kept;
}

function shorten(input: Buffer, wanted: readonly string[], reach: Reach): Buffer {
  let bytes = input;
  let tries = MOST_TRIES;
  for (let size = bytes.length >> 1; size >= 1 && tries > 0; size >>= 1) {
    for (let at = 0; at + size <= bytes.length && tries > 0; tries -= 1) {
      const shorter = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
      const reached = new Set(reach(shorter));
      if (wanted.every((feature) => reached.has(feature))) bytes = shorter;
      else at += size;
    }
  }
  return bytes;
}
