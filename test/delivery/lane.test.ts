import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SHARE_RULE } from "../../src/delivery/bad-share.ts";
import {
  type Answer,
  judge,
  judgeReplaced,
  type LaneState,
  newLane,
  WINDOW,
  withNewCredential,
} from "../../src/delivery/lane.ts";
import type { Verdict } from "../../src/delivery/outcome.ts";

const ACCEPTED: Verdict = { kind: "accepted" };
const BAD: Verdict = { kind: "token_bad", reason: "BadDeviceToken" };
const WRONG_KEY: Verdict = { kind: "configuration", reason: "InvalidProviderToken", personal: false };
const FOREIGN: Verdict = { kind: "configuration", reason: "DeviceTokenNotForTopic", personal: true };
const TROUBLE: Verdict = { kind: "transient", reason: "ServiceUnavailable", retryAfterMs: null };

function answer(verdict: Verdict, more: Partial<Answer> = {}): Answer {
  return { platform: "apns", verdict, attempt: 0, probe: false, now: 0, random: 0, ...more };
}

function after(verdicts: readonly Verdict[], state: LaneState = newLane(0)): LaneState {
  return verdicts.reduce((lane, verdict) => judge(lane, answer(verdict)).state, state);
}

describe("a queue", () => {
  test("pauses when the configuration is wrong, keeps the ring and does not count the try", () => {
    const { state, fate } = judge(newLane(0), answer(WRONG_KEY));
    expect(state.pause).toMatchObject({ why: "configuration", reason: "InvalidProviderToken", probes: 0 });
    expect(fate).toEqual({ kind: "again", outcome: "InvalidProviderToken", delayMs: 0, counts: false });
  });

  test("probes soon at first and each minute at last", () => {
    let state = judge(newLane(0), answer(WRONG_KEY)).state;
    expect(state.pause?.probeAt).toBeLessThan(5_000);
    const waits: number[] = [];
    for (let probe = 0; probe < 10; probe += 1) {
      const now = state.pause?.probeAt ?? 0;
      state = judge(state, answer(WRONG_KEY, { probe: true, now, random: 0.999_999 })).state;
      waits.push((state.pause?.probeAt ?? 0) - now);
    }
    expect(waits.every((wait) => wait >= 30_000 && wait <= 60_000)).toBe(true);
    expect(waits.at(-1)).toBe(60_000);
  });

  test("is not probed later because rings that were under way fail too", () => {
    const first = after([WRONG_KEY]);
    expect(after(Array(400).fill(WRONG_KEY), first).pause).toEqual(first.pause);
  });

  test("runs again when a probe is accepted, or a ring that was under way", () => {
    const state = after([WRONG_KEY]);
    expect(judge(state, answer(ACCEPTED, { probe: true })).state.pause).toBeNull();
    expect(judge(state, answer(ACCEPTED)).state.pause).toBeNull();
  });

  test("lets the next probe try another phone where one phone's foreign token can be the cause", () => {
    const { state, fate } = judge(after([ACCEPTED]), answer(FOREIGN));
    expect(state.pause?.why).toBe("configuration");
    expect(fate).toMatchObject({ kind: "again", counts: true });
    expect(fate.kind === "again" && fate.delayMs).toBeGreaterThan(state.pause?.probeAt ?? 0);
  });

  test("does not make a phone wait for long because of a topic that is wrong for all of them", () => {
    const fates = [judge(newLane(0), answer(FOREIGN)).fate];
    const paused = after([FOREIGN]);
    fates.push(judge(paused, answer(FOREIGN)).fate);
    fates.push(judge(paused, answer(FOREIGN, { probe: true, attempt: 20, random: 0.99 })).fate);
    for (const fate of fates) {
      expect(fate).toMatchObject({ kind: "again", counts: false });
      expect(fate.kind === "again" && fate.delayMs).toBeLessThanOrEqual(120_000);
    }
  });

  test("waits as long as the project's quota asks, whatever comes back meanwhile", () => {
    const quota: Verdict = { kind: "project_quota", reason: "QUOTA_EXCEEDED", retryAfterMs: 30_000 };
    const state = judge(newLane(0), answer(quota, { platform: "fcm" })).state;
    expect(state.pause).toMatchObject({ why: "quota", probeAt: 30_000 });
    expect(judge(state, answer(ACCEPTED)).state.pause).toEqual(state.pause);
    expect(judge(state, answer(ACCEPTED, { probe: true })).state.pause).toBeNull();
  });

  test("slows one device only when the limit is the device's", () => {
    const slow: Verdict = { kind: "device_slow", reason: "TooManyRequests", retryAfterMs: 9_000 };
    const { state, fate } = judge(newLane(0), answer(slow));
    expect(state.pause).toBeNull();
    expect(fate).toEqual({ kind: "again", outcome: "TooManyRequests", delayMs: 9_000, counts: true });
  });

  test("holds for 20 minutes when Apple saw too many tokens", () => {
    const hold: Verdict = { kind: "auth_hold", reason: "TooManyProviderTokenUpdates" };
    expect(after([hold]).pause?.probeAt).toBe(20 * 60_000);
  });

  test("is not gone through when ring after ring meets trouble, and is probed instead", () => {
    expect(after(Array(19).fill(TROUBLE)).pause).toBeNull();
    const state = after(Array(20).fill(TROUBLE));
    expect(state.pause?.why).toBe("trouble");
    expect(judge(state, answer(ACCEPTED, { probe: true })).state.pause).toBeNull();
    expect(after([...Array(19).fill(TROUBLE), ACCEPTED, TROUBLE]).pause).toBeNull();
  });

  test("is probed at least each minute during an outage, at the cost of no phone's tries", () => {
    let state = after(Array(20).fill(TROUBLE));
    for (let probe = 0; probe < 30; probe += 1) {
      const now = state.pause?.probeAt ?? 0;
      const next = judge(state, answer(TROUBLE, { probe: true, now, attempt: 3, random: 0.99 }));
      state = next.state;
      const wait = (state.pause?.probeAt ?? 0) - now;
      expect(wait).toBeLessThanOrEqual(60_000);
      expect(next.fate).toEqual({
        kind: "again",
        outcome: "ServiceUnavailable",
        delayMs: wait,
        counts: false,
      });
    }
  });

  test("is never probed in a hurry because the provider says 'at once'", () => {
    const atOnce: Verdict = { kind: "transient", reason: "ServiceUnavailable", retryAfterMs: 0 };
    let state = after(Array(20).fill(atOnce));
    for (let probe = 0; probe < 10; probe += 1) {
      const now = state.pause?.probeAt ?? 0;
      state = judge(state, answer(atOnce, { probe: true, now, random: 0.5 })).state;
      expect((state.pause?.probeAt ?? 0) - now).toBeGreaterThanOrEqual(1_000);
    }
  });

  test("gives up a malformed ring and goes on", () => {
    const { state, fate } = judge(newLane(0), answer({ kind: "our_bug", reason: "BadPriority" }));
    expect(state.pause).toBeNull();
    expect(fate).toEqual({ kind: "done", outcome: "BadPriority" });
  });

  test("tries a doubtful token a few times over hours, then gives that ring up", () => {
    const doubtful: Verdict = { kind: "token_doubtful", reason: "Unregistered" };
    let attempt = 0;
    let waited = 0;
    for (; attempt < 100; attempt += 1) {
      const { fate } = judge(newLane(0), answer(doubtful, { attempt, random: 0.5 }));
      if (fate.kind === "done") break;
      waited += fate.kind === "again" ? fate.delayMs : 0;
    }
    expect(attempt).toBeLessThan(10);
    expect(waited).toBeGreaterThan(6 * 3_600_000);
  });

  test("begins small after an outage and grows with what is accepted", () => {
    const paused = after([WRONG_KEY], { ...newLane(0), window: WINDOW.most });
    const running = judge(paused, answer(ACCEPTED, { probe: true })).state;
    expect(running.window).toBeLessThan(20);
    expect(after(Array(1_000).fill(ACCEPTED), running).window).toBe(WINDOW.most);
  });

  test("is made small again by a second failure while it grows", () => {
    const growing = after(Array(100).fill(ACCEPTED));
    expect(growing.window).toBeGreaterThan(100);
    const shrunk = after([TROUBLE], growing);
    expect(shrunk.window).toBe(Math.floor(growing.window / 2));
    expect(after([{ kind: "unreachable", reason: "ECONNREFUSED", retryAfterMs: 500 }], growing).window).toBe(
      WINDOW.afterPause,
    );
  });

  test("ends a dead token's subscriptions and only stops ringing a bad one", () => {
    const dead = judge(newLane(0), answer({ kind: "token_dead", reason: "Unregistered" }));
    expect(dead.fate).toEqual({ kind: "dead", outcome: "Unregistered", ends: true });
    expect(judge(newLane(0), answer(BAD)).fate).toEqual({
      kind: "dead",
      outcome: "BadDeviceToken",
      ends: false,
    });
  });

  test("judges nobody when suddenly many tokens are refused: it pauses", () => {
    let state = after(Array(60).fill(ACCEPTED));
    let judged = 0;
    for (let at = 0; at < 100; at += 1) {
      const next = judge(state, answer(BAD));
      state = next.state;
      if (next.fate.kind === "dead") judged += 1;
    }
    expect(state.pause?.why).toBe("bad_tokens");
    expect(judged).toBeLessThanOrEqual(15);
  });

  test("judges nobody by a wrong environment from the first ring on", () => {
    let state = newLane(0);
    let judged = 0;
    for (let at = 0; at < 50; at += 1) {
      const next = judge(state, answer(BAD));
      state = next.state;
      if (next.fate.kind === "dead") judged += 1;
    }
    expect(state.pause?.why).toBe("bad_tokens");
    expect(judged).toBeLessThan(SHARE_RULE.badWithoutAccepted);
  });

  test("trusts the tokens again when a probe is accepted, not by rings that were under way", () => {
    const state = after(Array(5).fill(BAD));
    expect(judge(state, answer(ACCEPTED)).state.pause?.why).toBe("bad_tokens");
    const running = judge(state, answer(ACCEPTED, { probe: true })).state;
    expect(running.pause).toBeNull();
    expect(judge(running, answer(BAD)).fate.kind).toBe("dead");
  });

  test("always has a wait that is not negative, whatever comes in whatever order", () => {
    const verdicts = fc.constantFrom<Verdict>(ACCEPTED, BAD, WRONG_KEY, FOREIGN, TROUBLE, {
      kind: "unreachable",
      reason: "ECONNREFUSED",
      retryAfterMs: 500,
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(verdicts, fc.boolean(), fc.nat(9))), (answers) => {
        let state = newLane(0);
        for (const [verdict, probe, attempt] of answers) {
          const next = judge(state, answer(verdict, { probe, attempt, random: 0.5 }));
          state = next.state;
          if (next.fate.kind === "again") expect(next.fate.delayMs).toBeGreaterThanOrEqual(0);
          expect(state.window).toBeGreaterThanOrEqual(WINDOW.least);
          expect(state.window).toBeLessThanOrEqual(WINDOW.most);
        }
      }),
    );
  });
});

