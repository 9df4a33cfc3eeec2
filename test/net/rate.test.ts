import { expect, test } from "bun:test";
import fc from "fast-check";
import { createLimiter } from "../../src/net/rate.ts";

const rate = { burst: 3, refillMs: 1000, maxKeys: 4 };

test("a burst is let through, then one for each refill", () => {
  const limiter = createLimiter(rate);
  expect([0, 0, 0].map(() => limiter.take("a", 10_000))).toEqual([0, 0, 0]);
  expect(limiter.take("a", 10_000)).toBe(1000);
  expect(limiter.take("a", 10_400)).toBe(600);
  expect(limiter.take("a", 11_000)).toBe(0);
  expect(limiter.take("a", 11_000)).toBe(1000);
  expect(limiter.take("b", 11_000)).toBe(0);
});

test("a clock that was set back locks a key no longer than an empty allowance", () => {
  const limiter = createLimiter(rate);
  limiter.take("a", 9_000_000);
  expect(limiter.take("a", 1000)).toBe(1000);
  expect(limiter.take("a", 2000)).toBe(0);
});

test("only so many keys are remembered, and the one used longest ago is forgotten first", () => {
  const limiter = createLimiter(rate);
  for (let i = 0; i < 3; i++) limiter.take("old", 0);
  for (const key of ["b", "c", "d"]) for (let i = 0; i < 3; i++) limiter.take(key, 0);
  expect(limiter.take("old", 0)).toBeGreaterThan(0);
  limiter.take("e", 0);
  expect(limiter.take("old", 0)).toBeGreaterThan(0);
  expect(limiter.take("b", 0)).toBe(0);
});

test("over any time, no more than the burst and the refills get through", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 60 }), (gaps) => {
      const limiter = createLimiter(rate);
      let now = 1_000_000;
      let passed = 0;
      for (const gap of gaps) {
        now += gap;
        const waitMs = limiter.take("a", now);
        if (waitMs === 0) passed++;
        else expect(waitMs).toBeLessThanOrEqual(rate.refillMs);
      }
      expect(passed).toBeLessThanOrEqual(rate.burst + Math.floor((now - 1_000_000) / rate.refillMs));
    }),
  );
});
