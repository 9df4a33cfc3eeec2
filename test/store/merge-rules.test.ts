// The merge of two rows as algebra: in either order, in any grouping and again and again, the same row comes of it.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Cell, mergeRows, type RawRow, REPLICATED, type Table } from "../../src/store/merge.ts";

const ID = Buffer.alloc(16, 1);
const RUNS = { numRuns: 500 };

// Few values, so that rows often meet in some columns and differ in others.
const small = fc.integer({ min: 0, max: 4 });
const time = fc.option(fc.integer({ min: 1, max: 4 }), { nil: null });
const mac = fc.option(
  fc.constantFrom("a", "b").map((text) => Buffer.from(text)),
  { nil: null },
);
const text = fc.option(fc.constantFrom("", "de", "en"), { nil: null });

/** A deleted, an idle or a present registration: nothing else ties one column to another. */
const registration = fc
  .record({
    end: fc.constantFrom("none", "none", "deleted", "idle"),
    endedAt: fc.integer({ min: 1, max: 4 }),
    token_mac: mac,
    subject_mac: mac,
    locale: text,
    revision: small,
    created_at: small,
    renewed_at: small,
    version: small,
  })
  .map(({ end, endedAt, ...row }): RawRow => {
    const ends = { deleted_at: end === "deleted" ? endedAt : null, idle_at: end === "idle" ? endedAt : null };
    const bare = end === "none" ? {} : { token_mac: null, subject_mac: null, locale: null };
    return { id: ID, ...row, ...bare, ...ends };
  });

/** Any row at all: nothing ties one column to another. */
const delivery = fc
  .record({
    count: small,
    badge_count: small,
    badge_mark: time,
    badge_seen: fc.constantFrom("{}", '{"feed-b":1}'),
    reason: fc.constantFrom("mail", "changed"),
    at: small,
    dead: fc.constantFrom(null, "stopped", "ended"),
    dead_token_mac: mac,
    version: small,
  })
  .map((row): RawRow => ({ registration: ID, feed: "feed-a", ...row }));

const marks = fc.tuple(fc.integer({ min: 1, max: 4 }), small, small);
/** One feed's row. Only this feed raises its badge mark, and no two badges have one mark: the mark tells the badge. */
const owed = fc
  .record({
    badge_mark: small,
    reasons: fc.dictionary(fc.constantFrom("mail", "calendar", "resubscribe:inbox"), marks, { maxKeys: 3 }),
    version: small,
  })
  .map(
    ({ badge_mark, reasons, version }): RawRow => ({
      registration: ID,
      feed: "feed-a",
      badge: badge_mark === 0 ? null : badge_mark * 10,
      badge_mark,
      badge_event_at: badge_mark === 0 ? null : 100 - badge_mark,
      badge_seen: JSON.stringify(badge_mark === 0 ? {} : { "feed-b": badge_mark }),
      reasons: JSON.stringify(sorted(reasons)),
      version,
    }),
  );

/**
 * Any folder, heard on no newer generation than the wished one. What one generation was heard with at one time is the
 * same in all rows: where both nodes heard in the same millisecond, either hearing will do.
 */
const folder = fc
  .record({
    generation: small,
    bound_generation: small,
    ended_generation: small,
    last_heard_at: time,
    failed_at: time,
    silent_at: time,
    asks: small,
    asked_at: time,
    folder_mac: mac,
    folder_learnt: fc.constantFrom(0, 1),
    removed_revision: time,
    version: small,
  })
  .map((row): RawRow => {
    const { generation, removed_revision, last_heard_at } = row;
    const bound_generation = Math.min(row.bound_generation, generation);
    const heard = last_heard_at === null ? null : Buffer.from(`${bound_generation} at ${last_heard_at}`);
    return {
      registration: ID,
      name: "inbox",
      ...row,
      bound_generation,
      subscription_mac: heard,
      server_mac: heard,
      watermark_mac: heard,
      // As the store leaves it: never of a revision that a later wish has outdone.
      removed_revision: (removed_revision ?? 0) > generation ? removed_revision : null,
    };
  });

const ROWS: Readonly<Record<Table, fc.Arbitrary<RawRow>>> = { registration, folder, owed, delivery };

