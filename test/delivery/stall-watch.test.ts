import { afterEach, describe, expect, test } from "bun:test";
import type { Verdict } from "../../src/delivery/outcome.ts";
import {
  accepted,
  dispatcherOver,
  handSender,
  STALLED_AFTER_MS,
  settled,
  until,
} from "./dispatcher-fixture.ts";
import { APP } from "./helpers.ts";

const TIMEOUT: Verdict = { kind: "transient", reason: "timeout", retryAfterMs: null };

const endings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function over(...args: Parameters<typeof dispatcherOver>) {
  const fixture = await dispatcherOver(...args);
  endings.push(fixture.close);
  fixture.dispatcher.start();
  const gauge = async () => (await fixture.metrics.deliveryStalled.get()).values.map(({ value }) => value);
  return {
    ...fixture,
    gauge,
    errors: () => fixture.lines.filter((line) => line.startsWith("<3>")),
    async pass(ms: number) {
      for (let step = 0; step < ms; step += 5_000) {
        fixture.advance(5_000);
        await settled(6);
      }
    },
  };
}

describe("rings that get no answer over connections that look well", () => {
  test("lead to new connections, then to an alarm, which ends with the first accepted ring", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    for (let n = 1; n <= 5; n += 1) await bell.register(n);
    for (let n = 1; n <= 5; n += 1) await bell.mail(n, n);
    await until(() => apple.flying.length === 5, "rings");
    await bell.pass(STALLED_AFTER_MS - 20_000);
    expect(apple.renewals).toBe(0);
    await bell.pass(40_000);
    expect(apple.renewals).toBe(1);
    expect(bell.dispatcher.stalled()).toEqual([]);
    expect(bell.lines.some((line) => line.startsWith("<4>") && line.includes("made anew"))).toBe(true);
    await bell.pass(STALLED_AFTER_MS);
    expect(apple.renewals).toBe(2);
    expect(bell.dispatcher.stalled()).toEqual([{ app: APP, provider: "apns" }]);
    expect(await bell.gauge()).toEqual([1]);
    expect(bell.errors().length).toBe(1);
    expect(bell.errors()[0]).toContain("firewall");
    apple.flying[0]?.answer(accepted);
    await until(() => bell.dispatcher.stalled().length === 0, "the alarm to end");
    expect(await bell.gauge()).toEqual([0]);
    expect(bell.lines.some((line) => line.includes("get through again"))).toBe(true);
  });

  test("are rung over the new connections at once, also in a queue that is paused for trouble", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    for (let n = 1; n <= 30; n += 1) await bell.register(n);
    // As a connection does that takes everything and gives nothing back, until another one is made.
    apple.auto = () => (apple.renewals === 0 ? TIMEOUT : accepted);
    bell.random.value = 0.9;
    for (let n = 1; n <= 30; n += 1) await bell.mail(n, n);
    await bell.advanceUntil(() => bell.dispatcher.paused().length === 1, "a pause");
    await bell.advanceUntil(() => apple.renewals === 1, "new connections", 1_000, 200);
    // No clock goes on any more: the probe and what follows it go out at once.
    await until(() => bell.dispatcher.paused().length === 0, "a probe");
    expect(bell.dispatcher.stalled()).toEqual([]);
    expect(apple.renewals).toBe(1);
  });
});

test("a stall is seen although a probe goes out at the moment of each look", async () => {
  const apple = handSender();
  apple.auto = () => TIMEOUT;
  const bell = await over([apple]);
  for (let n = 1; n <= 30; n += 1) await bell.register(n);
  for (let n = 1; n <= 30; n += 1) await bell.mail(n, n);
  await bell.advanceUntil(() => bell.dispatcher.paused().length === 1, "a pause");
  // The shortest waits: a probe each second, by the same clock as the looks.
  await bell.advanceUntil(() => bell.dispatcher.stalled().length === 1, "an alarm", 1_000, 300);
  expect(bell.dispatcher.paused().length).toBe(1);
});

describe("what is no stall", () => {
  test("a pause that has its own alarm", async () => {
    const apple = handSender();
    apple.auto = () => ({ kind: "unreachable", reason: "ECONNREFUSED", retryAfterMs: null });
    const bell = await over([apple]);
    await bell.register(1);
    await bell.mail(1, 1);
    await bell.pass(5 * STALLED_AFTER_MS);
    expect(apple.renewals).toBe(0);
    expect(bell.dispatcher.stalled()).toEqual([]);
    expect(bell.dispatcher.paused().length).toBe(1);
  });

  test("a quiet night", async () => {
    const apple = handSender();
    apple.auto = () => accepted;
    const bell = await over([apple]);
    await bell.register(1);
    await bell.mail(1, 1);
    await bell.pass(10 * STALLED_AFTER_MS);
    await bell.mail(1, 2);
    await bell.pass(3 * STALLED_AFTER_MS);
    expect(apple.renewals).toBe(0);
  });

  test("one phone that the provider slows down at night", async () => {
    const apple = handSender();
    apple.auto = () => ({ kind: "device_slow", reason: "TooManyRequests", retryAfterMs: null });
    const bell = await over([apple]);
    await bell.register(1);
    await bell.mail(1, 1);
    await bell.pass(20 * STALLED_AFTER_MS);
    expect(apple.sent.length).toBeGreaterThan(2);
    expect(apple.renewals).toBe(0);
  });

  test("a disk that does not take what has to be noted", async () => {
    const apple = handSender();
    apple.auto = () => accepted;
    const bell = await over([apple], (store) => ({
      ...store,
      settle: () => Promise.reject(new Error("disk")),
    }));
    await bell.register(1);
    await bell.mail(1, 1);
    await bell.pass(4 * STALLED_AFTER_MS);
    expect(apple.sent.length).toBe(1);
    expect(apple.renewals).toBe(0);
  });
});

test("a queue that is left out by a new configuration takes its alarm with it", async () => {
  const apple = handSender();
  const bell = await over([apple]);
  await bell.register(1);
  await bell.mail(1, 1);
  await bell.pass(3 * STALLED_AFTER_MS);
  expect(bell.dispatcher.stalled().length).toBe(1);
  bell.dispatcher.replaceSenders([]);
  expect(bell.dispatcher.stalled()).toEqual([]);
  expect(await bell.gauge()).toEqual([0]);
});
