// The gauges that count rows: fresh enough, not counted for each scrape, and never a leftover of what is gone.
import { beforeEach, expect, test } from "bun:test";
import { type Counts, createGauges } from "../../src/ops/gauges.ts";
import { createMetrics } from "../../src/ops/metrics.ts";

const EMPTY: Counts = { registrations: [], notRung: 0, subscriptions: {}, owed: 0, owedOldestSince: null };

let now: number;
let counts: Counts;
let asked: number;
let failing: boolean;
let takesMs: number;
let metrics: ReturnType<typeof createMetrics>;
let gauges: ReturnType<typeof createGauges>;

beforeEach(() => {
  now = 1_000_000;
  counts = EMPTY;
  asked = 0;
  failing = false;
  takesMs = 0;
  metrics = createMetrics({ version: "0", commit: "0" });
  gauges = createGauges(
    metrics,
    async () => {
      asked += 1;
      now += takesMs;
      if (failing) throw new Error("the disk is gone");
      return counts;
    },
    () => now,
  );
});

const shown = async (start: string) =>
  (await metrics.registry.metrics()).split("\n").filter((line) => line.startsWith(`inboxbell_${start}`));

test("show what the store counts, and how old the oldest debt is in seconds", async () => {
  counts = {
    registrations: [
      { app: "a", platform: "apns", count: 2 },
      { app: "a", platform: "fcm", count: 3 },
    ],
    notRung: 1,
    subscriptions: { live: 4, silent: 1 },
    owed: 2,
    owedOldestSince: now - 90_000,
  };
  await gauges.refresh();
  expect(await shown("registrations{")).toEqual([
    'inboxbell_registrations{app="a",platform="apns"} 2',
    'inboxbell_registrations{app="a",platform="fcm"} 3',
  ]);
  expect(await shown("registrations_not_rung")).toEqual(["inboxbell_registrations_not_rung 1"]);
  expect(await shown("subscriptions{")).toEqual([
    'inboxbell_subscriptions{state="live"} 4',
    'inboxbell_subscriptions{state="silent"} 1',
  ]);
  expect(await shown("owed")).toEqual(["inboxbell_owed 2", "inboxbell_owed_oldest_seconds 90"]);
});

test("share one count among scrapes within five seconds, however many ask at once", async () => {
  await Promise.all([gauges.refresh(), gauges.refresh(), gauges.counts()]);
  now += 5_000;
  await gauges.refresh();
  expect(asked).toBe(1);
  now += 1;
  await gauges.refresh();
  expect(asked).toBe(2);
});

test("a count that took long is shared for twenty times as long, a minute at most", async () => {
  takesMs = 600;
  await gauges.refresh();
  now += 12_000 - takesMs;
  await gauges.refresh();
  expect(asked).toBe(1);
  now += 1;
  // As if the clock had been set while it counted.
  takesMs = 3_600_000;
  await gauges.refresh();
  expect(asked).toBe(2);
  now += 60_001;
  takesMs = 0;
  await gauges.refresh();
  expect(asked).toBe(3);
});

test("go on after the clock was set back", async () => {
  await gauges.refresh();
  now -= 3_600_000;
  counts = { ...EMPTY, owed: 1, owedOldestSince: now + 60_000 };
  await gauges.refresh();
  expect(asked).toBe(2);
  expect(await shown("owed")).toEqual(["inboxbell_owed 1", "inboxbell_owed_oldest_seconds 0"]);
});

test("forget an app and a state that there are no more", async () => {
  counts = {
    ...EMPTY,
    registrations: [{ app: "old", platform: "fcm", count: 1 }],
    subscriptions: { failed: 1 },
  };
  await gauges.refresh();
  now += 10_000;
  counts = EMPTY;
  await gauges.refresh();
  expect(await shown("registrations{")).toEqual([]);
  expect(await shown("subscriptions{")).toEqual([]);
});

test("age a debt between two counts", async () => {
  counts = { ...EMPTY, owed: 1, owedOldestSince: now };
  await gauges.refresh();
  now += 4_000;
  await gauges.refresh();
  expect([asked, await shown("owed_oldest")]).toEqual([1, ["inboxbell_owed_oldest_seconds 4"]]);
});

test("ask the store again at once after it could not be counted", async () => {
  failing = true;
  expect(gauges.refresh()).rejects.toThrow("the disk is gone");
  await Bun.sleep(0);
  failing = false;
  counts = { ...EMPTY, owed: 5, owedOldestSince: now };
  await gauges.refresh();
  expect(await shown("owed ")).toEqual(["inboxbell_owed 5"]);
});
