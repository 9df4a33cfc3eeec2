// When a subscription counts as lost, and when its phone is asked to subscribe again: the written rules.
import { describe, expect, test } from "bun:test";
import {
  asked,
  asksDue,
  decideLook,
  isLost,
  type Listening,
  quietLimitMs,
} from "../../src/exchange/watch.ts";
import type { Folder } from "../../src/store/types.ts";
import { folder } from "../store/helpers.ts";
import { presentState } from "./helpers.ts";

const NOW = 1_760_000_000_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const ACTIVE: Listening = { active: true, alone: false };
const ALONE: Listening = { active: true, alone: true };
const PASSIVE: Listening = { active: false, alone: false };

const live = (more: Partial<Folder> = {}): Folder =>
  folder("inbox", 10, { boundGeneration: 10, lastHeardAt: NOW - HOUR, ...more });
const silent = (more: Partial<Folder> = {}): Folder => live({ silentAt: NOW, ...more });

describe("a subscription is lost", () => {
  const lost = (quietMinutes: number, of: Folder, listening = ACTIVE, serverQuietMinutes = 0) =>
    isLost(
      { folder: of, quietMs: quietMinutes * MINUTE, serverQuietMs: serverQuietMinutes * MINUTE },
      listening,
    );

  test.each([
    [1, 4],
    [15, 32],
    [30, 63],
    [60, 126],
    [1440, 3024],
  ])(
    "with a status frequency of %d minutes after %d quiet minutes: twice the frequency and the slack",
    (frequency, limit) => {
      const of = live({ statusFrequencyMinutes: frequency });
      expect(quietLimitMs(frequency, false)).toBe(limit * MINUTE);
      expect(lost(limit - 0.01, of)).toBe(false);
      expect(lost(limit, of)).toBe(true);
    },
  );

  test("not before Exchange's last try of a heartbeat has come, with the usual frequencies", () => {
    for (const frequency of [1, 15, 30, 60]) {
      // Half a minute, then twice as long each time, while the wait is no longer than the frequency.
      let retriedMinutes = 0;
      for (let wait = 0.5; wait <= frequency; wait *= 2) retriedMinutes += wait;
      expect(lost(frequency + retriedMinutes, live({ statusFrequencyMinutes: frequency }))).toBe(false);
    }
  });

  test("also if it was expected and never heard", () => {
    const expected = folder("inbox", 10);
    expect(lost(31, expected)).toBe(false);
    expect(lost(32, expected)).toBe(true);
  });

  test("once only, and not if it failed or ended", () => {
    expect(lost(100, silent())).toBe(false);
    expect(lost(100, live({ failedAt: NOW }))).toBe(false);
    expect(lost(100, live({ endedGeneration: 10 }))).toBe(false);
  });

  test("never on a node that Exchange does not post to", () => {
    expect(lost(100_000, live(), PASSIVE)).toBe(false);
  });

  test("alone after four times the frequency, while others of the same server are heard", () => {
    expect(lost(61.9, live(), ALONE, 3)).toBe(false);
    expect(lost(62, live(), ALONE, 3)).toBe(true);
    expect(lost(62, live(), ALONE, 17)).toBe(true);
    expect(lost(62, live(), ALONE, 17.1)).toBe(false);
    expect(lost(100_000, live(), ALONE, Number.POSITIVE_INFINITY)).toBe(false);
  });
});

/** Looks once a minute for so long; gives the times of the asks in minutes, and of giving up. */
function course(start: Folder, days: number) {
  let state = start;
  const asks: number[] = [];
  const givenUp: number[] = [];
  for (let at = 0; at < days * 1440; at += 1) {
    const now = NOW + at * MINUTE;
    const { ask, giveUp } = asksDue([state], now);
    if (ask.length > 0) {
      asks.push(at);
      state = asked(state, now);
    }
    if (giveUp.length > 0) {
      givenUp.push(at);
      state = { ...state, asks: state.asks + 1 };
    }
  }
  return { asks, givenUp };
}

