import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { createClockWatch } from "../../src/ops/clock-watch.ts";
import { createIdleSweep } from "../../src/ops/idle-sweep.ts";
import { createLogger } from "../../src/ops/log.ts";

const quiet = createLogger("error", "json");
const time = { wall: 0, monotonic: 0 };
beforeEach(() => {
  jest.useFakeTimers();
  time.wall = 1_760_000_000_000;
  time.monotonic = 5_000;
});
afterEach(() => {
  jest.useRealTimers();
});
/** Lets so many seconds pass on both clocks. */
function pass(seconds: number): void {
  for (let second = 0; second < seconds; second += 1) {
    time.wall += 1_000;
    time.monotonic += 1_000;
    jest.advanceTimersByTime(1_000);
  }
}

test("a clock that is set is noticed once, in either direction, and one that is slewed is not", () => {
  const jumps: number[] = [];
  const watch = createClockWatch(
    () => time.wall,
    () => time.monotonic,
    (deltaMs) => jumps.push(deltaMs),
  );
  watch.start();
  pass(3);
  time.wall += 7_200_000;
  pass(3);
  time.wall -= 86_400_000;
  pass(3);
  for (let second = 0; second < 3; second += 1) {
    time.wall += 100;
    pass(1);
  }
  watch.stop();
  time.wall += 5_000;
  pass(3);
  expect(jumps).toEqual([7_200_000, -86_400_000]);
});

test("nobody falls idle by a clock that was just set forward", () => {
  let sweeps = 0;
  let removals = 0;
  const idle = createIdleSweep({
    sweep: async () => {
      sweeps += 1;
      return 0;
    },
    removeSpent: async () => {
      removals += 1;
      return 0;
    },
    removeFormer: async () => {
      removals += 1;
      return 0;
    },
    log: quiet,
    monotonicNow: () => time.monotonic,
  });
  idle.start();
  // It may have been set before the start, too.
  pass(23 * 3_600);
  expect([sweeps, removals]).toEqual([0, 0]);
  pass(2 * 3_600);
  expect(sweeps).toBeGreaterThan(0);
  const until = sweeps;
  idle.clockJumped(365 * 24 * 3_600_000);
  pass(23 * 3_600);
  expect(sweeps).toBe(until);
  pass(2 * 3_600);
  expect(sweeps).toBeGreaterThan(until);
  const removed = removals;
  pass(48 * 3_600);
  expect(removals).toBe(removed + 4);
  idle.stop();
  const before = sweeps;
  pass(2 * 3_600);
  expect(sweeps).toBe(before);
});
