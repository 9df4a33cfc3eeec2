// What the listener remembers of strangers and of its own warnings is bounded, and never turns into harm.
import { expect, test } from "bun:test";
import { createThrottle } from "../../src/exchange/throttle.ts";
import { createUnknownIds } from "../../src/exchange/unknown-ids.ts";

const HOUR = 3_600_000;
const id = (n: number) => Buffer.from(`id-${n}`);

test("an unknown id is overdue only after its grace, however often it is heard", () => {
  const ids = createUnknownIds(HOUR);
  expect(ids.isOverdue(id(1), 0)).toBe(false);
  expect(ids.isOverdue(id(1), HOUR - 1)).toBe(false);
  expect(ids.isOverdue(id(2), HOUR)).toBe(false);
  expect(ids.isOverdue(id(1), HOUR)).toBe(true);
  expect(ids.isOverdue(id(1), HOUR + 1)).toBe(true);
});

test("even without a grace, an id is never overdue when it is first heard", () => {
  const ids = createUnknownIds(0);
  expect(ids.isOverdue(id(1), 5)).toBe(false);
  expect(ids.isOverdue(id(1), 5)).toBe(true);
});

test("an id that does not fit into memory is never overdue", () => {
  const ids = createUnknownIds(HOUR, 2);
  ids.isOverdue(id(1), 0);
  ids.isOverdue(id(2), 0);
  expect(ids.isOverdue(id(3), 0)).toBe(false);
  expect(ids.isOverdue(id(3), 10 * HOUR)).toBe(false);
  expect(ids.isOverdue(id(1), 10 * HOUR)).toBe(true);
});

test("ids silent for two days make room", () => {
  const ids = createUnknownIds(HOUR, 2);
  ids.isOverdue(id(1), 0);
  ids.isOverdue(id(2), HOUR);
  expect(ids.isOverdue(id(3), 48 * HOUR)).toBe(false);
  expect(ids.isOverdue(id(3), 49 * HOUR)).toBe(true);
  expect(ids.isOverdue(id(1), 49 * HOUR)).toBe(false);
});

test("a warning comes once in its interval for each cause", () => {
  const throttle = createThrottle(HOUR, 10);
  expect(throttle.allows("a", 0)).toBe(true);
  expect(throttle.allows("a", HOUR - 1)).toBe(false);
  expect(throttle.allows("b", HOUR - 1)).toBe(true);
  expect(throttle.allows("a", HOUR)).toBe(true);
  expect(throttle.allows("a", HOUR + 1)).toBe(false);
});

test("many causes at once do not flood the log, and old ones make room", () => {
  const throttle = createThrottle(HOUR, 2);
  expect(["a", "b", "c", "d"].map((cause) => throttle.allows(cause, 0))).toEqual([true, true, false, false]);
  expect(throttle.allows("c", HOUR)).toBe(true);
});

test("a clock set back does not silence a warning", () => {
  const throttle = createThrottle(HOUR, 2);
  expect(throttle.allows("a", 100 * HOUR)).toBe(true);
  expect(throttle.allows("a", 1 * HOUR)).toBe(true);
});
