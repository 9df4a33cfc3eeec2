import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type BadgeRing,
  isBadgeOwed,
  MAIL_STALE_MS,
  newestBadge,
  nextRing,
  type OwedRow,
  TEST_STALE_MS,
  type Timing,
} from "../../src/store/owed-rule.ts";
import { allowedAt, paceAfter, UNPACED } from "../../src/store/pace.ts";

const NOW = 1_760_000_000_000;
/** A mark of so many milliseconds ago. */
const mark = (agoMs = 0) => (NOW - agoMs) * 1024;
const timing = (more: Partial<Timing> = {}): Timing => ({
  now: NOW,
  platform: "apns",
  pace: UNPACED,
  mergeChangesMs: 2_000,
  ...more,
});

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
  tokenMac: null,
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
    const reasons = {
      mail: [mark(), 0, NOW],
      changed: [mark(1), 0, NOW - 1],
      calendar: [mark(2), 0, NOW - 2],
    } as const;
    const next = nextRing([row("a", 5, mark(), { reasons })], [], timing());
    expect(next).toMatchObject({
      reason: "mail",
      marks: { mail: { a: mark() }, changed: { a: mark(1) } },
      at: NOW,
    });
    expect(next?.badge?.badge).toBe(5);
  });

  test("is none when every mark is settled and the badge was rung", () => {
    const rows = [row("a", 5, mark(), { reasons: { mail: [mark(), mark(), NOW] } })];
    expect(nextRing(rows, [ring("a", 1, { feed: "a", mark: mark() })], timing())).toBeNull();
  });

  test("names the folder to subscribe again", () => {
    const rows = [row("a", null, 0, { reasons: { "resubscribe:calendar": [mark(), 0, NOW] } })];
    expect(nextRing(rows, [], timing())).toMatchObject({
      reason: "resubscribe",
      folder: "calendar",
      badge: null,
    });
  });

  test("for what changed elsewhere waits for more of it, counted from the first change", () => {
    const since = NOW - 500;
    const rows = [row("a", 5, mark(), { reasons: { changed: [mark(), 0, since] } })];
    expect(nextRing(rows, [], timing())).toMatchObject({ reason: "changed", at: since + 2_000 });
    expect(nextRing(rows, [], timing({ now: since + 2_000 }))).toMatchObject({ at: since + 2_000 });
  });

  test("does not wait longer because the clock was set back", () => {
    const rows = [row("a", 5, mark(), { reasons: { changed: [mark(), 0, NOW + 3_600_000] } })];
    expect(nextRing(rows, [], timing())?.at).toBeLessThanOrEqual(NOW);
    // Looked at again when its time has come, it does not wait for another while, and another.
    const later = NOW + 2_000;
    expect(nextRing(rows, [], timing({ now: later }))?.at).toBeLessThanOrEqual(later);
  });

  test("for a badge without a reason of its own, as a new token gets it, does not wait", () => {
    expect(nextRing([row("a", 5, mark())], [], timing())).toMatchObject({ reason: "changed" });
    expect(nextRing([row("a", 5, mark())], [], timing())?.at).toBeLessThanOrEqual(NOW);
  });

  test("for mail that is hours old is silent: the badge says the rest", () => {
    const old = mark(MAIL_STALE_MS + 1);
    const reasons = { mail: [old, 0, NOW - MAIL_STALE_MS - 1], changed: [mark(), 0, NOW] } as const;
    const next = nextRing([row("a", 5, mark(), { reasons })], [], timing());
    expect(next).toMatchObject({ reason: "changed", marks: { mail: { a: old }, changed: { a: mark() } } });
    expect(next?.at).toBeLessThanOrEqual(NOW);
    const fresh = { mail: [mark(1), 0, NOW - MAIL_STALE_MS - 1] } as const;
    expect(nextRing([row("a", 5, mark(), { reasons: fresh })], [], timing())?.reason).toBe("mail");
  });

  test("leaves out a test that nobody waits for any more, and nothing else however old", () => {
    const old = (agoMs: number): [number, number, number] => [mark(agoMs), 0, NOW - agoMs];
    const only = (reasons: OwedRow["reasons"]) => nextRing([row("a", null, 0, { reasons })], [], timing());
    expect(only({ test: old(TEST_STALE_MS) })?.reason).toBe("test");
    expect(only({ test: old(TEST_STALE_MS + 1) })).toBeNull();
    for (const key of ["calendar", "folder", "resubscribe:inbox", "changed", "mail"]) {
      expect(only({ [key]: old(30 * 24 * 3_600_000) })).not.toBeNull();
    }
  });

  test("is one that may go out rather than a more pressing one that has to wait", () => {
    let pace = UNPACED;
    for (let rings = 0; rings < 3; rings += 1) pace = paceAfter(pace, "apns", "wake", NOW);
    const reasons = { "resubscribe:inbox": [mark(), 0, NOW], mail: [mark(), 0, NOW] } as const;
    const rows = [row("a", 5, mark(), { reasons })];
    expect(nextRing(rows, [], timing({ pace }))).toMatchObject({ reason: "mail", at: NOW });
    const rung = [row("a", 5, mark(), { reasons: { "resubscribe:inbox": [mark(), 0, NOW] } })];
    expect(nextRing(rung, [ring("a", 1, { feed: "a", mark: mark() })], timing({ pace }))).toMatchObject({
      reason: "resubscribe",
      at: allowedAt(pace, "apns", "wake", NOW),
    });
  });
});
