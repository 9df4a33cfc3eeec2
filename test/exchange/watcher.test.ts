// The watch over subscriptions on a real store: what it hears, what it marks, whom it asks, what it says of it.
import { afterEach, describe, expect, test } from "bun:test";
import { createWatcher, type WatcherOptions } from "../../src/exchange/watcher.ts";
import type { Capability } from "../../src/keys/types.ts";
import { createLogger } from "../../src/ops/log.ts";
import { subscriptionId } from "../../src/rehearsal/ews/ids.ts";
import { folderState } from "../../src/store/folder-state.ts";
import type { Folder } from "../../src/store/types.ts";
import { change, folder, id, keyring } from "../store/helpers.ts";
import { inbox, inboxOf, newMail, openExchange, statusOf, type WrittenMessage, write } from "./helpers.ts";

const MINUTE = 60_000;
// Less than what counts as a pause of the process itself.
const STRIDE = 10_000;

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

/** A listener and its watch on one store, and a clock that both are given. */
async function openWatch(options: Partial<WatcherOptions> = {}) {
  const time = { monotonic: 5_000, listening: { active: true, alone: false }, canAnswer: true };
  const lines: string[] = [];
  // The handler is made first; what it hears goes to the watch that is made after it.
  const hook = {
    heard: (_: Capability, __: Buffer | null) => {},
    mayAsk: (_: Buffer | null): boolean => true,
    asked: (_: Buffer | null) => {},
  };
  const rings = options.rings ?? (() => true);
  const exchange = await openExchange({
    watcher: {
      heard: (...args) => hook.heard(...(args as [Capability, Buffer | null])),
      mayAsk: (mac) => hook.mayAsk(mac),
      asked: (mac) => hook.asked(mac),
    },
    rings,
  });
  const watcher = createWatcher({
    store: exchange.store,
    keyring,
    log: createLogger("debug", "json", (line) => void lines.push(line), true),
    metrics: exchange.metrics,
    rings,
    now: () => exchange.time.now,
    monotonicNow: () => time.monotonic,
    random: () => 0.5,
    listening: () => time.listening,
    canAnswer: () => time.canAnswer,
    ...options,
  });
  hook.heard = (capability, serverMac) => watcher.heard(capability, serverMac);
  hook.mayAsk = (serverMac) => watcher.mayAsk(serverMac);
  hook.asked = (serverMac) => watcher.asked(serverMac);
  const made = {
    ...exchange,
    get store() {
      return exchange.store;
    },
    watchLines: lines,
    time: exchange.time,
    watch: time,
    watcher,
    /** Lets time pass, both clocks alike, with a look in each stride. */
    async pass(minutes: number, stride = STRIDE) {
      const end = time.monotonic + minutes * MINUTE;
      while (time.monotonic < end) {
        const by = Math.min(stride, end - time.monotonic);
        time.monotonic += by;
        exchange.time.now += by;
        await watcher.look();
      }
    },
    async stateOf(n: number, name = "inbox") {
      return folderState(await exchange.folderOf(n, name));
    },
    value: async (
      name: "resubscribeAsks" | "resubscribeGivenUp" | "exchangeServersSilent",
      label?: string,
    ) => {
      const { values } = await exchange.metrics[name].get();
      return values
        .filter(({ labels }) => label === undefined || Object.values(labels).includes(label))
        .reduce((sum, { value }) => sum + value, 0);
    },
    heartbeat: (capability: Capability, more: WrittenMessage = {}) => {
      beats += 1;
      return exchange.post(
        capability,
        write([{ events: [{ kind: "status", watermark: `w${beats}` }], ...more }]),
      );
    },
  };
  open.push({
    async close() {
      await watcher.stop();
      await exchange.close();
    },
  });
  await watcher.look();
  return made;
}
let beats = 0;

const on = (server: string, n: number) =>
  subscriptionId(server, Buffer.alloc(16, n % 256), n, Buffer.alloc(16, n % 251));
const RESUBSCRIBE = { reason: "resubscribe", badge: null, folder: "inbox" };