describe("a queue whose credential was replaced", () => {
  test("probes at once, with the old pause still shown", () => {
    const paused = judge(after([WRONG_KEY]), answer(WRONG_KEY, { probe: true, now: 2_000 })).state;
    const state = withNewCredential(paused, 3_000);
    expect(state.pause).toMatchObject({ reason: "InvalidProviderToken", probeAt: 3_000, probes: 0 });
    expect(judge(state, answer(ACCEPTED, { probe: true })).state.pause).toBeNull();
  });

  test("forgets the old credential's answers, but not a suspicion that is to be disproved", () => {
    expect(withNewCredential(after(Array(60).fill(ACCEPTED)), 0).share.accepted).toBe(0);
    const suspicious = withNewCredential(after(Array(5).fill(BAD)), 0);
    const again = judge(suspicious, answer(BAD, { probe: true }));
    expect(again.fate.kind).toBe("again");
    expect(again.state.pause?.why).toBe("bad_tokens");
    expect(judge(suspicious, answer(ACCEPTED, { probe: true })).state.pause).toBeNull();
  });

  test("judges no phone by what the old one met, and rings again what it did not deliver", () => {
    const kinds: readonly Verdict[] = [
      BAD,
      WRONG_KEY,
      FOREIGN,
      TROUBLE,
      { kind: "token_dead", reason: "SENDER_ID_MISMATCH" },
      { kind: "token_doubtful", reason: "Unregistered" },
      { kind: "auth_hold", reason: "TooManyProviderTokenUpdates" },
      { kind: "project_quota", reason: "QUOTA_EXCEEDED", retryAfterMs: 60_000 },
      { kind: "unreachable", reason: "stopped", retryAfterMs: null },
    ];
    for (const verdict of kinds) {
      expect(judgeReplaced(answer(verdict))).toMatchObject({ kind: "again", delayMs: 0, counts: false });
    }
    expect(judgeReplaced(answer(ACCEPTED))).toEqual({ kind: "done", outcome: "accepted" });
    expect(judgeReplaced(answer({ kind: "our_bug", reason: "BadPriority" })).kind).toBe("done");
    const slow: Verdict = { kind: "device_slow", reason: "TooManyRequests", retryAfterMs: 9_000 };
    expect(judgeReplaced(answer(slow))).toMatchObject({ kind: "again", delayMs: 9_000 });
  });
});
