// Positions in this node's feed of rows that stand exactly as the peer sent them: it has them, so they are not sent
// back. Kept in memory only; what is forgotten is sent once, and comes to rest there.
import type { SeqRange } from "../store/feed-types.ts";

export interface Echoes {
  /** Adds positions; they are above all that were added before. */
  add(ranges: readonly SeqRange[]): void;
  has(seq: number): boolean;
  /** The last position up to which nothing but echoes follows on `seq`. */
  skip(seq: number): number;
  /** How many there are above `after`, up to `upTo`. */
  count(after: number, upTo: number): number;
  /** Positions up to this one will not be asked for any more. */
  drop(upTo: number): void;
  clear(): void;
}

// A range a commit: minutes of the busiest traffic without an acknowledgement. Then the oldest are sent after all.
const MOST_RANGES = 4_096;

export function createEchoes(): Echoes {
  let ranges: SeqRange[] = [];

  /** Index of the first range that ends at or above `seq`. */
  function at(seq: number): number {
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ranges[middle]?.last ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function range(seq: number): SeqRange | null {
    const found = ranges[at(seq)];
    return found !== undefined && found.first <= seq ? found : null;
  }

  return {
    add(more) {
      for (const each of more) {
        const last = ranges.at(-1);
        if (last !== undefined && last.last + 1 === each.first) {
          ranges[ranges.length - 1] = { first: last.first, last: each.last };
        } else {
          ranges.push(each);
        }
      }
      if (ranges.length > MOST_RANGES) ranges = ranges.slice(-MOST_RANGES / 2);
    },
    has: (seq) => range(seq) !== null,
    skip: (seq) => range(seq + 1)?.last ?? seq,
    count(after, upTo) {
      let sum = 0;
      for (let index = at(after + 1); index < ranges.length; index += 1) {
        const { first, last } = ranges[index] ?? { first: Number.POSITIVE_INFINITY, last: 0 };
        if (first > upTo) break;
        sum += Math.min(last, upTo) - Math.max(first, after + 1) + 1;
      }
      return sum;
    },
    drop(upTo) {
      const from = at(upTo + 1);
      if (from > 0) ranges = ranges.slice(from);
    },
    clear() {
      ranges = [];
    },
  };
}
