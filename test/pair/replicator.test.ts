// Two databases over the real link: whatever is cut, stopped, wiped or restored, both end with the same rows.
import { afterEach, expect, test } from "bun:test";
import type { ReplicaRow } from "../../src/store/feed-types.ts";
import { badge, begin, change, folder, id, register, settlement } from "../store/helpers.ts";
import { createPair, rowsOf, type TestPair, until, untilEqual } from "./helpers.ts";
import { GREETING, meetAsStranger } from "./stranger.ts";

let pair: TestPair | null = null;
afterEach(async () => {
  await pair?.close();
  pair = null;
});

async function fill(store: TestPair["a"]["store"], from: number, to: number): Promise<void> {
  const all: Promise<void>[] = [];
  for (let n = from; n <= to; n += 1) {
    all.push(register(store, n, `token-${n}`, Date.now()));
    all.push(badge(store, n, n, Date.now()));
  }
  await Promise.all(all);
}

test("an empty node is filled by the other, in pages, and says when it has everything", async () => {
  let caughtUp = 0;
  pair = await createPair({ b: { replicator: { events: { caughtUp: () => (caughtUp += 1) } } } });
  const { a, b } = pair;
  await a.start();
  await fill(a.store, 1, 700);
  await b.start();
  await untilEqual(pair);
  expect((await rowsOf(b.store)).length).toBe(2_100);
  await until(() => caughtUp === 1, "the filled node knows that it has everything");
  expect(a.newFeeds.concat(b.newFeeds)).toEqual([]);
}, 30_000);

test("what either node commits is on both before the answer, and comes to rest there", async () => {
  pair = await createPair();
  const { a, b, wires } = pair;
  await pair.start();
  for (let n = 1; n <= 20; n += 1) {
    const [here, there] = n % 2 === 0 ? [a, b] : [b, a];
    await register(here.store, n, `t-${n}`, Date.now());
    expect(await here.replicator.durableOnBoth(here.store.committedSeq())).toBe("pair");
    expect((await there.store.read([id(n)]))[0]?.state.kind).toBe("present");
  }
  await untilEqual(pair);
  expect(a.replicator.status).toMatchObject({ isProtected: true, lagRows: 0, behindRows: 0 });
  const before = [a.store.committedSeq(), b.store.committedSeq()];
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect([a.store.committedSeq(), b.store.committedSeq()]).toEqual(before);
  const passed = wires.a.passedBytes + wires.b.passedBytes;
  await register(a.store, 100, "t-100", Date.now());
  await badge(a.store, 100, 3, Date.now());
  await untilEqual(pair);
  // The rows go one way only: each node's position grew by the three rows and no further.
  expect(a.store.committedSeq()).toBe((before[0] ?? 0) + 3);
  expect(b.store.committedSeq()).toBe((before[1] ?? 0) + 3);
  expect(wires.a.passedBytes + wires.b.passedBytes - passed).toBeLessThan(20_000);
});

test("after a cut both catch up on what the other did meanwhile", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 50);
  await untilEqual(pair);
  pair.cut();
  await until(() => a.link.state.kind === "down" && b.link.state.kind === "down", "the link is down");
  await fill(a.store, 51, 400);
  await fill(b.store, 401, 700);
  await badge(a.store, 1, 11, Date.now());
  await badge(b.store, 1, 12, Date.now());
  pair.heal();
  await untilEqual(pair);
  expect((await rowsOf(a.store)).filter((row) => row.startsWith("registration")).length).toBe(700);
  expect(a.newFeeds.concat(b.newFeeds)).toEqual([]);
}, 30_000);

test("what both changed meanwhile is put together on both", async () => {
  pair = await createPair({ a: { replicator: { page: { rows: 20 } } } });
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 1);
  await untilEqual(pair);
  pair.cut();
  await until(() => a.link.state.kind === "down" && b.link.state.kind === "down", "the link is down");
  // So that the other node's row comes while this node's is still waiting to be sent.
  await fill(a.store, 2, 200);
  // Neither node's row is what comes of it: the wish is one's, what was heard is the other's.
  await change(a.store, id(1), { folders: [folder("inbox", 2)] });
  await change(b.store, id(1), {
    folders: [folder("inbox", 1, { boundGeneration: 1, lastHeardAt: Date.now() })],
  });
  pair.heal();
  await untilEqual(pair);
  const [view] = await b.store.read([id(1)]);
  expect(view?.state.kind === "present" && view.state.folders[0]).toMatchObject({
    generation: 2,
    boundGeneration: 1,
  });
});

test("a link that breaks within pages again and again still brings everything over", async () => {
  pair = await createPair({ a: { replicator: { page: { rows: 100, bytes: 6_000 } } } });
  const { a, b, wires } = pair;
  await a.start();
  await fill(a.store, 1, 1_500);
  for (const wire of [wires.a, wires.b]) wire.breakAfterBytes = 330_000;
  await b.start();
  await untilEqual(pair, 30_000);
  expect(a.states.filter((state) => state.kind === "down").length).toBeGreaterThan(1);
  expect(a.newFeeds.concat(b.newFeeds)).toEqual([]);
}, 60_000);

