// The life of a subscription under any course of events: posts, errors, wishes of the app, outages of this node, and
// looks once a minute, through the very decisions that the product takes.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { decide } from "../../src/exchange/decide.ts";
import { createHeardTimes } from "../../src/exchange/heard-times.ts";
import { type Heard, hear } from "../../src/exchange/meaning.ts";
import { parseNotification } from "../../src/exchange/notification.ts";
import { decideLook, isLost, quietLimitMs } from "../../src/exchange/watch.ts";
import { renewFolder } from "../../src/registration/folder.ts";
import type { Wish } from "../../src/registration/wish.ts";
import { folderState } from "../../src/store/folder-state.ts";
import type { Change, Folder } from "../../src/store/types.ts";
import { folder, id, keyring } from "../store/helpers.ts";
import { newMail, presentState, write } from "./helpers.ts";

const MINUTE = 60_000;
const START = 1_760_000_000_000;
const ACTIVE = { active: true, alone: false };

type Step =
  | { readonly kind: "pass"; readonly minutes: number }
  | { readonly kind: "post"; readonly what: "status" | "mail" | "malformed"; readonly older: boolean }
  | { readonly kind: "error"; readonly older: boolean }
  | { readonly kind: "new_subscription" }
  | { readonly kind: "outage"; readonly minutes: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), minutes: fc.integer({ min: 1, max: 90 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("post" as const),
      what: fc.constantFrom("status" as const, "mail" as const, "malformed" as const),
      older: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("error" as const), older: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: "new_subscription" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("outage" as const), minutes: fc.integer({ min: 1, max: 90 }) }),
  },
);

function body(what: "status" | "mail" | "malformed" | "error", watermark: number): readonly Heard[] | null {
  if (what === "malformed") return null;
  const messages = {
    status: { events: [{ kind: "status" as const, watermark: `w${watermark}` }] },
    mail: { events: newMail("inbox-id", 1, `w${watermark}`) },
    error: { error: "ErrorReadEventsFailed" },
  };
  const parsed = parseNotification(write([messages[what]]));
  if (parsed.kind === "malformed") throw new Error(parsed.why);
  return hear(parsed.messages, keyring);
}

/** Lives through the steps and checks, after each look and each event, what must always hold. Gives the number of asks. */
function live(frequency: number, steps: readonly Step[]): number {
  const wish = { revision: 0, folders: [] } as unknown as Wish;
  const wished = {
    name: "inbox",
    kind: "inbox" as const,
    folderMac: null,
    newSubscription: true,
    subscription: null,
  };
  const name = { registrationId: id(1), name: "inbox" };
  const times = createHeardTimes([1, 2]);
  let minute = 0;
  let current: Folder = folder("inbox", 1, { statusFrequencyMinutes: frequency });
  let listeningSince = 0;
  // The model: when this folder was heard or asked for, and when the phone was asked, in minutes.
  let soundAt = 0;
  let asks: number[] = [];
  let asked = 0;
  let lastAsk = Number.NEGATIVE_INFINITY;
  let watermark = 0;
  const limit = quietLimitMs(frequency, false) / MINUTE;
  const now = () => START + minute * MINUTE;
  const state = () => presentState([current], { revision: current.generation });
  const apply = (change: Change | undefined) => {
    current = change?.folders?.[0] ?? current;
    for (const { reason } of change?.reasons ?? []) {
      if (reason !== "resubscribe") continue;
      expect(minute - lastAsk).toBeGreaterThanOrEqual(15);
      if (asks.length > 0) expect(minute - lastAsk).toBeGreaterThanOrEqual(60);
      expect(["silent", "failed", "ended"]).toContain(folderState(current));
      lastAsk = minute;
      asks.push(minute);
      asked += 1;
      expect(asks.length).toBeLessThanOrEqual(17);
    }
  };

  function look(): void {
    const atMs = minute * MINUTE;
    const heardAt = times.lastHeard(name, current.generation, atMs);
    times.endLook();
    const quietMs = atMs - Math.max(heardAt, listeningSince * MINUTE);
    const before = folderState(current);
    const lost = isLost({ folder: current, quietMs, serverQuietMs: 0 }, ACTIVE) ? [current] : [];
    apply(decideLook(state(), { lost, mayAsk: true, nowMs: now(), rings: () => true }).change);
    const after = folderState(current);
    const quiet = minute - Math.max(soundAt, listeningSince);
    if (before !== "silent" && after === "silent") expect(quiet).toBeGreaterThanOrEqual(limit);
    // A look later at the latest: what is first seen by a look is timed from there.
    if (quiet >= limit + 1) expect(["silent", "failed", "ended"]).toContain(after);
    if (after !== "live" && after !== "expected" && minute - lastAsk >= 15 && asks.length === 0) {
      throw new Error("a phone with a lost subscription was not asked");
    }
  }

  look();
  for (const each of steps) {
    const generation = current.generation - ("older" in each && each.older ? 1 : 0);
    switch (each.kind) {
      case "pass":
        for (let passed = 0; passed < each.minutes; passed += 1) {
          minute += 1;
          look();
        }
        break;
      case "outage":
        minute += each.minutes;
        listeningSince = minute;
        look();
        break;
      case "new_subscription":
        current = renewFolder(
          { ...wish, revision: current.generation + 1 },
          wished,
          current,
          false,
          frequency,
        );
        expect(folderState(current)).toBe("expected");
        soundAt = minute;
        asks = [];
        look();
        break;
      case "post":
      case "error": {
        watermark += 1;
        const heard = body(each.kind === "error" ? "error" : each.what, watermark);
        const capability = { registrationId: id(1), folder: "inbox", generation };
        const { change, result } = decide(state(), {
          capability,
          heard,
          nowMs: now(),
          mayEnd: true,
          mayAsk: true,
          rings: () => true,
        });
        const isEnded = generation <= current.endedGeneration || generation < current.boundGeneration;
        const isNewest = generation === current.generation;
        if (result.lives) {
          times.heard(name, minute * MINUTE);
          soundAt = minute;
        }
        expect(result.lives).toBe(each.kind === "post" && !isEnded);
        if (isNewest && each.kind === "post" && each.what !== "malformed") asks = [];
        apply(change);
        if (isNewest && each.kind === "post" && each.what !== "malformed") {
          expect(folderState(current)).toBe("live");
          expect(current.asks).toBe(0);
        }
        if (isNewest && each.kind === "error") expect(folderState(current)).toBe("failed");
        break;
      }
    }
  }
  return asked;
}

test("no subscription is called silent too early, none is left silent, and no phone is asked too often", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 5, 15, 30),
      fc.array(step, { minLength: 1, maxLength: 40 }),
      (frequency, steps) => void live(frequency, steps),
    ),
    { numRuns: 400 },
  );
});

test("a subscription that is heard once in each status frequency is never asked for, however long", () => {
  for (const frequency of [1, 15, 30]) {
    const steps: Step[] = [{ kind: "post", what: "status", older: false }];
    for (let n = 0; n < 200; n += 1) {
      steps.push({ kind: "pass", minutes: frequency }, { kind: "post", what: "status", older: false });
    }
    expect(live(frequency, steps)).toBe(0);
  }
});