function sorted<Value>(object: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What a row says. An equal row keeps its own version, which only tells how new it is. */
function said({ version: _, ...row }: RawRow): Record<string, Cell> {
  const { reasons } = row;
  return sorted(
    typeof reasons === "string" ? { ...row, reasons: JSON.stringify(sorted(JSON.parse(reasons))) } : row,
  );
}

for (const table of REPLICATED) {
  const merge = (a: RawRow, b: RawRow) => mergeRows(table, a, b);
  const rows = ROWS[table];

  test(`two rows of ${table} merge to the same one on either node`, () => {
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        expect(said(merge(a, b))).toEqual(said(merge(b, a)));
      }),
      RUNS,
    );
  });

  test(`a row of ${table} that was merged already changes nothing`, () => {
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        expect(merge(a, { ...a })).toBe(a);
        const merged = merge(a, b);
        expect(merge(merged, b)).toBe(merged);
        expect(merge(merged, a)).toBe(merged);
      }),
      RUNS,
    );
  });
}

for (const table of ["registration", "owed", "delivery"] as const) {
  const merge = (a: RawRow, b: RawRow) => mergeRows(table, a, b);
  test(`three rows of ${table} merge to the same one in whatever grouping`, () => {
    fc.assert(
      fc.property(ROWS[table], ROWS[table], ROWS[table], (a, b, c) => {
        expect(said(merge(merge(a, b), c))).toEqual(said(merge(a, merge(b, c))));
      }),
      RUNS,
    );
  });
}

type Three = readonly [RawRow, RawRow, RawRow];
const byGrouping = ([a, b, c]: Three): readonly RawRow[] => {
  const merge = (one: RawRow, two: RawRow) => mergeRows("folder", one, two);
  return [merge(merge(a, b), c), merge(a, merge(b, c)), merge(merge(a, c), b)];
};
const WISH = ["generation", "ended_generation", "removed_revision"];
const NOTED = ["folder_mac", "folder_learnt", "failed_at", "silent_at", "asks", "asked_at"];
const HEARING = ["bound_generation", "last_heard_at"];
const HEARD_BY = ["subscription_mac", "server_mac", "watermark_mac"];

/**
 * What is shown of a folder: nothing of one that is removed, nor of a hearing before the newest wish. A removal drops
 * what was heard last, and a wish that then brings the folder back begins anew.
 */
function shown(row: RawRow, kept: readonly string[], hearing: readonly string[]): Record<string, Cell> {
  const isPresent = row.removed_revision === null;
  const isHeard = isPresent && row.bound_generation === row.generation;
  const columns = [...WISH, ...(isPresent ? kept : []), ...(isHeard ? hearing : [])];
  return Object.fromEntries(columns.map((column) => [column, row[column] ?? null]));
}

test("of any three rows of a folder the newest wish, its end, the removal and the latest hearing come out", () => {
  fc.assert(
    fc.property(fc.tuple(folder, folder, folder), (three) => {
      const [one, ...others] = byGrouping(three).map((row) => shown(row, [], HEARING));
      for (const other of others) expect(other).toEqual(one!);
    }),
    RUNS,
  );
});

// A merged row has one version for its two parts, the later one: a wish that came out beside something heard later on
// an older wish looks newer than it is. So the rest is the same in whatever grouping only where a newer wish has a
// later version too, as it has wherever the nodes' clocks agree.
const three = fc
  .tuple(folder, folder, folder)
  .map((rows) =>
    rows.map((row, at): RawRow => ({ ...row, version: Number(row.generation) * rows.length + at })),
  )
  .chain((rows) => fc.shuffledSubarray(rows, { minLength: 3, maxLength: 3 }));

test("three rows of folder merge to the same one in whatever grouping, where newer wishes have later versions", () => {
  fc.assert(
    fc.property(three, ([a, b, c]) => {
      const [one, ...others] = byGrouping([a!, b!, c!]).map((row) =>
        shown(row, NOTED, [...HEARING, ...HEARD_BY]),
      );
      for (const other of others) expect(other).toEqual(one!);
    }),
    RUNS,
  );
});
