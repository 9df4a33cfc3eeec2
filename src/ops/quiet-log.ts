// Lets a kind of line through once in a while and says how many it held back: an outage must not fill the journal.

export interface QuietLog {
  /**
   * Calls `write` unless a line of this `kind` was written within the interval.
   * `suppressed` is how many were held back since then.
   */
  say(kind: string, write: (suppressed: number) => void): void;
}

// Kinds remembered: reasons times apps stays far below it, and a provider that invents words cannot grow it.
const MAX_KINDS = 500;

/**
 * @param everyMs interval for each kind, milliseconds
 * @param monotonicNow milliseconds
 */
export function createQuietLog(everyMs: number, monotonicNow: () => number): QuietLog {
  const kinds = new Map<string, { until: number; suppressed: number }>();
  return {
    say(kind, write) {
      const now = monotonicNow();
      const known = kinds.get(kind);
      if (known !== undefined && now < known.until) {
        known.suppressed += 1;
        return;
      }
      if (known === undefined && kinds.size >= MAX_KINDS) kinds.clear();
      kinds.set(kind, { until: now + everyMs, suppressed: 0 });
      write(known?.suppressed ?? 0);
    },
  };
}