describe("a subscription", () => {
  test("that Exchange lost without a word is silent after twice its frequency, and its phone is rung once", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    await all.pass(31.5);
    expect(await all.stateOf(1)).toBe("live");
    expect(await all.ringAll(1)).toEqual([]);
    await all.pass(1);
    expect(await all.stateOf(1)).toBe("silent");
    expect(await all.ringAll(1)).toEqual([RESUBSCRIBE]);
    await all.pass(20);
    expect(await all.ringAll(1)).toEqual([]);
    expect(await all.value("resubscribeAsks", "silent")).toBe(1);
  });

  test("that is heard again lives, and the next loss is a new one", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    await all.pass(33);
    await all.ringAll(1);
    expect(statusOf(await all.heartbeat(inboxOf(1, 10)))).toBe("OK");
    expect(await all.folderOf(1)).toMatchObject({ silentAt: null, asks: 0 });
    await all.pass(15);
    expect(await all.stateOf(1)).toBe("live");
    await all.pass(18);
    expect(await all.stateOf(1)).toBe("silent");
    expect(await all.ringAll(1)).toEqual([RESUBSCRIBE]);
  });

  test("that is heard within its frequency is left alone, however long it lasts", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10, { statusFrequencyMinutes: 30 })]);
    for (let n = 0; n < 8; n += 1) {
      await all.heartbeat(inboxOf(1, 10));
      await all.pass(30);
    }
    expect(await all.ringAll(1)).toEqual([]);
    expect(await all.value("resubscribeAsks")).toBe(0);
  });

  test("is timed by its own frequency, and each folder of a phone by itself", async () => {
    const all = await openWatch();
    const calendar = folder("calendar", 10, { statusFrequencyMinutes: 30 });
    await all.put(1, 10, [inbox(10), calendar]);
    await all.heartbeat(inboxOf(1, 10));
    await all.heartbeat({ ...inboxOf(1, 10), folder: "calendar" }, { subscriptionId: "subscription-2" });
    await all.pass(33);
    expect(await all.stateOf(1)).toBe("silent");
    expect(await all.stateOf(1, "calendar")).toBe("live");
    await all.pass(32);
    expect(await all.stateOf(1, "calendar")).toBe("silent");
    expect((await all.ringAll(1)).map((ring) => ring.folder)).toEqual(["calendar", "inbox"]);
  });

  test("that was registered and never made is asked for too", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.pass(32.5);
    expect(await all.stateOf(1)).toBe("silent");
    expect(await all.ringAll(1)).toEqual([RESUBSCRIBE]);
    await all.pass(120);
    expect(await all.ringAll(1)).toEqual([]);
  });

  test("of a newer generation is timed from the wish for it, while the older one is still heard", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    await all.pass(14);
    await all.put(1, 20, [{ ...(await all.folderOf(1)), generation: 20 }]);
    for (let n = 0; n < 5; n += 1) {
      await all.heartbeat(inboxOf(1, 10));
      await all.pass(15);
    }
    expect(await all.stateOf(1)).toBe("expected");
    await all.pass(18);
    expect(await all.stateOf(1)).toBe("silent");
  });

  test("that ended although its registration lives is asked for", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10, { boundGeneration: 10, lastHeardAt: 1, endedGeneration: 10 })]);
    await all.watcher.look();
    expect(await all.ringAll(1)).toEqual([RESUBSCRIBE]);
    expect(await all.value("resubscribeAsks", "ended")).toBe(1);
  });

  test("is not kept from being silent by garbage and errors on an older callback URL", async () => {
    const all = await openWatch();
    await all.put(1, 20, [inbox(20)]);
    await all.heartbeat(inboxOf(1, 20));
    for (let n = 0; n < 3; n += 1) {
      await all.pass(11);
      await all.post(inboxOf(1, 10), Buffer.from("<garbage"));
      await all.post(inboxOf(1, 10), write([{ error: "ErrorReadEventsFailed" }]));
    }
    expect(await all.stateOf(1)).toBe("silent");
  });

  test("whose posts cannot be read is not called silent: somebody sends them", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    for (let n = 0; n < 5; n += 1) {
      await all.pass(15);
      await all.post(inboxOf(1, 10), Buffer.from("<no notification"));
    }
    expect(await all.stateOf(1)).toBe("live");
  });
});

