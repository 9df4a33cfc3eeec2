import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { badge, begin, change, folder, id, keyring, openTestStore, register, settlement } from "./helpers.ts";

const queue = { app: "com.example.mail", platform: "apns" } as const;
type Fixture = Awaited<ReturnType<typeof openTestStore>>;
let f: Fixture;
beforeEach(async () => {
  f = await openTestStore();
});
afterEach(async () => {
  await f.close();
});

describe("what is owed", () => {
  test("is only the newest badge, and the ring for it is the same on every try", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 3, f.time.now);
    await badge(f.store, 1, 4, f.time.now);
    expect(f.due.map((news) => news.registrationId)).toEqual([id(1), id(1)]);
    const first = await begin(f.store, 1);
    expect(first).toMatchObject({ badge: 4, reason: "mail", token: "aa11", attempt: 0 });
    await f.store.settle([settlement(first!, "again", f.time.now, { notBefore: f.time.now + 1000 })]);
    expect(await begin(f.store, 1)).toBeUndefined();
    f.time.now += 1000;
    await f.reopen();
    const second = await begin(f.store, 1);
    expect(second).toMatchObject({ badge: 4, attempt: 1, apnsId: first!.apnsId });
    await f.store.settle([settlement(second!, "done", f.time.now)]);
    expect(await begin(f.store, 1)).toBeUndefined();
    expect(await f.store.nextDueAt(queue, 0)).toBeNull();
    expect((await f.store.read([id(1)]))[0]?.lastRing).toMatchObject({ outcome: "accepted", attempts: 2 });
  });

  test("survives a restart and is listed oldest first", async () => {
    for (const n of [1, 2, 3]) await register(f.store, n, `aa0${n}`, f.time.now);
    for (const n of [2, 1, 3]) {
      f.time.now += 10;
      await badge(f.store, n, n, f.time.now);
    }
    await f.reopen();
    expect(await f.store.due(queue, f.time.now, 10)).toEqual([id(2), id(1), id(3)]);
    expect(await f.store.due(queue, f.time.now, 2)).toEqual([id(2), id(1)]);
    expect((await f.store.counts(f.time.now)).owed).toBe(3);
  });

  test("becomes due again when a newer badge arrives while the older one is in flight", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 1, f.time.now);
    const flight = await begin(f.store, 1);
    await badge(f.store, 1, 2, f.time.now);
    f.due.length = 0;
    await f.store.settle([settlement(flight!, "done", f.time.now)]);
    expect(f.due).toEqual([{ registrationId: id(1), queue, at: f.time.now, origin: null }]);
    const next = await begin(f.store, 1);
    expect(next).toMatchObject({ badge: 2, reason: "mail" });
    expect(next!.apnsId).not.toBe(flight!.apnsId);
  });

  test("is a change, not new mail, when only the count moved", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 0, f.time.now, false);
    expect(await begin(f.store, 1)).toMatchObject({ badge: 0, reason: "changed" });
  });

  test("is rung one reason at a time, most pressing first, and a calendar ring leaves the badge alone", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await change(f.store, id(1), {
      badge: { count: 7, eventAt: f.time.now },
      reasons: [
        { reason: "calendar" },
        { reason: "mail" },
        { reason: "changed" },
        { reason: "test" },
        { reason: "resubscribe", folder: "inbox" },
      ],
    });
    const seen: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      const ring = await begin(f.store, 1);
      if (ring === undefined) break;
      seen.push([ring.reason, ring.folder, ring.badge]);
      await f.store.settle([settlement(ring, "done", f.time.now)]);
    }
    expect(seen).toEqual([
      ["test", null, null],
      ["resubscribe", "inbox", null],
      ["mail", null, 7],
      ["calendar", null, null],
    ]);
  });

  test("is kept for a registration that is not here yet, and rung once it arrives", async () => {
    await badge(f.store, 1, 5, f.time.now);
    expect(await begin(f.store, 1)).toBeUndefined();
    expect(f.due).toEqual([]);
    await register(f.store, 1, "aa11", f.time.now);
    expect(await begin(f.store, 1)).toMatchObject({ badge: 5 });
  });

  test("waits for its next try, whatever news joins it meanwhile", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 1, f.time.now);
    const ring = await begin(f.store, 1);
    await f.store.settle([
      settlement(ring!, "again", f.time.now, { notBefore: f.time.now + 60_000, counts: false }),
    ]);
    f.due.length = 0;
    await badge(f.store, 1, 2, f.time.now);
    expect(f.due.map(({ at }) => at)).toEqual([f.time.now + 60_000]);
    expect(await f.store.nextDueAt(queue, 0)).toBe(f.time.now + 60_000);
    f.time.now += 60_000;
    expect(await begin(f.store, 1)).toMatchObject({ badge: 2, attempt: 0 });
  });
});

