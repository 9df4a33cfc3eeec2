// The store as the rooms see it in a pair: an answer comes when both nodes have what it rests on, and says so.
import { afterEach, expect, test } from "bun:test";
import { createPairedStore } from "../../src/pair/paired-store.ts";
import type { Change, Durability, Store } from "../../src/store/types.ts";
import { badge, folder, id, register } from "../store/helpers.ts";
import { createPair, type TestNode, type TestPair } from "./helpers.ts";

let pair: TestPair | null = null;
afterEach(async () => {
  await pair?.close();
  pair = null;
});

const paired = (node: TestNode): Store => createPairedStore(node.store, node.replicator);

async function submit(store: Store, n: number, change: Change | null): Promise<Durability | null> {
  let word: Durability | null = null;
  await store.submit({
    registrationId: id(n),
    decide: () => (change === null ? { result: null } : { change, result: null }),
    onDurable: (durability) => {
      word = durability;
    },
  });
  return word;
}

const mail = (count: number): Change => ({
  badge: { count, eventAt: Date.now() },
  reasons: [{ reason: "mail" }],
});

test("when the answer says pair the other node has it, on either node", async () => {
  pair = await createPair();
  const { a, b } = pair;
  await pair.start();
  await register(a.store, 1, "t", Date.now());
  for (const [here, there] of [
    [a, b],
    [b, a],
  ] as const) {
    for (let n = 1; n <= 10; n += 1) {
      expect(await submit(paired(here), 1, mail(n))).toBe("pair");
      const rows = await there.store.rowsAfter(0, 100);
      const { feed } = await here.store.position();
      expect(rows.find(({ table, row }) => table === "owed" && row.feed === feed)?.row.badge).toBe(n);
    }
  }
});

test("a repeat and a read wait for what they rest on; what is lazy waits for nothing", async () => {
  pair = await createPair({ a: { silentMs: 5_000 }, b: { silentMs: 5_000 } });
  const { a, wires } = pair;
  await pair.start();
  await register(a.store, 1, "t", Date.now());
  expect(await submit(paired(a), 1, mail(1))).toBe("pair");
  for (const wire of [wires.a, wires.b]) wire.mode = "dead";
  await badge(a.store, 1, 2, Date.now());
  const lazy = submit(paired(a), 1, { folders: [folder("inbox", 1, { lastHeardAt: 5 })], lazy: true });
  const started = performance.now();
  expect(await lazy).toBeNull();
  expect(performance.now() - started).toBeLessThan(100);
  const repeat = submit(paired(a), 1, null);
  let word: Durability | null = null;
  const read = paired(a).read([id(1)], (durability) => {
    word = durability;
  });
  expect([await repeat, (await read)[0]?.state.kind, word]).toEqual(["node", "present", "node"] as never);
  expect(performance.now() - started).toBeGreaterThan(300);
});

test("a hundred answers wait together, not one after the other", async () => {
  let pages = 0;
  pair = await createPair({
    b: {
      between: (store) => ({
        ...store,
        merge(rows, upTo) {
          if (rows.length > 0) pages += 1;
          return store.merge(rows, upTo);
        },
      }),
    },
  });
  const { a } = pair;
  await pair.start();
  await Promise.all(Array.from({ length: 100 }, (_, n) => register(a.store, n, `t${n}`, Date.now())));
  await a.replicator.durableOnBoth(a.store.committedSeq());
  pages = 0;
  const words = await Promise.all(Array.from({ length: 100 }, (_, n) => submit(paired(a), n, mail(n))));
  expect(new Set(words)).toEqual(new Set(["pair"]));
  expect(pages).toBeLessThan(20);
});

test("an answer that waits is let go when the node stops", async () => {
  pair = await createPair({
    a: { silentMs: 5_000, replicator: { aloneAfterMs: 60_000 } },
    b: { silentMs: 5_000 },
  });
  const { a, wires } = pair;
  await pair.start();
  await register(a.store, 1, "t", Date.now());
  for (const wire of [wires.a, wires.b]) wire.mode = "dead";
  const answer = submit(paired(a), 1, mail(1));
  await new Promise((resolve) => setTimeout(resolve, 50));
  a.replicator.stop();
  expect(await answer).toBe("node");
});
