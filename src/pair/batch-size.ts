// How many rows are dealt with at a time, so that this node is not kept from other work for long: found by measuring,
// since a row that is in memory costs microseconds and one that is read from a slow disk milliseconds. Pure.

export interface BatchLimits {
  /** So few are dealt with at once, however long it takes. */
  readonly least: number;
  readonly most: number;
  /** What is aimed at, milliseconds. */
  readonly targetMs: number;
}

export interface BatchSize {
  /** For the next batch. */
  readonly rows: number;
  /** So many rows took so long, milliseconds. */
  took(rows: number, ms: number): void;
}

// A first batch, before anything was measured.
const FIRST = 32;
// One quick batch says less than one slow one: a cache may have held it.
const MOST_GROWTH = 1.5;

export function createBatchSize({ least, most, targetMs }: BatchLimits): BatchSize {
  const within = (rows: number) => Math.max(Math.min(least, most), Math.min(most, Math.floor(rows)));
  let size = within(FIRST);
  return {
    get rows() {
      return size;
    },
    took(rows, ms) {
      if (rows === 0) return;
      const fitting = (rows * targetMs) / Math.max(ms, 0.01);
      if (ms > targetMs) size = within(Math.min(size, fitting));
      // A few rows that went quickly do not show what many would take.
      else if (rows * 2 > size) size = within(Math.min(size * MOST_GROWTH, Math.max(size, fitting)));
    },
  };
}