test("a new token is rung at once, whatever wait and tries the old one had come to", async () => {
  const { store, time, close } = await openTestStore();
  await register(store, 1, "token-a", time.now);
  await badge(store, 1, 3, time.now);
  const refused = await begin(store, 1);
  await store.settle([settlement(refused!, "again", time.now, { notBefore: time.now + 6 * 3_600_000 })]);
  time.now += 1_000;
  await register(store, 1, "token-a", time.now, 2);
  expect(await begin(store, 1)).toBeUndefined();
  await register(store, 1, "token-b", time.now, 3);
  expect(await begin(store, 1)).toMatchObject({ token: "token-b", badge: 3, attempt: 0 });
  await close();
});

describe("a new token that the other node of a pair registered", () => {
  const rung = async ({ store, time }: Awaited<ReturnType<typeof openTestStore>>, n: number) => {
    const ring = await begin(store, n);
    if (ring !== undefined) await store.settle([settlement(ring, "done", time.now)]);
    return ring ?? null;
  };

  test.each(["before", "after"])(
    "gets the badge that the old one was rung with %s the node that rings knew of it",
    async (when) => {
      const [active, passive] = [await openTestStore(), await openTestStore()];
      const send = async (from: typeof active, to: typeof active) =>
        to.store.merge(await from.store.rowsAfter(0, 1_000));
      await register(active.store, 1, "token-a", active.time.now);
      await badge(active.store, 1, 3, active.time.now);
      if (when === "after") await send(active, passive);
      expect(await rung(active, 1)).toMatchObject({ token: "token-a", badge: 3 });
      if (when === "before") await send(active, passive);
      passive.time.now += 1_000;
      await register(passive.store, 1, "token-b", passive.time.now, 2);
      await send(passive, active);
      active.time.now += 1_000;
      expect(await rung(active, 1)).toMatchObject({ token: "token-b", badge: 3, reason: "changed" });
      expect(await rung(active, 1)).toBeNull();
      await send(active, passive);
      passive.time.now += 1_000;
      expect(await rung(passive, 1)).toBeNull();
      await active.close();
      await passive.close();
    },
  );

  test("does not wait for what the provider said of the old one", async () => {
    const [active, passive] = [await openTestStore(), await openTestStore()];
    await register(active.store, 1, "token-a", active.time.now);
    await badge(active.store, 1, 3, active.time.now);
    await passive.store.merge(await active.store.rowsAfter(0, 1_000));
    const refused = await begin(active.store, 1);
    const notBefore = active.time.now + 6 * 3_600_000;
    await active.store.settle([settlement(refused!, "again", active.time.now, { notBefore })]);
    passive.time.now += 1_000;
    await register(passive.store, 1, "token-b", passive.time.now, 2);
    active.time.now += 1_000;
    await active.store.merge(await passive.store.rowsAfter(0, 1_000));
    expect(await begin(active.store, 1)).toMatchObject({ token: "token-b", badge: 3, attempt: 0 });
    await active.close();
    await passive.close();
  });
});

describe("a dead token", () => {
  test("is rung no more, and a renewed or new one gets what is still owed", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 1, f.time.now);
    const ring = await begin(f.store, 1);
    f.time.now += 1;
    await f.store.settle([settlement(ring!, "dead", f.time.now, { ends: true })]);
    expect((await f.store.read([id(1)]))[0]?.state).toMatchObject({ kind: "present", dead: "ended" });
    await badge(f.store, 1, 2, f.time.now);
    expect(await f.store.due(queue, f.time.now, 10)).toEqual([]);
    f.time.now += 1;
    await register(f.store, 1, "bb22", f.time.now, 2);
    expect((await f.store.read([id(1)]))[0]?.state).toMatchObject({ kind: "present", dead: "no" });
    expect(await begin(f.store, 1)).toMatchObject({ badge: 2, token: "bb22" });
  });

  test("says nothing about the token that replaced it while the ring was in flight", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 1, f.time.now);
    const ring = await begin(f.store, 1);
    await register(f.store, 1, "bb22", f.time.now, 2);
    await f.store.settle([settlement(ring!, "dead", f.time.now, { ends: true })]);
    expect((await f.store.read([id(1)]))[0]?.state).toMatchObject({ kind: "present", dead: "no" });
    expect(await begin(f.store, 1)).toMatchObject({ badge: 1, token: "bb22" });
  });

  test("that is replaced gets the last badge once more", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 9, f.time.now);
    const ring = await begin(f.store, 1);
    await f.store.settle([settlement(ring!, "done", f.time.now)]);
    await register(f.store, 1, "aa11", f.time.now, 2);
    expect(await begin(f.store, 1)).toBeUndefined();
    await register(f.store, 1, "bb22", f.time.now, 3);
    expect(await begin(f.store, 1)).toMatchObject({ badge: 9, reason: "changed" });
  });
});