describe("a phone is asked", () => {
  test.each([
    ["silent", silent()],
    ["failed", live({ failedAt: NOW })],
    ["ended", live({ endedGeneration: 10 })],
  ])(
    "about a %s folder at once, after 1, 4 and 12 hours, then daily, and no more after two weeks",
    (_, of) => {
      const { asks, givenUp } = course(of, 30);
      const daily = Array.from({ length: 13 }, (_, day) => 17 * 60 + (day + 1) * 1440);
      expect(asks).toEqual([0, 60, 5 * 60, 17 * 60, ...daily]);
      expect(asks.at(-1)! / 1440).toBeLessThan(14);
      expect(givenUp).toEqual([asks.at(-1)! + 1440]);
    },
  );

  test("more quietly if it never subscribed: at once, after half a day, then daily for a week", () => {
    const { asks, givenUp } = course(folder("inbox", 10, { silentAt: NOW }), 30);
    expect(asks).toEqual([0, 720, ...Array.from({ length: 6 }, (_, day) => 720 + (day + 1) * 1440)]);
    expect(asks.at(-1)! / 1440).toBeLessThan(7);
    expect(givenUp).toEqual([asks.at(-1)! + 1440]);
  });

  test("never about a folder that lives or is expected", () => {
    expect(course(live(), 3)).toEqual({ asks: [], givenUp: [] });
    expect(course(folder("inbox", 10), 3)).toEqual({ asks: [], givenUp: [] });
  });

  test("again no sooner than a quarter of an hour later, even if it was heard in between", () => {
    const again = silent({ asks: 0, askedAt: NOW - 14 * MINUTE });
    expect(asksDue([again], NOW).ask).toEqual([]);
    expect(asksDue([again], NOW + MINUTE).ask).toEqual([again]);
  });

  test("about all its folders together when it is reminded, and no sooner than an hour after any ask", () => {
    const inbox = silent({ asks: 1, askedAt: NOW - 2 * HOUR });
    const calendar = { ...silent({ asks: 1, askedAt: NOW - 30 * MINUTE }), name: "calendar" };
    expect(asksDue([inbox, calendar], NOW).ask).toEqual([]);
    expect(asksDue([inbox, calendar], NOW + 30 * MINUTE).ask).toEqual([inbox, calendar]);
    // What is lost anew does not wait for the others.
    const fresh = { ...silent(), name: "fresh" };
    expect(asksDue([inbox, calendar, fresh], NOW).ask).toEqual([fresh]);
  });

  test("by a clock that was set back, no later", () => {
    expect(asksDue([silent({ asks: 3, askedAt: NOW + 365 * DAY })], NOW).ask).toHaveLength(1);
  });
});

describe("what is decided about a phone", () => {
  const decideOn = (
    folders: readonly Folder[],
    more: Partial<Parameters<typeof decideLook>[1]> = {},
    dead: "no" | "stopped" | "ended" = "no",
  ) =>
    decideLook(presentState(folders, { dead }), {
      lost: folders,
      mayAsk: true,
      nowMs: NOW,
      rings: () => true,
      ...more,
    });

  test("a quiet folder is silent and its phone is owed a ring that names it", () => {
    const { change, result } = decideOn([live()]);
    expect(change).toEqual({
      folders: [live({ silentAt: NOW, asks: 1, askedAt: NOW })],
      reasons: [{ reason: "resubscribe", folder: "inbox" }],
    });
    expect(result).toMatchObject({ asked: ["silent"], gaveUp: 0 });
    expect(result.silenced).toHaveLength(1);
  });

  test("what was heard or asked for since it was looked at wins", () => {
    for (const since of [
      live({ lastHeardAt: NOW }),
      live({ generation: 20 }),
      live({ failedAt: NOW, asks: 1, askedAt: NOW }),
      live({ endedGeneration: 10, asks: 1, askedAt: NOW }),
    ]) {
      expect(decideOn([since], { lost: [live()] }).change).toBeUndefined();
    }
  });

  test("a phone that has to wait for its turn is marked and not asked", () => {
    const { change, result } = decideOn([live()], { mayAsk: false });
    expect(change).toEqual({ folders: [silent()] });
    expect(result.asked).toEqual([]);
  });

  test("a dead token's phone is marked and not asked, and no ask is counted", () => {
    for (const dead of ["stopped", "ended"] as const) {
      expect(decideOn([live()], {}, dead).change).toEqual({ folders: [silent()] });
    }
  });

  test("a folder of a kind that does not ring is marked and not asked about", () => {
    const { change } = decideOn([live()], { rings: (_, kind) => kind !== "inbox" });
    expect(change).toEqual({ folders: [silent()] });
  });

  test("a registration that is gone is left alone", () => {
    const watched = { lost: [live()], mayAsk: true, nowMs: NOW, rings: () => true };
    expect(decideLook({ kind: "deleted", at: 1 }, watched).change).toBeUndefined();
    expect(decideLook({ kind: "missing", folders: [live()] }, watched).change).toBeUndefined();
  });

  test("what is given up is noted once", () => {
    const last = silent({ asks: 17, askedAt: NOW - DAY });
    const first = decideOn([last], { lost: [] });
    expect(first).toMatchObject({ result: { gaveUp: 1, asked: [] } });
    expect(first.change?.reasons).toBeUndefined();
    expect(decideOn(first.change!.folders!, { lost: [] }).change).toBeUndefined();
  });
});
