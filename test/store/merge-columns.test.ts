// Rows that two versions have written, merged: what only the newer one knows is not lost by way of the older one.
import { expect, test } from "bun:test";
import { mergeRows, type RawRow, REPLICATED } from "../../src/store/merge.ts";

const ID = Buffer.alloc(16, 1);
const written: RawRow = {
  id: ID,
  registration: ID,
  feed: "feed-a",
  name: "inbox",
  revision: 7,
  renewed_at: 7,
  generation: 7,
  bound_generation: 7,
  last_heard_at: 7,
  subscription_mac: null,
  server_mac: null,
  watermark_mac: null,
  ended_generation: 0,
  removed_revision: null,
  count: 7,
  version: 7,
};

for (const table of REPLICATED.filter((each) => each !== "owed")) {
  for (const value of ["text", "", 5, 0, -5, Buffer.from([0]), Buffer.alloc(0)]) {
    test(`a value of a new column of ${table} goes before none: ${JSON.stringify(value)}`, () => {
      const [full, emptied] = [
        { ...written, shade: value, seq: 1 },
        { ...written, shade: null, seq: 2 },
      ];
      // As the older version's own migration left it, and as the older version sends it.
      for (const lesser of [emptied, written]) {
        expect(mergeRows(table, lesser, full).shade ?? null).toEqual("shade" in lesser ? value : null);
        expect(mergeRows(table, full, lesser)).toBe(full);
      }
    });
  }

  test(`an empty value of ${table} that is later goes before an older one`, () => {
    const emptied = { ...written, shade: null, version: 8 };
    expect(mergeRows(table, { ...written, shade: "text" }, emptied).shade).toBeNull();
  });
}

test("two rows of one version merge to the same one on either node, whichever columns each has", () => {
  const rows: readonly RawRow[] = [
    { ...written, locale: "de" },
    { ...written, locale: "en" },
    { ...written, locale: null },
    { ...written, locale: "en", shade: "text" },
    { ...written, locale: "fr", shade: 3 },
    { ...written, locale: "", shade: null },
  ];
  for (const one of rows) {
    for (const two of rows) {
      const [here, there] = [mergeRows("registration", one, two), mergeRows("registration", two, one)];
      const common = Object.keys(one).filter((column) => column in two);
      for (const column of common) expect(here[column]).toEqual(there[column] ?? null);
    }
  }
});
