import { describe, expect, test } from "bun:test";
import {
  countAnswer,
  emptyShare,
  isProven,
  isSuspicious,
  mayJudge,
  SHARE_RULE,
  type Share,
} from "../../src/delivery/bad-share.ts";
import { type Answer, judge, newLane } from "../../src/delivery/lane.ts";

function counted(answers: readonly boolean[], share: Share = emptyShare(0)): Share {
  return answers.reduce((sum, bad) => countAnswer(sum, bad, 0), share);
}
const good = (count: number): boolean[] => Array(count).fill(false);
const bad = (count: number): boolean[] => Array(count).fill(true);

describe("the share of bad tokens", () => {
  test("of an ordinary week is not suspicious", () => {
    let share = emptyShare(0);
    for (let at = 0; at < 1_000; at += 1) share = countAnswer(share, at % 10 === 5, at);
    expect(isSuspicious(share)).toBe(false);
  });

  test("is suspicious when it jumps, however much was accepted before", () => {
    const before = counted(good(10_000));
    expect(isSuspicious(counted(bad(9), before))).toBe(false);
    expect(isSuspicious(counted(bad(10), before))).toBe(true);
  });

  test("is suspicious when it creeps up among accepted rings", () => {
    const mixed = Array.from({ length: 60 }, (_, at) => at % 4 === 0);
    expect(isSuspicious(counted(mixed))).toBe(true);
  });

  test("is suspicious when nothing at all is accepted", () => {
    expect(isSuspicious(counted(bad(4)))).toBe(false);
    expect(isSuspicious(counted(bad(5)))).toBe(true);
  });

  test("forgets after an hour", () => {
    let share = counted(bad(100));
    expect(isSuspicious(share)).toBe(true);
    share = countAnswer(share, false, SHARE_RULE.windowMs * 2);
    expect(isSuspicious(share)).toBe(false);
    expect(isSuspicious(countAnswer(counted(bad(100)), true, SHARE_RULE.windowMs * 2))).toBe(false);
  });
});

describe("a token that is called bad", () => {
  test("is judged where others were rung lately, and where it is the only one", () => {
    expect(isProven(counted(good(1)))).toBe(true);
    expect(mayJudge(counted([...good(1), ...bad(3)]), 0)).toBe(true);
    expect(mayJudge(counted(bad(1)), 0)).toBe(true);
  });

  test("is not judged at once where nothing proves the credential and it is not the first one", () => {
    expect(mayJudge(counted(bad(2)), 0)).toBe(false);
    expect(mayJudge(counted(bad(2)), 2)).toBe(true);
  });

  const verdicts = [
    { kind: "token_bad", reason: "BadDeviceToken" },
    { kind: "token_dead", reason: "SENDER_ID_MISMATCH" },
  ] as const;
  for (const verdict of verdicts) {
    test(`costs one phone at most when all are refused with ${verdict.reason} from the start`, () => {
      let state = newLane(0);
      const fates: string[] = [];
      for (let at = 0; at < 200; at += 1) {
        const answer: Answer = { platform: "fcm", verdict, attempt: 0, probe: at > 40, now: at, random: 0.5 };
        const judged = judge(state, answer);
        state = judged.state;
        fates.push(judged.fate.kind);
      }
      expect(fates.filter((kind) => kind !== "again")).toEqual(["dead"]);
      expect(state.pause?.why).toBe("bad_tokens");
    });
  }
});