describe("an error notification", () => {
  test("asks at once, and not again with each further one", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    for (let n = 0; n < 5; n += 1) {
      await all.post(inboxOf(1, 10), write([{ error: "ErrorReadEventsFailed" }]));
      await all.pass(1);
    }
    expect(await all.stateOf(1)).toBe("failed");
    expect(await all.ringAll(1)).toEqual([RESUBSCRIBE]);
    expect(await all.value("resubscribeAsks", "failed")).toBe(1);
    await all.pass(60);
    expect(await all.ringAll(1)).toEqual([RESUBSCRIBE]);
  });

  test("of an older generation asks nobody: the app has asked for a newer one", async () => {
    const all = await openWatch();
    await all.put(1, 20, [inbox(20, { boundGeneration: 10 })]);
    await all.post(inboxOf(1, 10), write([{ error: "ErrorReadEventsFailed" }]));
    expect(await all.stateOf(1)).toBe("expected");
    expect(await all.ringAll(1)).toEqual([]);
  });

  test("again and again after each new subscription rings no more than four times an hour", async () => {
    const all = await openWatch();
    let asks = 0;
    for (let round = 0; round < 25; round += 1) {
      const generation = 10 + round;
      const before = round === 0 ? inbox(10) : await all.folderOf(1);
      await all.put(1, generation, [{ ...before, generation, failedAt: null, silentAt: null, asks: 0 }]);
      await all.heartbeat(inboxOf(1, generation));
      await all.post(inboxOf(1, generation), write([{ error: "ErrorReadEventsFailed" }]));
      await all.pass(2);
      asks = await all.value("resubscribeAsks");
    }
    expect(asks).toBe(4);
  });

  test("from many subscriptions of one server at once does not ring all their phones at once", async () => {
    const all = await openWatch();
    for (let n = 1; n <= 60; n += 1) {
      await all.put(n, 10, [inbox(10)]);
      await all.post(
        inboxOf(n, 10),
        write([{ error: "ErrorReadEventsFailed", subscriptionId: on("ex01.corp.example", n) }]),
      );
    }
    expect(await all.value("resubscribeAsks")).toBe(20);
    // The watch asks the others, within its next minutes.
    await all.pass(2.5);
    expect(await all.value("resubscribeAsks")).toBe(60);
  });
});

describe("what this node did not hear because it did not listen", () => {
  async function quietFor(minutes: number) {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    await all.pass(minutes);
    return all;
  }

  test("counts for nothing after a pause of the process", async () => {
    const all = await quietFor(31);
    all.watch.monotonic += 20_000;
    all.time.now += 20_000;
    await all.pass(31.5);
    expect(await all.stateOf(1)).toBe("live");
    await all.pass(1);
    expect(await all.stateOf(1)).toBe("silent");
  });

  test("counts for nothing while the database could not be written", async () => {
    const all = await quietFor(31);
    all.watch.canAnswer = false;
    await all.pass(5);
    all.watch.canAnswer = true;
    await all.pass(31);
    expect(await all.stateOf(1)).toBe("live");
    await all.pass(1.5);
    expect(await all.stateOf(1)).toBe("silent");
  });

  test("counts for nothing while it was not the active one, which judges and asks nobody", async () => {
    const all = await quietFor(31);
    all.watch.listening = { active: false, alone: false };
    await all.pass(100);
    expect(await all.stateOf(1)).toBe("live");
    all.watch.listening = { active: true, alone: false };
    await all.pass(31);
    expect(await all.stateOf(1)).toBe("live");
    await all.pass(1.5);
    expect(await all.stateOf(1)).toBe("silent");
  });

  test("counts for nothing after a machine slept, which only the wall clock shows", async () => {
    const all = await quietFor(31);
    all.time.now += 3_600_000;
    all.watcher.clockJumped(3_600_000);
    await all.pass(31);
    expect(await all.stateOf(1)).toBe("live");
  });

  test("is not changed by a wall clock that is set by years, in either direction", async () => {
    for (const jump of [-1e11, 1e11]) {
      const all = await quietFor(20);
      all.time.now += jump;
      await all.pass(11);
      expect(await all.stateOf(1)).toBe("live");
      await all.pass(1.5);
      expect(await all.stateOf(1)).toBe("silent");
    }
  });

  test("alone is judged only while others of the same server are heard, and later", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.put(2, 10, [inbox(10)]);
    await all.put(3, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10), { subscriptionId: on("ex01.corp.example", 1) });
    await all.heartbeat(inboxOf(2, 10), { subscriptionId: on("ex01.corp.example", 2) });
    await all.heartbeat(inboxOf(3, 10), { subscriptionId: on("ex02.corp.example", 3) });
    all.watch.listening = { active: true, alone: true };
    for (let n = 0; n < 4; n += 1) {
      await all.pass(15);
      await all.heartbeat(inboxOf(2, 10), { subscriptionId: on("ex01.corp.example", 2) });
    }
    expect(await all.stateOf(1)).toBe("live");
    await all.pass(2.5);
    expect(await all.stateOf(1)).toBe("silent");
    expect(await all.stateOf(3)).toBe("live");
  });
});