test("under load on both nodes every answer says pair, and both end equal", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 40);
  await untilEqual(pair);
  const words: string[] = [];
  const one = async (node: TestPair["a"], round: number) => {
    for (let n = 1; n <= 60; n += 1) {
      await badge(node.store, 1 + ((n * round) % 40), n, Date.now());
      words.push(await node.replicator.durableOnBoth(node.store.committedSeq()));
    }
  };
  await Promise.all([a, b].flatMap((node) => [1, 3, 7, 9].map((round) => one(node, round))));
  expect(words.length).toBe(480);
  expect(new Set(words)).toEqual(new Set(["pair"]));
  await untilEqual(pair);
}, 30_000);

test("when the other process is gone answers stop waiting at once, and wait again once it has caught up", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 5);
  await untilEqual(pair);
  await b.stop();
  await until(() => !a.replicator.status.isWaiting, "the peer counts as gone");
  const gone = a.states.find((state) => state.kind === "down" && state.why === "refused");
  expect(gone).toBeDefined();
  await badge(a.store, 1, 9, Date.now());
  const started = performance.now();
  expect(await a.replicator.durableOnBoth(a.store.committedSeq())).toBe("node");
  expect(performance.now() - started).toBeLessThan(50);
  expect(a.replicator.status.isProtected).toBe(false);
  await b.start();
  await untilEqual(pair);
  // Answers do not wait yet; what is acknowledged is said to be, nevertheless.
  expect(await a.replicator.durableOnBoth(a.store.committedSeq())).toBe("pair");
  await until(() => a.replicator.status.isProtected, "protected again");
});

test("when the other node falls silent an answer waits for `alone_after` and no longer", async () => {
  pair = await createPair({ a: { silentMs: 5_000 }, b: { silentMs: 5_000 } });
  const { a, wires } = pair;
  await pair.start();
  await fill(a.store, 1, 5);
  await untilEqual(pair);
  wires.a.mode = "dead";
  wires.b.mode = "dead";
  await badge(a.store, 1, 9, Date.now());
  const started = performance.now();
  expect(await a.replicator.durableOnBoth(a.store.committedSeq())).toBe("node");
  const tookMs = performance.now() - started;
  expect(tookMs).toBeGreaterThan(450);
  expect(tookMs).toBeLessThan(1_500);
  await badge(a.store, 1, 10, Date.now());
  const again = performance.now();
  expect(await a.replicator.durableOnBoth(a.store.committedSeq())).toBe("node");
  expect(performance.now() - again).toBeLessThan(50);
});

test("a database that was restored from a backup is noticed: nothing is lost and each phone is rung once more", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 20);
  await untilEqual(pair);
  await a.stop();
  a.keepCopy();
  await a.start();
  await until(() => a.link.state.kind === "up" && b.link.state.kind === "up", "up");
  await fill(a.store, 21, 40);
  await change(a.store, id(3), { delete: { at: Date.now() } });
  const ring = await begin(a.store, 1);
  await a.store.settle([settlement(ring!, "done", Date.now())]);
  await untilEqual(pair);
  // So much that the other node has forgotten by which of its commits the backup had its rows.
  for (let n = 41; n <= 45; n += 1) {
    await fill(b.store, n, n);
    await untilEqual(pair);
  }
  const feed = (await a.store.position()).feed;
  await a.stop();
  a.restoreCopy();
  await a.start();
  await until(() => a.newFeeds.length === 1, "the rollback is noticed");
  await untilEqual(pair);
  expect((await a.store.position()).feed).not.toBe(feed);
  const [deleted, late] = await a.store.read([id(3), id(35)]);
  expect(deleted?.state.kind).toBe("deleted");
  expect(late?.state.kind).toBe("present");
  expect((await begin(a.store, 1))?.badge).toBe(1);
  expect(a.newFeeds.length).toBe(1);
  expect(b.newFeeds).toEqual([]);
}, 30_000);

test("a restored database is noticed even where it has gone on to later positions by itself", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 5);
  await untilEqual(pair);
  await a.stop();
  a.keepCopy();
  await a.start();
  await fill(a.store, 6, 10);
  await untilEqual(pair);
  await a.stop();
  a.restoreCopy();
  pair.cut();
  await a.start();
  await fill(a.store, 11, 60);
  pair.heal();
  await until(() => a.newFeeds.length === 1, "the rollback is noticed");
  await untilEqual(pair);
  expect((await rowsOf(b.store)).filter((row) => row.startsWith("registration")).length).toBe(60);
}, 30_000);

test("a restart, and many commits while the link is down, are not taken for a rollback", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 5);
  await untilEqual(pair);
  pair.cut();
  for (let round = 0; round < 3; round += 1) {
    for (let n = 0; n < 40; n += 1) await badge(a.store, 1, n, Date.now());
    await a.stop();
    await a.start();
  }
  await badge(a.store, 2, 77, Date.now());
  pair.heal();
  await untilEqual(pair);
  expect(a.newFeeds.concat(b.newFeeds)).toEqual([]);
}, 30_000);