describe("a deleted registration", () => {
  test("leaves a tombstone without token, and what was in flight does not bring it back", async () => {
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 1, f.time.now);
    const ring = await begin(f.store, 1);
    await change(f.store, id(1), { delete: { at: f.time.now } });
    await f.store.settle([settlement(ring!, "done", f.time.now)]);
    await f.reopen();
    expect((await f.store.read([id(1)]))[0]?.state).toEqual({ kind: "deleted", at: f.time.now });
    expect((await f.store.counts(f.time.now)).registrations).toEqual([]);
    expect(await f.store.due(queue, f.time.now, 10)).toEqual([]);
  });
});

test("a registration falls idle when it was not renewed, and a renewal in time keeps it", async () => {
  const day = 86_400_000;
  await register(f.store, 1, "aa11", f.time.now);
  await register(f.store, 2, "aa12", f.time.now);
  f.time.now += 50 * day;
  await register(f.store, 2, "aa12", f.time.now, 2);
  f.time.now += 20 * day;
  expect(await f.store.sweep(f.time.now, 60 * day)).toBe(1);
  const [first, second] = await f.store.read([id(1), id(2)]);
  expect(first?.state.kind).toBe("missing");
  expect(second?.state.kind).toBe("present");
});

test("a heartbeat needs no commit, is seen at once, and is written with a later one", async () => {
  await register(f.store, 1, "aa11", f.time.now);
  const heard = folder("inbox", 1, { boundGeneration: 1, lastHeardAt: f.time.now + 5 });
  await change(f.store, id(1), { folders: [heard], lazy: true });
  const seen = async () => {
    const state = (await f.store.read([id(1)]))[0]?.state;
    return state?.kind === "present" ? state.folders[0]?.lastHeardAt : null;
  };
  expect(await seen()).toBe(f.time.now + 5);
  await f.reopen();
  expect(await seen()).toBe(f.time.now + 5);
});

test("a SubscriptionId is found again and known as bound elsewhere", async () => {
  const mac = keyring.mac("subscription", "made-up");
  await register(f.store, 1, "aa11", f.time.now);
  await change(f.store, id(1), {
    folders: [folder("inbox", 1, { boundGeneration: 1, subscriptionMac: mac })],
  });
  expect(await f.store.findSubscription(mac)).toEqual({
    registrationId: id(1),
    folder: "inbox",
    generation: 1,
  });
  const elsewhere = (n: number) =>
    f.store.submit({
      registrationId: id(n),
      subscriptionMacs: [mac],
      decide: (_state, bound) => ({ result: bound.length }),
    });
  expect(await elsewhere(2)).toBe(1);
  expect(await elsewhere(1)).toBe(0);
});

test("a folder that was left out is gone and can come back with a new generation", async () => {
  await register(f.store, 1, "aa11", f.time.now);
  await change(f.store, id(1), { folders: [folder("calendar", 1)] });
  await change(f.store, id(1), { removeFolders: ["calendar"] });
  const names = async () => {
    const state = (await f.store.read([id(1)]))[0]?.state;
    return state?.kind === "present" ? state.folders.map((each) => [each.name, each.generation]) : null;
  };
  expect(await names()).toEqual([["inbox", 1]]);
  await change(f.store, id(1), { folders: [folder("calendar", 2)] });
  expect(await names()).toEqual([
    ["calendar", 2],
    ["inbox", 1],
  ]);
});

test("nobody is asked to subscribe again who has done so meanwhile, or who is heard again", async () => {
  await register(f.store, 1, "aa11", f.time.now);
  const failed = folder("inbox", 1, { boundGeneration: 1, lastHeardAt: f.time.now, failedAt: f.time.now });
  const ask = { folders: [failed], reasons: [{ reason: "resubscribe", folder: "inbox" }] } as const;
  await change(f.store, id(1), ask);
  expect(await f.store.due(queue, f.time.now, 10)).toEqual([id(1)]);
  await change(f.store, id(1), { folders: [{ ...failed, generation: 2, failedAt: null }] });
  expect(await f.store.due(queue, f.time.now, 10)).toEqual([]);
  await change(f.store, id(1), ask);
  await change(f.store, id(1), { folders: [{ ...failed, failedAt: null }] });
  expect(await f.store.due(queue, f.time.now, 10)).toEqual([]);
  // What else is owed stays owed.
  await change(f.store, id(1), { ...ask, reasons: [...ask.reasons, { reason: "mail" }] });
  await change(f.store, id(1), { folders: [{ ...failed, failedAt: null }] });
  expect(await begin(f.store, 1)).toMatchObject({ reason: "mail" });
});

test("a dead token that was registered while the clock was ahead is rung no more", async () => {
  await register(f.store, 1, "aa11", f.time.now + 345_000);
  await badge(f.store, 1, 1, f.time.now);
  const ring = await begin(f.store, 1);
  await f.store.settle([settlement(ring!, "dead", f.time.now, { ends: true })]);
  expect((await f.store.read([id(1)]))[0]?.state).toMatchObject({ kind: "present", dead: "ended" });
  expect(await f.store.due(queue, f.time.now, 10)).toEqual([]);
});
