// What the nodes say as bytes: it arrives as it was said however it is cut in pieces, and junk ends the link, politely.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createFrameReader } from "../../src/pair/frame-reader.ts";
import { encodeFrame, type Frame, type Json, MAX_FRAME_BYTES, PROTOCOL } from "../../src/pair/frames.ts";
import { MAX_ROWS, wireBytes } from "../../src/pair/row-codec.ts";
import type { Cell } from "../../src/store/merge.ts";

const name = fc.string({ minLength: 1, maxLength: 20 });
const seq = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const position = fc.record({ feed: name, seq, commit: name });
const json = fc
  .jsonValue({ noUnicodeString: false })
  .map((value) => JSON.parse(JSON.stringify(value)) as Json);
const cell: fc.Arbitrary<Cell> = fc.oneof(
  fc.constant(null),
  fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
  fc.string({ unit: "binary" }),
  fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
);
const row = fc.record({
  table: fc.constantFrom("registration", "folder", "owed", "delivery"),
  row: fc.dictionary(
    fc
      .oneof(fc.constantFrom("id", "version", "__proto__", "toString"), name)
      .filter((column) => column !== "seq"),
    cell,
    { maxKeys: 8 },
  ),
  seq,
});
const frame = fc.oneof(
  fc.record({
    kind: fc.constant("hello"),
    major: fc.constant(PROTOCOL.major),
    minor: fc.nat(),
    node: name,
    session: name,
    position,
    cursor: fc.option(position, { nil: null }),
    feeds: fc.array(name, { maxLength: 5 }),
    state: json,
  }),
  fc.record({
    kind: fc.constant("beat"),
    number: seq,
    at: fc.integer(),
    heard: fc.option(fc.record({ number: seq, agoMs: fc.nat() }), { nil: null }),
    state: json,
  }),
  fc
    .record({
      kind: fc.constant("rows"),
      after: seq,
      upTo: position,
      head: seq,
      rows: fc.array(row, { maxLength: 6 }),
    })
    .filter((page) => page.after <= page.upTo.seq),
  fc.record({ kind: fc.constant("ack"), seq }),
  fc.record({ kind: fc.constant("message"), name, body: json }),
  fc.record({ kind: fc.constant("bye"), code: name, detail: fc.string() }),
) as fc.Arbitrary<Frame>;

/** For comparing: columns of a row may come from an object without a prototype. */
const plain = (frames: readonly Frame[]) =>
  frames.map((each) =>
    each.kind === "rows"
      ? { ...each, rows: each.rows.map((one) => ({ ...one, row: Object.entries(one.row).sort() })) }
      : each,
  );

function read(bytes: Buffer, cuts: readonly number[] = []) {
  const reader = createFrameReader();
  const frames: Frame[] = [];
  let failure: string | null = null;
  const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let from = 0;
  for (const place of places) {
    const result = reader.push(bytes.subarray(from, place));
    frames.push(...result.frames);
    failure = result.failure;
    from = place;
  }
  return { frames, failure };
}

test("whatever is said arrives as it was said, however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 12 }), (frames, cuts) => {
      const { frames: got, failure } = read(Buffer.concat(frames.map(encodeFrame)), cuts);
      expect(failure).toBeNull();
      expect(plain(got)).toEqual(plain(frames));
    }),
    { numRuns: 300 },
  );
});

test("byte by byte is no different", () => {
  const frames: Frame[] = [
    { kind: "ack", seq: 7 },
    { kind: "bye", code: "x", detail: "ü" },
  ];
  const bytes = Buffer.concat(frames.map(encodeFrame));
  expect(read(bytes, Array.from(bytes.keys())).frames).toEqual(frames);
});