test("a wiped database is filled again, and is no reason to ring anybody", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 30);
  await fill(b.store, 31, 60);
  await untilEqual(pair);
  await a.stop();
  a.wipe();
  await a.start();
  await untilEqual(pair);
  expect((await rowsOf(a.store)).filter((row) => row.startsWith("registration")).length).toBe(60);
  expect(a.newFeeds.concat(b.newFeeds)).toEqual([]);
}, 30_000);

test("a database that is a copy of the other node's goes on under a feed of its own", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 10);
  await fill(b.store, 11, 20);
  await untilEqual(pair);
  await a.stop();
  a.keepCopy();
  await a.start();
  await b.stop();
  b.restoreCopy(a);
  await b.start();
  await until(() => b.newFeeds.length === 1, "the copy is noticed");
  await fill(a.store, 21, 30);
  await fill(b.store, 31, 40);
  await untilEqual(pair);
  expect((await a.store.position()).feed).not.toBe((await b.store.position()).feed);
  expect([a.newFeeds.length, b.newFeeds.length]).toEqual([0, 1]);
}, 30_000);

test("a newer neighbour's extra column, table and frame hurt nobody", async () => {
  pair = await createPair({
    a: {
      between: (store) => ({
        ...store,
        async page(seq, limit) {
          const page = await store.page(seq, limit);
          const rows = page.rows.map((each) => ({ ...each, row: { ...each.row, mood: "good" } }));
          return {
            ...page,
            rows: rows.concat(rows.slice(0, 1).map((each) => ({ ...each, table: "moods" as never }))),
          };
        },
      }),
    },
  });
  const { a, b } = pair;
  await pair.start();
  await until(() => b.heard.length > 0, "beats come");
  a.link.send("a-message-of-tomorrow", { some: "thing" });
  await fill(a.store, 1, 20);
  await untilEqual(pair);
  expect(b.heard).toContainEqual({ some: "thing" });
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  const settled = [a.store.committedSeq(), b.store.committedSeq()];
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect([a.store.committedSeq(), b.store.committedSeq()]).toEqual(settled);
});

function registrationAt(seq: number): ReplicaRow {
  return { table: "registration", seq, row: { id: Buffer.alloc(16, seq), version: seq } };
}

test.each([
  ["rows with a gap before them", { after: 5, upTo: { ...GREETING.position, seq: 6 } }],
  ["rows of another feed than it named", { upTo: { feed: "another", seq: 6, commit: "c" } }],
  ["rows out of order", { upTo: { ...GREETING.position, seq: 6 }, rows: [5, 4].map(registrationAt) }],
  ["rows behind the page's end", { upTo: { ...GREETING.position, seq: 6 }, rows: [7].map(registrationAt) }],
])("a peer that sends %s is left, and nothing of it is merged", async (_, wrong) => {
  pair = await createPair();
  const { a, wires } = pair;
  await a.start();
  const peer = await meetAsStranger(wires.b.target, pair.identities["bell-b"]);
  await until(() => peer.frames.some((frame) => frame.kind === "rows"), "its first page");
  peer.say({ kind: "rows", after: 0, head: 6, rows: [], ...wrong });
  await until(() => peer.frames.some((frame) => frame.kind === "bye"), "farewell");
  expect((await a.store.peerKnowledge()).cursor).toBeNull();
});

test("a node that cannot write acknowledges nothing, and takes up where it was once it can", async () => {
  let isFull = false;
  pair = await createPair({
    b: {
      between: (store) => ({
        ...store,
        merge: (rows, upTo) => (isFull ? Promise.reject(new Error("disk full")) : store.merge(rows, upTo)),
      }),
    },
  });
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 5);
  await untilEqual(pair);
  isFull = true;
  await badge(a.store, 1, 9, Date.now());
  expect(await a.replicator.durableOnBoth(a.store.committedSeq())).toBe("node");
  expect(b.logged.some((line) => line.includes("cannot be stored"))).toBe(true);
  isFull = false;
  await untilEqual(pair);
  await until(() => a.replicator.status.isProtected, "protected again");
});

test("clocks that are minutes apart are measured, and both still end equal", async () => {
  pair = await createPair({ a: { aheadMs: 600_000 } });
  const { a, b } = pair;
  await pair.start();
  await fill(a.store, 1, 10);
  await fill(b.store, 11, 20);
  for (let n = 1; n <= 5; n += 1) {
    await badge(a.store, 1, n, Date.now());
    await a.replicator.durableOnBoth(a.store.committedSeq());
    await badge(b.store, 1, n * 10, Date.now());
    await b.replicator.durableOnBoth(b.store.committedSeq());
  }
  await untilEqual(pair);
  expect((await begin(b.store, 1))?.badge).toBe(50);
  await until(() => a.link.skewMs !== null && b.link.skewMs !== null, "the skew is measured");
  expect(Math.abs((a.link.skewMs ?? 0) + 600_000)).toBeLessThan(1_000);
  expect(Math.abs((b.link.skewMs ?? 0) - 600_000)).toBeLessThan(1_000);
  expect(b.logged.some((line) => line.includes("clocks of the two nodes are apart"))).toBe(true);
});
