import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Pause, PauseWhy } from "../../src/delivery/lane.ts";
import type { VerdictKind } from "../../src/delivery/outcome.ts";
import {
  hearAnswer,
  lookAtQueue,
  type Sight,
  type StallState,
  type StallStep,
  WATCHING,
} from "../../src/delivery/stall.ts";

const AFTER = 120_000;
const pause = (why: PauseWhy): Pause => ({ why, reason: "r", probeAt: 0, probes: 0 });

function look(state: StallState, now: number, more: Partial<Sight> = {}): StallStep {
  return lookAtQueue(state, { pause: null, due: true, owed: true, now, stalledAfterMs: AFTER, ...more });
}

/** Looks each 15 s from `from` until `to`; gives the last state and when what was done. */
function watched(state: StallState, from: number, to: number, more: Partial<Sight> = {}) {
  let current = state;
  const done: string[] = [];
  for (let now = from; now <= to; now += 15_000) {
    const step = look(current, now, more);
    current = step.state;
    if (step.renew) done.push(`renew ${now / 1_000}`);
    if (step.alarm !== null) done.push(`${step.alarm} ${now / 1_000}`);
  }
  return { state: current, done };
}

describe("a queue whose rings are due and are not accepted", () => {
  test("gets new connections after the time, raises an alarm after another, and goes on getting new ones", () => {
    expect(watched(WATCHING, 0, 360_000).done).toEqual(["renew 120", "renew 240", "raise 240", "renew 360"]);
  });

  test("is not alarmed again and again", () => {
    const { done } = watched(WATCHING, 0, 3_600_000);
    expect(done.filter((what) => what.startsWith("raise")).length).toBe(1);
  });

  test("ends its alarm with the first accepted ring, and with nothing less while something is owed", () => {
    const { state } = watched(WATCHING, 0, 300_000);
    for (const kind of ["device_slow", "token_dead", "transient", "configuration"] as const) {
      expect(hearAnswer(state, kind)).toMatchObject({ alarm: null, state: { step: "stalled" } });
    }
    expect(hearAnswer(state, "accepted")).toEqual({ state: WATCHING, renew: false, alarm: "end" });
    expect(look(state, 400_000, { owed: false, due: false })).toMatchObject({
      state: WATCHING,
      alarm: "end",
    });
  });

  test("is left alone as long as rings get through", () => {
    let state = WATCHING;
    for (let now = 0; now < 3_600_000; now += 15_000) {
      const step = look(state, now);
      expect(step).toMatchObject({ renew: false, alarm: null });
      state = now % 60_000 === 0 ? hearAnswer(step.state, "accepted").state : step.state;
    }
  });

  test("is left alone when the provider deals with each ring, if only to say no", () => {
    for (const kind of ["token_dead", "token_bad", "token_doubtful", "device_slow", "our_bug"] as const) {
      const before = watched(WATCHING, 0, 105_000).state;
      expect(watched(hearAnswer(before, kind).state, 120_000, 210_000).done).toEqual([]);
    }
  });

  test("is not excused by a provider that answers with trouble", () => {
    let state = WATCHING;
    const done: string[] = [];
    for (let now = 0; now <= 240_000; now += 15_000) {
      const step = look(state, now, { pause: pause("trouble") });
      if (step.renew) done.push(`renew ${now}`);
      state = hearAnswer(step.state, "transient").state;
    }
    expect(done).toEqual(["renew 120000", "renew 240000"]);
  });

  test("is not excused by waiting for its next try in between", () => {
    const started = look(WATCHING, 0).state;
    expect(watched(started, 15_000, 240_000, { due: false }).done).toEqual([
      "renew 120",
      "renew 240",
      "raise 240",
    ]);
  });
});

describe("a queue that is paused", () => {
  for (const why of ["configuration", "unreachable", "quota", "bad_tokens", "no_credential"] as const) {
    test(`for ${why} is alarmed by its pause, and its time begins when that ends`, () => {
      const { state, done } = watched(WATCHING, 0, 3_600_000, { pause: pause(why) });
      expect(done).toEqual([]);
      expect(watched(state, 3_600_000, 3_705_000).done).toEqual([]);
      expect(watched(state, 3_600_000, 3_720_000).done).toEqual(["renew 3720"]);
    });
  }

  test("keeps an alarm that it had before, so that both are shown", () => {
    const { state } = watched(WATCHING, 0, 300_000);
    expect(watched(state, 300_000, 600_000, { pause: pause("unreachable") })).toMatchObject({
      state: { step: "stalled" },
      done: [],
    });
  });
});

describe("a queue to which nothing is owed", () => {
  test("never stands still, however quiet it is", () => {
    expect(watched(WATCHING, 0, 86_400_000, { owed: false, due: false }).done).toEqual([]);
  });

  test("does not stand still while what is owed is not due yet", () => {
    expect(watched(WATCHING, 0, 3_600_000, { due: false }).done).toEqual([]);
  });
});

test("alarms are raised and ended in turns, whatever happens in whatever order", () => {
  const kinds = fc.constantFrom<VerdictKind>(
    "accepted",
    "transient",
    "device_slow",
    "configuration",
    "unreachable",
  );
  const why = fc.constantFrom(null, "trouble" as const, "unreachable" as const);
  const event = fc.oneof(
    fc.record({ kind: kinds }),
    fc.record({ waitMs: fc.nat(200_000), due: fc.boolean(), owed: fc.boolean(), why }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let state = WATCHING;
      let now = 0;
      let alarmed = false;
      for (const each of events) {
        let step: StallStep;
        if ("kind" in each) {
          step = hearAnswer(state, each.kind);
        } else {
          now += each.waitMs;
          const because = each.why === null ? null : pause(each.why);
          step = look(state, now, { due: each.due && each.owed, owed: each.owed, pause: because });
        }
        if (step.alarm === "raise") expect(alarmed).toBe(false);
        if (step.alarm === "end") expect(alarmed).toBe(true);
        if (step.alarm !== null) alarmed = step.alarm === "raise";
        expect(step.state.step === "stalled").toBe(alarmed);
        if (step.renew) expect(now).toBeGreaterThanOrEqual(AFTER);
        state = step.state;
      }
    }),
  );
});
