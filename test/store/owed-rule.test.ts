import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type BadgeRing,
  isBadgeOwed,
  newestBadge,
  nextRing,
  type OwedRow,
} from "../../src/store/owed-rule.ts";

const row = (
  feed: string,
  badge: number | null,
  badgeMark: number,
  more: Partial<OwedRow> = {},
): OwedRow => ({
  feed,
  badge,
  badgeMark,
  badgeEventAt: 0,
  badgeSeen: {},
  reasons: {},
  ...more,
});
const ring = (
  feed: string,
  count: number,
  ref: BadgeRing["ref"],
  seen: BadgeRing["seen"] = {},
): BadgeRing => ({
  feed,
  count,
  ref,
  seen,
});

describe("the newest badge", () => {
  test("is the one that had seen the other, whatever the clocks say", () => {
    const older = row("a", 5, 10, { badgeEventAt: 999 });
    const newer = row("b", 6, 3, { badgeEventAt: 1, badgeSeen: { a: 10 } });
    expect(newestBadge([older, newer])?.badge).toBe(6);
    expect(newestBadge([newer, older])?.badge).toBe(6);
  });

  test("is the one with the later event when the nodes were apart", () => {
    const first = row("a", 5, 10, { badgeEventAt: 100 });
    const second = row("b", 6, 3, { badgeEventAt: 200 });
    expect(newestBadge([first, second])?.badge).toBe(6);
    expect(newestBadge([second, first])?.badge).toBe(6);
  });

  test("does not depend on the order of the rows, for two feeds", () => {
    const arbitrary = fc.record({
      badge: fc.integer({ min: 0, max: 9 }),
      mark: fc.integer({ min: 1, max: 5 }),
      at: fc.integer({ min: 0, max: 3 }),
      sees: fc.boolean(),
    });
    fc.assert(
      fc.property(arbitrary, arbitrary, (a, b) => {
        const first = row("a", a.badge, a.mark, {
          badgeEventAt: a.at,
          badgeSeen: a.sees ? { b: b.mark } : {},
        });
        // Both cannot have seen each other's badge: a badge that was seen is older.
        const seen = b.sees && !a.sees ? { a: a.mark } : {};
        const second = row("b", b.badge, b.mark, { badgeEventAt: b.at, badgeSeen: seen });
        expect(newestBadge([first, second])?.feed).toBe(newestBadge([second, first])?.feed as string);
      }),
    );
  });

  test("is none where nothing was heard", () => {
    expect(newestBadge([row("a", null, 0)])).toBeNull();
    expect(isBadgeOwed(null, [])).toBe(false);
  });
});

describe("a badge is owed", () => {
  const newest = row("a", 5, 10);
  test("until a ring carried it", () => {
    expect(isBadgeOwed(newest, [])).toBe(true);
    expect(isBadgeOwed(newest, [ring("a", 1, { feed: "a", mark: 9 })])).toBe(true);
    expect(isBadgeOwed(newest, [ring("a", 1, { feed: "a", mark: 10 })])).toBe(false);
  });

  test("again when another feed's ring with another badge was not seen by the one that carried it", () => {
    const carried = ring("a", 1, { feed: "a", mark: 10 }, {});
    const other = ring("b", 4, { feed: "a", mark: 9 });
    expect(isBadgeOwed(newest, [carried, other])).toBe(true);
    expect(isBadgeOwed(newest, [{ ...carried, seen: { b: 3 } }, other])).toBe(true);
    expect(isBadgeOwed(newest, [{ ...carried, seen: { b: 4 } }, other])).toBe(false);
  });

  test("not again when both feeds carried the same badge", () => {
    const ref = { feed: "a", mark: 10 };
    expect(isBadgeOwed(newest, [ring("a", 1, ref), ring("b", 4, ref)])).toBe(false);
  });
});

describe("the next ring", () => {
  test("for new mail also answers what changed elsewhere, and nothing else", () => {
    const rows = [
      row("a", 5, 10, { reasons: { mail: [10, 0, 0], changed: [9, 0, 0], calendar: [8, 0, 0] } }),
    ];
    const next = nextRing(rows, []);
    expect(next).toMatchObject({ reason: "mail", marks: { mail: { a: 10 }, changed: { a: 9 } } });
    expect(next?.badge?.badge).toBe(5);
  });

  test("is none when every mark is settled and the badge was rung", () => {
    const rows = [row("a", 5, 10, { reasons: { mail: [10, 10, 0] } })];
    expect(nextRing(rows, [ring("a", 1, { feed: "a", mark: 10 })])).toBeNull();
  });

  test("names the folder to subscribe again", () => {
    const rows = [row("a", null, 0, { reasons: { "resubscribe:calendar": [3, 0, 0] } })];
    expect(nextRing(rows, [])).toMatchObject({ reason: "resubscribe", folder: "calendar", badge: null });
  });
});