describe("a phone", () => {
  test("is asked less and less often, and no more after two weeks, which is told; GET goes on to tell", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    await all.pass(33);
    let rings = (await all.ringAll(1)).length;
    for (let hour = 0; hour < 24 * 20; hour += 1) {
      // The backoff is in hours of the wall clock, so that it outlasts a restart.
      all.time.now += 3_600_000;
      await all.watcher.look();
      rings += (await all.ringAll(1)).length;
    }
    expect(rings).toBe(17);
    expect(await all.value("resubscribeGivenUp")).toBe(1);
    const told = all.watchLines.filter((line) => line.includes("not asked any more"));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(keyring.logId(id(1)));
    expect(await all.stateOf(1)).toBe("silent");
  });

  test("whose token is dead is not asked, until it has another", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.post(inboxOf(1, 10), write([{ events: newMail("f", 1, "w") }]));
    const ring = await all.nextRing(1);
    await all.store.settle([
      { ring: ring!, kind: "dead", ends: true, outcome: "Unregistered", at: all.time.now },
    ]);
    expect(statusOf(await all.heartbeat(inboxOf(1, 10)))).toBe("Unsubscribe");
    await all.pass(3);
    expect(await all.value("resubscribeAsks")).toBe(0);
    await all.put(1, 11, [await all.folderOf(1)], "another-token");
    await all.pass(0.1);
    expect(await all.value("resubscribeAsks", "ended")).toBe(1);
  });

  test("with a dead token costs the others nothing of their allowance", async () => {
    const all = await openWatch();
    const ended = inbox(10, { boundGeneration: 10, lastHeardAt: 1, endedGeneration: 10 });
    const phones = Array.from({ length: 60 }, (_, n) => n + 1);
    await Promise.all(phones.map((n) => all.put(n, 10, [ended])));
    for (const n of phones.slice(0, 20)) {
      await change(all.store, id(n), { reasons: [{ reason: "test" }] });
      const ring = await all.nextRing(n);
      await all.store.settle([
        { ring: ring!, kind: "dead", outcome: "Unregistered", at: all.time.now + 1, ends: true },
      ]);
    }
    await all.watcher.look();
    expect(await all.value("resubscribeAsks")).toBe(20);
  });

  test("is not asked about a folder that does not ring", async () => {
    const all = await openWatch({ rings: (_, kind) => kind === "inbox" });
    await all.put(1, 10, [inbox(10), folder("calendar", 10)]);
    await all.pass(33);
    expect((await all.ringAll(1)).map((each) => each.folder)).toEqual(["inbox"]);
    expect(await all.stateOf(1, "calendar")).toBe("silent");
  });

  test("that was asked before a restart of this node is not asked at once again", async () => {
    const all = await openWatch();
    await all.put(1, 10, [inbox(10)]);
    await all.heartbeat(inboxOf(1, 10));
    await all.pass(33);
    await all.ringAll(1);
    await all.reopen();
    const again = createWatcher({
      store: all.store,
      keyring,
      log: createLogger("debug", "json", () => {}),
      metrics: all.metrics,
      rings: () => true,
      now: () => all.time.now,
      monotonicNow: () => all.watch.monotonic,
      random: () => 0.5,
      listening: () => all.watch.listening,
      canAnswer: () => true,
    });
    await again.look();
    expect(await all.stateOf(1)).toBe("silent");
    expect(await all.ringAll(1)).toEqual([]);
    all.time.now += 3_600_000;
    await again.look();
    expect(await all.ringAll(1)).toEqual([RESUBSCRIBE]);
    await again.stop();
  });
});

