// After an outage: what is owed is taken up in small steps that grow with what is accepted.
import { afterEach, describe, expect, test } from "bun:test";
import { WINDOW } from "../../src/delivery/lane.ts";
import type { Verdict } from "../../src/delivery/outcome.ts";
import { accepted, dispatcherOver, handSender, settled, until } from "./dispatcher-fixture.ts";

const DOWN: Verdict = { kind: "unreachable", reason: "ECONNREFUSED", retryAfterMs: null };
const TROUBLE: Verdict = { kind: "transient", reason: "ServiceUnavailable", retryAfterMs: null };
const PHONES = 2_000;

const endings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** A long outage with everything owed, just before the provider is back. */
async function outage(verdict: Verdict) {
  const apple = handSender();
  const limits: number[] = [];
  const bell = await dispatcherOver([apple], (store) => ({
    ...store,
    due: (queue, at, limit) => {
      limits.push(limit);
      return store.due(queue, at, limit);
    },
  }));
  endings.push(bell.close);
  bell.dispatcher.start();
  apple.auto = () => verdict;
  const all = Array.from({ length: PHONES }, (_, at) => at + 1);
  await Promise.all(all.map((n) => bell.register(n)));
  await Promise.all(all.map((n) => bell.mail(n, n)));
  await bell.advanceUntil(() => bell.dispatcher.paused().length === 1, "a pause");
  await until(() => bell.dispatcher.inFlight === 0, "the rest of what was in flight");
  // From here on the test answers by hand.
  apple.auto = null;
  return {
    bell,
    apple,
    limits,
    /** Answers all that is in flight, as one round trip does, and waits until that is noted and followed up. */
    async round(answer: Verdict) {
      for (const one of [...apple.flying]) one.answer(answer);
      await until(() => bell.dispatcher.inFlight === apple.flying.length, "the answers to be noted");
      await settled(20);
    },
  };
}

describe("a long outage with much owed", () => {
  test("costs a probe a minute, however much is owed and however much news comes", async () => {
    const { bell, apple } = await outage(DOWN);
    apple.auto = () => DOWN;
    bell.random.value = 0.5;
    const before = apple.sent.length;
    for (let minute = 0; minute < 60; minute += 1) {
      for (let n = 1; n <= 20; n += 1) await bell.mail(1 + ((minute * 20 + n) % PHONES), minute);
      for (let step = 0; step < 12; step += 1) {
        bell.advance(5_000);
        await settled(3);
      }
    }
    expect(apple.sent.length - before).toBeLessThan(150);
    expect(apple.sent.length - before).toBeGreaterThan(60);
    expect(await bell.owed()).toBe(PHONES);
  });

  for (const verdict of [DOWN, TROUBLE]) {
    test(`ends with one probe, and then grows from a few rings to many (${verdict.kind})`, async () => {
      const { bell, apple, limits, round } = await outage(verdict);
      await bell.advanceUntil(() => apple.flying.length > 0, "a probe");
      await settled();
      expect(apple.flying.length).toBe(1);
      limits.length = 0;
      const rounds: number[] = [];
      while (apple.flying.length > 0) {
        await round(accepted);
        if (apple.flying.length > 0) rounds.push(apple.flying.length);
      }
      expect(rounds[0]).toBeLessThanOrEqual(WINDOW.afterPause + 2);
      for (const [at, count] of rounds.entries()) {
        expect(count).toBeLessThanOrEqual(2 * (rounds[at - 1] ?? WINDOW.afterPause) + 2);
        expect(count).toBeLessThanOrEqual(WINDOW.most);
      }
      expect(Math.max(...rounds)).toBeGreaterThan(300);
      // Nor does the store ever give more than what may be in flight.
      expect(Math.max(...limits)).toBeLessThanOrEqual(2 * WINDOW.most);
      expect(await bell.owed()).toBe(0);
    });
  }

  test("that comes back while the rings grow makes them few again", async () => {
    const { bell, apple, round } = await outage(DOWN);
    await bell.advanceUntil(() => apple.flying.length > 0, "a probe");
    for (let turn = 0; turn < 10 && apple.flying.length < 100; turn += 1) await round(accepted);
    expect(apple.flying.length).toBeGreaterThanOrEqual(100);
    await round(DOWN);
    expect(apple.flying.length).toBe(0);
    await bell.advanceUntil(() => apple.flying.length > 0, "a probe");
    await settled();
    expect(apple.flying.length).toBe(1);
    await round(accepted);
    expect(apple.flying.length).toBeLessThanOrEqual(WINDOW.afterPause + 1);
  });

  test("makes no phone wait long for its turn: tries of an outage are not counted against it", async () => {
    const { bell, apple } = await outage(TROUBLE);
    apple.auto = () => TROUBLE;
    bell.random.value = 0.99;
    for (let minute = 0; minute < 240; minute += 1) {
      bell.advance(60_000);
      await settled(3);
    }
    apple.auto = () => accepted;
    // The group commit waits in real time, which the steps below do not move.
    await until(() => bell.dispatcher.inFlight === 0, "the last probe to be noted");
    await bell.advanceUntil(() => bell.dispatcher.paused().length === 0, "the pause to end", 1_000, 130);
    for (let second = 0; second < 60 && (await bell.owed()) > 0; second += 1) {
      bell.advance(1_000);
      await Bun.sleep(10);
    }
    expect(await bell.owed()).toBe(0);
  });
});
