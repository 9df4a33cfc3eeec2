// Counts that a node heard of a registration whose row had yet to come from the other one: the inbox's own becomes the badge,
// whichever way the nodes meet.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Folder, UnplacedCount } from "../../src/store/types.ts";
import { placedCount, readUnplaced, unplacedText, withCounts } from "../../src/store/unplaced.ts";
import { badge, begin, change, folder, id, keyring, register, settlement } from "./helpers.ts";
import { type Apart, meet, openApart, WAYS } from "./meeting.ts";

const INBOX = keyring.mac("folder", "inbox");
const SUB_FOLDER = keyring.mac("folder", "a sub-folder");
const GENERATION = 10;
const AT = 1_760_000_000_000;
const count = (folderMac: Buffer, unread: number, eventAt: number): UnplacedCount => ({
  folderMac,
  count: unread,
  eventAt,
});

let apart: Apart;
beforeEach(async () => {
  apart = await openApart();
});
afterEach(() => apart.close());

type Node = Apart["a"];

/** What a node writes that knows nothing but the callback URL. */
async function hear(node: Node, unplaced: readonly UnplacedCount[]): Promise<void> {
  const guess = folder("inbox", GENERATION - 1, { boundGeneration: GENERATION, lastHeardAt: AT, unplaced });
  await change(node.store, id(1), { folders: [guess], reasons: [{ reason: "changed" }] });
}

async function put(node: Node, more: Partial<Folder> = {}): Promise<void> {
  await register(node.store, 1, "token-1", node.time.now, GENERATION);
  await change(node.store, id(1), { folders: [folder("inbox", GENERATION, { folderMac: INBOX, ...more })] });
}

async function ringAll(node: Node): Promise<(number | null)[]> {
  const badges: (number | null)[] = [];
  for (let ring = await begin(node.store, 1); ring !== undefined; ring = await begin(node.store, 1)) {
    badges.push(ring.badge);
    await node.store.settle([settlement(ring, "done", node.time.now)]);
    if (badges.length > 5) throw new Error("a ring stays owed");
  }
  return badges;
}

const foldersOf = async ({ store }: Node) => {
  const [view] = await store.read([id(1)]);
  return view?.state.kind === "present" ? view.state.folders : [];
};

describe.each(WAYS)("nodes that meet, %s:", (way) => {
  test("the inbox's count that was heard before the registration came is the badge, on either node", async () => {
    await put(apart.a);
    await hear(apart.b, [count(INBOX, 4, AT), count(SUB_FOLDER, 9, AT + 1)]);
    await meet(apart, way);
    for (const node of [apart.a, apart.b]) {
      expect(await foldersOf(node)).toMatchObject([
        { generation: GENERATION, folderMac: INBOX, unplaced: [] },
      ]);
      expect((await node.store.inspect(id(1))).badge).toMatchObject({ count: 4, isOwed: true });
      expect(await begin(node.store, 1)).toMatchObject({ badge: 4 });
    }
    expect(await ringAll(apart.b)).toEqual([4]);
    await meet(apart, way);
    expect(await ringAll(apart.a)).toEqual([]);
  });

  test("a badge of a later event stays the newest one", async () => {
    await put(apart.a);
    await badge(apart.a.store, 1, 2, AT + 5_000);
    await hear(apart.b, [count(INBOX, 4, AT)]);
    await meet(apart, way);
    for (const node of [apart.a, apart.b]) expect(await begin(node.store, 1)).toMatchObject({ badge: 2 });
  });

  test("where the app gave no folder id no count is taken: it may be a sub-folder's", async () => {
    await put(apart.a, { folderMac: null });
    await hear(apart.b, [count(SUB_FOLDER, 9, AT)]);
    await meet(apart, way);
    for (const node of [apart.a, apart.b]) {
      expect(await foldersOf(node)).toMatchObject([{ folderMac: null, unplaced: [] }]);
      expect(await begin(node.store, 1)).toMatchObject({ badge: null, reason: "changed" });
    }
  });

  test("counts of a registration that neither knows wait on both, the latest of each folder", async () => {
    await hear(apart.a, [count(INBOX, 4, AT), count(SUB_FOLDER, 1, AT)]);
    await hear(apart.b, [count(INBOX, 3, AT + 1)]);
    await meet(apart, way);
    await put(apart.a);
    await meet(apart, way);
    for (const node of [apart.a, apart.b]) expect(await begin(node.store, 1)).toMatchObject({ badge: 3 });
  });
});

test("the app's own next wish on the node that heard it places the count", async () => {
  await hear(apart.a, [count(INBOX, 4, AT)]);
  const [view] = await apart.a.store.read([id(1)]);
  const unplaced = view?.state.kind === "missing" ? (view.state.folders?.[0]?.unplaced ?? []) : [];
  await put(apart.a, { generation: GENERATION + 1, unplaced });
  expect(await begin(apart.a.store, 1)).toMatchObject({ badge: 4 });
  expect(await foldersOf(apart.a)).toMatchObject([{ unplaced: [] }]);
});

test("so many folders wait as may change in a moment, the latest ones", () => {
  const many = Array.from({ length: 20 }, (_, n) => count(keyring.mac("folder", `${n}`), n, AT + n));
  const kept = withCounts(many.slice(0, 10), many.slice(10));
  expect(kept.map((each) => each.count)).toEqual([12, 13, 14, 15, 16, 17, 18, 19]);
  expect(withCounts(kept, [count(keyring.mac("folder", "19"), 7, AT)])).toEqual(kept);
});

test("what waits is read as it was written, and nothing from what cannot be read", () => {
  const counts = [count(INBOX, 4, AT), count(SUB_FOLDER, 0, AT + 1)];
  expect(readUnplaced(unplacedText(counts))).toEqual(counts);
  expect(unplacedText([])).toBeNull();
  for (const text of [
    null,
    undefined,
    5,
    "",
    "{}",
    "[1]",
    '[["aa",1]]',
    '[["aa","1",2]]',
    "[[]",
    "[[1,2,3]]",
  ])
    expect(readUnplaced(text)).toEqual([]);
});

test("only the inbox's own count is its badge", () => {
  const unplaced = [count(SUB_FOLDER, 9, AT), count(INBOX, 4, AT)];
  expect(placedCount({ kind: "inbox", folderMac: INBOX, unplaced })).toEqual({ count: 4, eventAt: AT });
  expect(placedCount({ kind: "inbox", folderMac: null, unplaced })).toBeNull();
  expect(placedCount({ kind: "other", folderMac: INBOX, unplaced })).toBeNull();
  expect(placedCount({ kind: "inbox", folderMac: keyring.mac("folder", "third"), unplaced })).toBeNull();
});
