// What a feed has seen of the others when it accepts a badge or begins a ring: their marks, and what they and it itself
// had seen before. So a row is still counted as seen once it is gone, on a node that never had it too.

/** What one feed's row says of it. */
export interface SeenRow {
  readonly feed: string;
  /** Its badge mark, or how many rings with a badge it made. */
  readonly mark: number;
  /** What it had seen of others. */
  readonly seen: Readonly<Record<string, number>>;
}

/** @param own the feed that looks: it does not see itself */
export function seenBy(own: string, rows: readonly SeenRow[]): Record<string, number> {
  const all: Record<string, number> = {};
  const note = (feed: string, mark: number) => {
    if (feed !== own) all[feed] = Math.max(all[feed] ?? 0, mark);
  };
  for (const { feed, mark, seen } of rows) {
    note(feed, mark);
    for (const [other, earlier] of Object.entries(seen)) note(other, earlier);
  }
  return all;
}
