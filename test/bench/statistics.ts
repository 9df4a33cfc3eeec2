// The little arithmetic that the parts share, and how figures are written.

/** The middle value; the mean of the two middle ones for an even count. Throws without values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new Error("The median of nothing.");
  return (upper + lower) / 2;
}

/** The smallest value that at least `share` of the values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** A cumulative histogram: upper bound in seconds → observations up to it. */
export type Buckets = ReadonlyMap<number, number>;

/** What was observed between two readings of a histogram. */
export function since(before: Buckets, after: Buckets): Buckets {
  return new Map([...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/** Sums histograms with the same bounds. */
export function together(...histograms: readonly Buckets[]): Buckets {
  const sum = new Map<number, number>();
  for (const histogram of histograms) {
    for (const [bound, count] of histogram) sum.set(bound, (sum.get(bound) ?? 0) + count);
  }
  return sum;
}

export function observations(buckets: Buckets): number {
  return buckets.get(Number.POSITIVE_INFINITY) ?? 0;
}

/** Seconds below which `share` of the observations lie, interpolated within a bucket as Prometheus does it. */
export function bucketQuantile(buckets: Buckets, share: number): number {
  const wanted = share * observations(buckets);
  let lowerBound = 0;
  let below = 0;
  for (const [bound, count] of [...buckets].sort(([a], [b]) => a - b)) {
    if (count >= wanted && count > below) {
      if (bound === Number.POSITIVE_INFINITY) return lowerBound;
      return lowerBound + ((bound - lowerBound) * (wanted - below)) / (count - below);
    }
    lowerBound = bound;
    below = count;
  }
  return Number.NaN;
}

/** The share of observations that were not above `seconds`, which must be a bound of the histogram. */
export function shareUpTo(buckets: Buckets, seconds: number): number {
  return (buckets.get(seconds) ?? Number.NaN) / observations(buckets);
}

export const rate = (perSecond: number) => `${Math.round(perSecond).toLocaleString("en")}/s`;
export const whole = (value: number) => Math.round(value).toLocaleString("en");
/** Between 99.5 and 100 % a decimal tells all from nearly all. */
export const percent = (share: number) => `${(100 * share).toFixed(share >= 0.995 && share < 1 ? 1 : 0)} %`;
export const milliseconds = (ms: number) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
export const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
