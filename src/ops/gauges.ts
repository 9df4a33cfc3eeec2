// Brings the gauges that count rows up to date, at most once in a while: counting looks at many rows.
import type { Metrics } from "./metrics.ts";

/** What is counted; the store gives it. */
export interface Counts {
  readonly registrations: readonly {
    readonly app: string;
    readonly platform: string;
    readonly count: number;
  }[];
  /** Registrations whose token the provider called dead or bad. */
  readonly notRung: number;
  readonly subscriptions: Readonly<Record<string, number>>;
  readonly owed: number;
  /** Epoch milliseconds, or null if nothing is owed. */
  readonly owedOldestSince: number | null;
}

// A scrape every 15 s is usual; several scrapers share one count. Milliseconds.
const FRESH_MS = 5_000;
// Counting a million rows takes seconds: they are counted again when at most a twentieth of the time goes into that.
const COST_TIMES = 20;
// Whatever counting seemed to take: the clock may have been set meanwhile.
const MOST_FRESH_MS = 60_000;

/**
 * @param count asks the store
 * @param now epoch milliseconds
 */
export function createGauges(metrics: Metrics, count: () => Promise<Counts>, now: () => number) {
  let last: { readonly at: number; readonly counts: Promise<Counts> } | null = null;
  let freshMs = FRESH_MS;
  const fresh = (): Promise<Counts> => {
    if (last !== null && now() - last.at <= freshMs && now() >= last.at) return last.counts;
    const asked = { at: now(), counts: count() };
    last = asked;
    asked.counts.then(
      () => {
        const wanted = COST_TIMES * (now() - asked.at);
        freshMs = Math.min(MOST_FRESH_MS, Math.max(FRESH_MS, wanted));
      },
      // A failure is not kept: whoever asks next asks the store again.
      () => {
        if (last === asked) last = null;
      },
    );
    return asked.counts;
  };
  return {
    /** The counts, not older than a few seconds. */
    counts: fresh,
    async refresh(): Promise<void> {
      const counts = await fresh();
      metrics.registrations.reset();
      for (const { app, platform, count: number } of counts.registrations) {
        metrics.registrations.set({ app, platform }, number);
      }
      metrics.notRung.set(counts.notRung);
      metrics.subscriptions.reset();
      for (const [state, number] of Object.entries(counts.subscriptions))
        metrics.subscriptions.set({ state }, number);
      metrics.owed.set(counts.owed);
      metrics.owedOldestSeconds.set(
        counts.owedOldestSince === null ? 0 : Math.max(0, now() - counts.owedOldestSince) / 1000,
      );
    },
  };
}
