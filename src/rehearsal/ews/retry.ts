// When Exchange tries a failed delivery again, and when it gives the subscription up. Pure.

// Seconds: the first wait; each further one is twice as long.
const FIRST_WAIT_MS = 30_000;
const MINUTE_MS = 60_000;

/**
 * @param failures how often this very body failed so far, at least 1
 * @param statusFrequencyMinutes as asked for in `Subscribe`
 * @returns the wait before the next try in milliseconds, or `drop` when that would exceed the StatusFrequency
 */
export function nextRetry(failures: number, statusFrequencyMinutes: number): number | "drop" {
  const waitMs = FIRST_WAIT_MS * 2 ** (failures - 1);
  return waitMs > statusFrequencyMinutes * MINUTE_MS ? "drop" : waitMs;
}
