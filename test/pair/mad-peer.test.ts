// A peer that has proved who it is and then says what cannot be: this node goes on, can be asked, and can be started again.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Hello, Json } from "../../src/pair/frames.ts";
import { readBeat } from "../../src/pair/role-beat.ts";
import { unsound } from "../../src/pair/sound-rows.ts";
import type { RawRow, Table } from "../../src/store/merge.ts";
import { register } from "../store/helpers.ts";
import { until } from "./helpers.ts";
import { createTwoNodes, type TwoNodes } from "./nodes.ts";
import { GREETING, meetAsStranger, PASSIVE, type Stranger } from "./stranger.ts";

let nodes: TwoNodes;
const met: Stranger[] = [];
beforeEach(async () => {
  nodes = await createTwoNodes();
  await nodes.a.start();
  await nodes.a.pair.wish("first");
  await until(() => nodes.a.pair.standing().role === "active", "it is active alone", 10_000);
});
afterEach(async () => {
  for (const { socket } of met.splice(0)) socket.destroy();
  await nodes.close();
});

/** Comes as bell-b, whose certificate it has. */
async function comes(state: Json, hello: Partial<Hello> = {}): Promise<Stranger> {
  const stranger = await meetAsStranger(nodes.wires[1]?.target ?? 0, nodes.b.identity, { state, ...hello });
  met.push(stranger);
  await until(
    () => stranger.frames.some((frame) => frame.kind === "hello") || stranger.isClosed,
    "it answers",
  );
  return stranger;
}

/** Raw JSON as a frame: numbers that JavaScript does not write. */
function sayRaw({ socket }: Stranger, text: string): void {
  const bytes = Buffer.from(text);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(bytes.length);
  header[0] = 0xb1;
  socket.write(Buffer.concat([header, bytes]));
}

describe("what it says of its role", () => {
  test("however long it claims to have it, this node can tell how it is", async () => {
    // That it has not been active itself since its start, or its own time would count.
    await nodes.a.stop();
    await nodes.a.start();
    const stranger = await comes({ ...PASSIVE, role: "active", epoch: 100, forMs: 1e300 });
    await until(() => nodes.a.pair.status().lastTakeover?.epoch === 100, "it is taken for the active one");
    expect(nodes.a.pair.status().lastTakeover?.at).toMatch(/^\d{4}-/);
    const forever = JSON.stringify({ ...PASSIVE, role: "active", epoch: 101 });
    sayRaw(
      stranger,
      `{"kind":"beat","number":1,"at":1,"heard":null,"state":${forever.replace('"forMs":5', '"forMs":1e999')}}`,
    );
    await until(() => nodes.a.pair.status().peer?.epoch === 101, "the next word is heard");
    expect(nodes.a.pair.status().lastTakeover?.at).toMatch(/^\d{4}-/);
  });

  test("an epoch that nobody can count beyond is none", async () => {
    expect(readBeat({ ...PASSIVE, epoch: 2 ** 40 })).toMatchObject({ epoch: 2 ** 40 });
    expect(readBeat({ ...PASSIVE, epoch: Number.MAX_SAFE_INTEGER })).toBeNull();
    const stranger = await comes({ ...PASSIVE, role: "active", epoch: Number.MAX_SAFE_INTEGER });
    await until(() => stranger.isClosed, "it is turned away");
    await nodes.a.stop();
    // It would not read its own standing any more.
    await nodes.a.start();
    expect(nodes.a.file.current.epoch).toBeLessThan(10);
  });

  test("a clock that is no time is no beat, and ends the connection", async () => {
    const stranger = await comes(PASSIVE);
    sayRaw(stranger, '{"kind":"beat","number":1,"at":1e999,"heard":{"number":1,"agoMs":0},"state":{}}');
    await until(() => stranger.isClosed, "it is ended");
    expect(nodes.a.pair.status().clockSkewMs).toBeNull();
  });

  test("a farewell without end is logged as its beginning", async () => {
    const stranger = await comes(PASSIVE);
    stranger.say({ kind: "bye", code: "mad", detail: "x".repeat(900_000) });
    await until(() => nodes.a.logged.some((line) => line.includes("mad: xxx")), "it is logged");
    expect(Math.max(...nodes.a.logged.map((line) => line.length))).toBeLessThan(2_000);
  });
});

describe("rows that cannot be", () => {
  const now = Date.now() * 1024;
  const id = Buffer.alloc(16, 7);
  const tombstone: RawRow = { id, revision: 1, created_at: 1, renewed_at: 1, deleted_at: 1, version: now };
  const owed: RawRow = {
    registration: id,
    feed: "mad",
    badge: 1,
    badge_mark: now,
    badge_event_at: 1,
    badge_seen: "{}",
    reasons: "{}",
    version: now,
  };
  const said = (table: Table, row: RawRow) => unsound([{ table, row, seq: 1 }]);

  test("are told from those that can", () => {
    expect(said("registration", tombstone)).toBeNull();
    expect(said("owed", owed)).toBeNull();
    expect(said("owed", { ...owed, badge: null, badge_mark: 0, badge_seen: '{"f":5}' })).toBeNull();
    // A reason, or a word about it, that only a newer version knows.
    expect(said("owed", { ...owed, reasons: `{"newer":[${now},0,5,"x"]}` })).toBeNull();
    for (const [table, row, column] of [
      ["registration", { ...tombstone, id: Buffer.alloc(3) }, "id"],
      ["registration", { ...tombstone, version: Number.MAX_SAFE_INTEGER }, "version"],
      ["registration", { ...tombstone, version: 1.5 }, "version"],
      ["owed", { ...owed, registration: "text" }, "registration"],
      ["owed", { ...owed, badge_mark: Number.MAX_SAFE_INTEGER }, "badge_mark"],
      ["owed", { ...owed, badge_seen: "null" }, "badge_seen"],
      ["owed", { ...owed, reasons: "{" }, "reasons"],
      ["owed", { ...owed, reasons: '{"mail":null}' }, "reasons"],
      ["owed", { ...owed, reasons: '{"mail":["a",{},[]]}' }, "reasons"],
    ] as const) {
      expect([column, said(table, row)]).toEqual([column, expect.stringContaining(`cannot be: ${column}`)]);
    }
  });

  test("are neither stored nor acknowledged, and this node goes on writing", async () => {
    const position = { feed: "of-the-mad", seq: 1, commit: "c" };
    const stranger = await comes(PASSIVE, { ...GREETING, position });
    const row = { ...tombstone, version: Number.MAX_SAFE_INTEGER };
    stranger.say({
      kind: "rows",
      after: 0,
      upTo: position,
      head: 1,
      rows: [{ table: "registration", row, seq: 1 }],
    });
    await until(() => nodes.a.logged.some((line) => line.includes("cannot be: version")), "it is told");
    expect(stranger.frames.some((frame) => frame.kind === "ack")).toBe(false);
    await register(nodes.a.store, 1, "t", Date.now());
    await nodes.a.stop();
    await nodes.a.start();
    await register(nodes.a.store, 2, "u", Date.now());
  });
});