describe("junk ends the stream with a reason and never throws", () => {
  test("any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 300 }), (bytes) => {
        const reader = createFrameReader();
        const { failure } = reader.push(Buffer.from(bytes));
        if (bytes[0] !== 0xb1) expect(typeof failure).toBe("string");
        if (failure !== null)
          expect(reader.push(encodeFrame({ kind: "ack", seq: 1 }))).toEqual({ frames: [], failure });
      }),
      { numRuns: 500 },
    );
  });

  test("frames with any bytes in them", () => {
    fc.assert(
      fc.property(frame, fc.nat(), fc.nat({ max: 255 }), (each, at, value) => {
        const bytes = encodeFrame(each);
        bytes[4 + (at % (bytes.length - 4))] = value;
        read(bytes);
      }),
      { numRuns: 1_000 },
    );
  });

  test("frames of any JSON", () => {
    const kinds = fc.constantFrom("hello", "beat", "rows", "ack", "message", "bye", "novel", 7);
    const keys = fc.constantFrom(
      "seq",
      "upTo",
      "rows",
      "shapes",
      "head",
      "after",
      "major",
      "heard",
      "position",
      "name",
    );
    fc.assert(
      fc.property(kinds, fc.dictionary(keys, fc.jsonValue()), (kind, fields) => {
        const text = Buffer.from(JSON.stringify({ ...fields, kind }));
        const header = Buffer.from([0xb1, 0, text.length >> 8, text.length & 255]);
        read(Buffer.concat([header, text]));
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\n\r\n"), "no frame"],
    ["a frame that is too long", Buffer.from([0xb1, 0xff, 0xff, 0xff]), "bytes"],
    ["no JSON", Buffer.from([0xb1, 0, 0, 1, 0x7b]), "no JSON"],
    ["no object", Buffer.from([0xb1, 0, 0, 2, 0x5b, 0x5d]), "no object"],
  ])("%s", (_, bytes, reason) => {
    expect(read(bytes).failure).toContain(reason);
  });

  test("JSON nested without end", () => {
    const text = Buffer.from("[".repeat(MAX_FRAME_BYTES));
    const header = Buffer.alloc(4);
    header.writeUInt32BE(text.length);
    header[0] = 0xb1;
    expect(read(Buffer.concat([header, text])).failure).toContain("no JSON");
  });

  test("more rows than a page may have", () => {
    const rows = Array.from({ length: MAX_ROWS + 1 }, (_, at) => ({
      table: "owed" as const,
      row: { a: 1 },
      seq: at,
    }));
    const upTo = { feed: "f", seq: rows.length, commit: "c" };
    const bytes = encodeFrame({ kind: "rows", after: 0, upTo, head: rows.length, rows });
    expect(read(bytes).failure).toContain("too many");
  });
});

test("a kind of frame that this version does not know is skipped, and what follows is read", () => {
  const novel = encodeFrame({ kind: "novel", of: "tomorrow" } as unknown as Frame);
  const { frames, failure } = read(Buffer.concat([novel, encodeFrame({ kind: "ack", seq: 3 })]));
  expect({ frames, failure }).toEqual({ frames: [{ kind: "ack", seq: 3 }], failure: null });
});

test("fields that this version does not know are left out", () => {
  const { frames } = read(encodeFrame({ kind: "ack", seq: 3, mood: "good" } as Frame));
  expect(frames).toEqual([{ kind: "ack", seq: 3 }]);
});

test("rows of a table that this version does not know are left out", () => {
  const upTo = { feed: "f", seq: 2, commit: "c" };
  const rows = [
    { table: "moods" as never, row: { a: 1 }, seq: 1 },
    { table: "owed" as const, row: { feed: "x" }, seq: 2 },
  ];
  const { frames } = read(encodeFrame({ kind: "rows", after: 0, upTo, head: 2, rows }));
  expect(frames[0]).toMatchObject({ rows: [rows[1]] });
});

test("a hello of another major version is understood as such, whatever else is in it", () => {
  const { frames } = read(
    encodeFrame({ kind: "hello", major: 9, minor: 1, node: "bell-b", session: "s" } as unknown as Frame),
  );
  expect(frames[0]).toMatchObject({ kind: "hello", major: 9, node: "bell-b" });
});

test("a frame that no receiver would take is not made", () => {
  const body = "x".repeat(MAX_FRAME_BYTES);
  expect(() => encodeFrame({ kind: "message", name: "big", body })).toThrow(RangeError);
});

test("the estimate by which pages are cut is near what a row takes", () => {
  const big = {
    id: Buffer.alloc(16),
    token: Buffer.alloc(300),
    name: "inbox",
    version: 1_838_601_789_828_096,
    at: null,
  };
  const rows = Array.from({ length: 50 }, (_, at) => ({ table: "folder" as const, row: big, seq: at }));
  const upTo = { feed: "f", seq: 50, commit: "c" };
  const bytes = encodeFrame({ kind: "rows", after: 0, upTo, head: 50, rows }).length;
  expect(wireBytes(big) * 50).toBeGreaterThan(bytes * 0.8);
  expect(wireBytes(big) * 50).toBeLessThan(bytes * 1.5);
});