describe("an Exchange server that forgot its subscriptions", () => {
  test("is one alarm, and its phones are asked one after the other", async () => {
    const all = await openWatch();
    const [forgetful, healthy] = [60, 10];
    const server = (n: number) => (n <= forgetful ? "ex01.corp.example" : "ex02.corp.example");
    const beat = (n: number) => all.heartbeat(inboxOf(n, 10), { subscriptionId: on(server(n), n) });
    for (let n = 1; n <= forgetful + healthy; n += 1) {
      await all.put(n, 10, [inbox(10)]);
      await beat(n);
    }
    await all.pass(20);
    for (let n = forgetful + 1; n <= forgetful + healthy; n += 1) await beat(n);
    await all.pass(11.9);
    expect(await all.value("resubscribeAsks")).toBe(0);
    await all.pass(0.2);
    const atOnce = await all.value("resubscribeAsks");
    expect(atOnce).toBeGreaterThanOrEqual(20);
    expect(atOnce).toBeLessThan(forgetful);
    await all.pass(3);
    expect(await all.value("resubscribeAsks")).toBe(forgetful);
    const alarms = all.watchLines.filter((line) => line.includes("exchange_forgot"));
    expect(alarms).toHaveLength(1);
    expect(alarms[0]).toContain(`"subscriptions":${forgetful}`);
    // The journal's priority of an error.
    expect(alarms[0]).toStartWith("<3>");
    expect(alarms[0]).not.toContain("ex01");
    expect(await all.value("exchangeServersSilent")).toBe(1);
    all.watch.monotonic += 61 * MINUTE;
    await all.watcher.look();
    expect(await all.value("exchangeServersSilent")).toBe(0);
  });
});

test("a store that cannot be asked or written ends nothing: the next look comes to it", async () => {
  let broken = true;
  const all = await openWatch();
  await all.put(1, 10, [inbox(10)]);
  const again = createWatcher({
    store: {
      walk: (after, limit) => (broken ? Promise.reject(new Error("no")) : all.store.walk(after, limit)),
      submit: (request) => all.store.submit(request),
    },
    keyring,
    log: createLogger("debug", "json", (line) => void all.watchLines.push(line), true),
    metrics: all.metrics,
    rings: () => true,
    now: () => all.time.now,
    monotonicNow: () => all.watch.monotonic,
    random: () => 0.5,
    listening: () => all.watch.listening,
    canAnswer: () => true,
  });
  await again.look();
  expect(all.watchLines.filter((line) => line.includes("could not be looked at"))).toHaveLength(1);
  broken = false;
  await again.look();
  expect(all.watchLines.filter((line) => line.includes("could not be looked at"))).toHaveLength(1);
  await again.stop();
});

test("once started it looks by itself, and stops when it is told to", async () => {
  let walks = 0;
  const all = await openWatch();
  await all.put(1, 10, [inbox(10, { statusFrequencyMinutes: 1 })]);
  const hurried = createWatcher({
    store: {
      walk: (after, limit) => {
        walks += 1;
        return all.store.walk(after, limit);
      },
      submit: (request) => all.store.submit(request),
    },
    keyring,
    log: createLogger("debug", "json", () => {}),
    metrics: all.metrics,
    rings: () => true,
    now: () => all.time.now,
    monotonicNow: () => performance.now(),
    random: Math.random,
    listening: () => all.watch.listening,
    canAnswer: () => true,
    // A minute in 10 ms.
    timeScale: 6000,
  });
  hurried.start();
  for (let n = 0; n < 200 && (await all.stateOf(1)) !== "silent"; n += 1) await Bun.sleep(10);
  expect(await all.stateOf(1)).toBe("silent");
  await hurried.stop();
  const before = walks;
  await Bun.sleep(50);
  expect(walks).toBe(before);
});

test("thousands of folders are judged a page at a time", async () => {
  const all = await openWatch();
  const folders: Folder[] = [inbox(10, { boundGeneration: 10, lastHeardAt: 1, endedGeneration: 10 })];
  await Promise.all(Array.from({ length: 600 }, (_, n) => all.put(n + 1, 10, folders)));
  await all.watcher.look();
  await all.pass(2);
  expect(await all.value("resubscribeAsks", "ended")).toBe(600);
});
