// What `status` tells of the rings: since when a queue is paused, what to do, and when a provider accepted one last.
import { beforeEach, expect, test } from "bun:test";
import { hintFor } from "../../src/delivery/hints.ts";
import type { Pause } from "../../src/delivery/lane.ts";
import type { RingLog } from "../../src/delivery/ring-log.ts";
import { createRingMemory, type RingMemory } from "../../src/delivery/ring-memory.ts";
import type { Queue, Ring } from "../../src/store/types.ts";

const APPLE: Queue = { app: "a", platform: "apns" };
const KEY: Pause = { why: "configuration", reason: "InvalidProviderToken", probeAt: 0, probes: 0 };
const AWAY: Pause = { why: "unreachable", reason: "ECONNREFUSED", probeAt: 0, probes: 0 };

let now: number;
let told: string[];
let memory: RingMemory;
beforeEach(() => {
  now = 1000;
  told = [];
  const note = (what: string) => () => void told.push(what);
  const ringLog: RingLog = {
    rang: note("rang"),
    pauseChanged: note("pauseChanged"),
    pauseGone: note("pauseGone"),
    renewed: note("renewed"),
    stalled: note("stalled"),
    stallEnded: note("stallEnded"),
    senderReplaced: note("senderReplaced"),
    storeFailed: note("storeFailed"),
    defect: note("defect"),
  };
  memory = createRingMemory(ringLog, () => now);
});

test("a pause keeps its beginning while its reason changes, and is forgotten when it ends", () => {
  memory.pauseChanged(APPLE, null, AWAY);
  now = 5000;
  memory.pauseChanged(APPLE, AWAY, KEY);
  expect(memory.pauses()).toEqual([
    { app: "a", provider: "apns", reason: KEY.reason, hint: hintFor(KEY), since: 1000 },
  ]);
  memory.pauseChanged(APPLE, KEY, null);
  expect(memory.pauses()).toEqual([]);
  memory.pauseChanged(APPLE, null, AWAY);
  expect(memory.pauses()[0]?.since).toBe(5000);
  memory.pauseGone(APPLE, AWAY);
  expect(memory.pauses()).toEqual([]);
  expect(told).toEqual(["pauseChanged", "pauseChanged", "pauseChanged", "pauseChanged", "pauseGone"]);
});

test("a provider is not tried yet, or tried in vain, or has accepted a ring", () => {
  const ring = { app: "a", platform: "apns" } as Ring;
  const times = () => memory.times(["apns", "fcm"]);
  expect(times()).toEqual([
    { provider: "apns", triedAt: null, acceptedAt: null },
    { provider: "fcm", triedAt: null, acceptedAt: null },
  ]);
  memory.rang(ring, { kind: "unreachable", reason: "ECONNREFUSED", retryAfterMs: null }, null);
  expect(times()[0]).toEqual({ provider: "apns", triedAt: 1000, acceptedAt: null });
  now = 2000;
  memory.rang(ring, { kind: "accepted" }, null);
  now = 3000;
  memory.rang(ring, { kind: "token_bad", reason: "BadDeviceToken" }, null);
  expect(times()[0]).toEqual({ provider: "apns", triedAt: 3000, acceptedAt: 2000 });
  expect(times()[1]?.triedAt).toBeNull();
  expect(told).toEqual(["rang", "rang", "rang"]);
});
