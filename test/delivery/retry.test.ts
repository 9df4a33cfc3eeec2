import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RETRY, type RetryCause, type RetryRule, retryDelayMs } from "../../src/delivery/retry.ts";
import { parseRetryAfter } from "../../src/delivery/retry-after.ts";
import type { Platform } from "../../src/store/types.ts";

const platform = fc.constantFrom<Platform>("apns", "fcm");
const cause = fc.constantFrom(...(Object.keys(RETRY.apns) as RetryCause[]));
const attempt = fc.integer({ min: 0, max: 10_000 });
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
// The largest double below 1.
const ALMOST_ONE = 1 - Number.EPSILON / 2;
const HOUR_MS = 3_600_000;

function isPatient({ patientAfter }: RetryRule, tries: number): boolean {
  return patientAfter !== undefined && tries >= patientAfter;
}

describe("when a ring is tried again", () => {
  test("a wait is never negative, never below its floor and never above its cap", () => {
    fc.assert(
      fc.property(platform, cause, attempt, random, (onPlatform, because, tries, dice) => {
        const rule = RETRY[onPlatform][because];
        const delay = retryDelayMs(onPlatform, because, tries, null, dice);
        if (delay === null) return rule.attempts !== null && tries + 1 >= rule.attempts;
        const cap = isPatient(rule, tries) ? HOUR_MS : rule.capMs;
        return delay >= 0 && delay >= rule.floorMs && delay <= cap && Number.isSafeInteger(delay);
      }),
    );
  });

  test("the jitter is full: it spreads from the floor to the whole back-off, which doubles up to the cap", () => {
    fc.assert(
      fc.property(platform, cause, fc.integer({ min: 0, max: 20 }), (onPlatform, because, tries) => {
        const rule = RETRY[onPlatform][because];
        if ((rule.attempts !== null && tries + 1 >= rule.attempts) || isPatient(rule, tries)) return;
        expect(retryDelayMs(onPlatform, because, tries, null, 0)).toBe(rule.floorMs);
        const widest = Math.min(rule.capMs, rule.floorMs + rule.baseMs * 2 ** tries);
        expect(retryDelayMs(onPlatform, because, tries, null, ALMOST_ONE)).toBe(widest);
      }),
    );
  });

  test("the provider's own wait is never cut short and spread by a tenth at most", () => {
    fc.assert(
      fc.property(
        platform,
        cause,
        fc.integer({ min: 0, max: 3_600_000 }),
        random,
        (on, because, after, dice) => {
          const delay = retryDelayMs(on, because, 0, after, dice);
          return delay !== null && delay >= after && delay <= Math.max(Math.ceil(after * 1.1), 1_000);
        },
      ),
    );
  });

  test("a provider that says 'at once' time and again is not believed: the waits double all the same", () => {
    for (const on of ["apns", "fcm"] as const) {
      const waits = Array.from(
        { length: 9 },
        (_, tries) => retryDelayMs(on, "transient", tries, 0, 0.9) ?? 0,
      );
      expect(waits[0]).toBeGreaterThanOrEqual(1_000);
      for (const [at, wait] of waits.entries())
        expect(wait).toBeGreaterThanOrEqual(at < 8 ? 1_000 * 2 ** at : 0);
    }
  });

  test("what Google did not take within about an hour stays owed and is tried seldom from then on", () => {
    for (const because of ["transient", "device"] as const) {
      let waited = 0;
      let tries = 0;
      while (!isPatient(RETRY.fcm[because], tries)) {
        waited += retryDelayMs("fcm", because, tries, null, 0.5) ?? 0;
        tries += 1;
      }
      expect(waited).toBeGreaterThan(HOUR_MS / 2);
      expect(waited).toBeLessThan(HOUR_MS * 2);
      expect(retryDelayMs("fcm", because, tries, null, 0)).toBe(HOUR_MS / 2);
      expect(retryDelayMs("fcm", because, 1_000_000, null, ALMOST_ONE)).toBe(HOUR_MS);
    }
  });

  test("only a doubtful token uses up a budget: a badge never expires", () => {
    for (const on of ["apns", "fcm"] as const) {
      for (const because of Object.keys(RETRY[on]) as RetryCause[]) {
        expect(retryDelayMs(on, because, 1_000_000, null, 0) === null).toBe(because === "doubtful");
      }
    }
  });

  test("Google's numbers hold: the first retry after 10 s, 60 s on 429", () => {
    expect(retryDelayMs("fcm", "transient", 0, null, 0)).toBe(10_000);
    expect(retryDelayMs("fcm", "device", 0, null, 0)).toBe(60_000);
    expect(retryDelayMs("fcm", "quota", 0, null, 0)).toBe(60_000);
  });

  test("trouble is capped at a quarter of an hour, a paused queue is probed each minute", () => {
    expect(retryDelayMs("apns", "transient", 50, null, ALMOST_ONE)).toBe(900_000);
    expect(retryDelayMs("fcm", "transient", 11, null, ALMOST_ONE)).toBe(900_000);
    for (const because of ["probe", "trouble_probe", "unreachable"] as const) {
      for (const on of ["apns", "fcm"] as const) {
        expect(retryDelayMs(on, because, 50, null, ALMOST_ONE)).toBe(60_000);
      }
    }
  });
});

describe("Retry-After", () => {
  const now = Date.UTC(2026, 10, 24, 12, 0, 0);

  test("is read as seconds and as each of the three forms of a date", () => {
    expect(parseRetryAfter("120", now)).toBe(120_000);
    expect(parseRetryAfter(" 0 ", now)).toBe(0);
    expect(parseRetryAfter("Tue, 24 Nov 2026 12:01:00 GMT", now)).toBe(60_000);
    expect(parseRetryAfter("Tuesday, 24-Nov-26 12:01:00 GMT", now)).toBe(60_000);
    expect(parseRetryAfter("Tue Nov 24 12:01:00 2026", now)).toBe(60_000);
  });

  test("of the past means now, and of next year means an hour", () => {
    expect(parseRetryAfter("Tue, 24 Nov 2026 11:00:00 GMT", now)).toBe(0);
    expect(parseRetryAfter("Wed, 24 Nov 2027 12:00:00 GMT", now)).toBe(3_600_000);
    expect(parseRetryAfter("99999999", now)).toBe(3_600_000);
  });

  test("that is nonsense is as none", () => {
    for (const text of ["", "soon", "-5", "1.5", "Tue, 99 Foo", null, undefined, "2026-11-24"]) {
      expect(parseRetryAfter(text, now)).toBeNull();
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        const wait = parseRetryAfter(text, now);
        return wait === null || (wait >= 0 && wait <= 3_600_000);
      }),
    );
  });
});
