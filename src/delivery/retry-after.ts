// `Retry-After` in both its forms (RFC 9110, section 10.2.3), as a wait from now.

// A provider that asks for more is asked again after this time all the same: an hour, in milliseconds.
const LONGEST_MS = 3_600_000;

// IMF-fixdate, the RFC 850 form and the asctime form all begin with a day's name; anything else is no HTTP-date.
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/;

/**
 * @param value the header's value; HTTP/2 header names are lower case, so look it up as `retry-after`
 * @param now epoch milliseconds, against which a date is measured
 * @returns the wait in milliseconds, 0 to one hour, or null if there is no usable value
 */
export function parseRetryAfter(value: string | null | undefined, now: number): number | null {
  const text = value?.trim() ?? "";
  if (/^\d{1,10}$/.test(text)) return Math.min(Number(text) * 1000, LONGEST_MS);
  if (!HTTP_DATE.test(text)) return null;
  // The asctime form names no zone and means GMT.
  const at = Date.parse(/GMT$/.test(text) ? text : `${text} GMT`);
  if (Number.isNaN(at)) return null;
  return Math.min(Math.max(0, at - now), LONGEST_MS);
}
