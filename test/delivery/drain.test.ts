// What a stop leaves behind, on a real database that is closed right after it as the appliance does.
import { afterEach, describe, expect, test } from "bun:test";
import type { Verdict } from "../../src/delivery/outcome.ts";
import {
  accepted,
  dispatcherOver,
  type HandSender,
  handSender,
  id,
  settled,
  until,
} from "./dispatcher-fixture.ts";

const endings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function over(...args: Parameters<typeof dispatcherOver>) {
  const fixture = await dispatcherOver(...args);
  endings.push(fixture.close);
  fixture.dispatcher.start();
  return fixture;
}

const STOPPED: Verdict = { kind: "unreachable", reason: "stopped", retryAfterMs: null };

/** As many phones, each with a ring on its way. */
async function flying(bell: Awaited<ReturnType<typeof over>>, apple: HandSender, count: number) {
  for (let n = 1; n <= count; n += 1) await bell.register(n);
  for (let n = 1; n <= count; n += 1) await bell.mail(n, n);
  await until(() => apple.flying.length === count, `${count} rings`);
}

describe("stopping", () => {
  test("lets rings in flight end, notes them, and begins nothing new", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await flying(bell, apple, 1);
    await bell.register(2);
    const stopped = bell.dispatcher.stop(10_000);
    await bell.mail(2, 2);
    apple.flying[0]?.answer(accepted);
    await stopped;
    expect(apple.sent.length).toBe(1);
    expect(await bell.owed()).toBe(1);
    expect(apple.stops).toBe(1);
  });

  test("leaves owed what does not end within the grace, and says nothing of a pause", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await flying(bell, apple, 1);
    const stopped = bell.dispatcher.stop(5_000);
    bell.advance(5_000);
    await stopped;
    expect(await bell.owed()).toBe(1);
    expect(bell.lines.join("")).not.toContain("Paused");
  });

  test("hurries when it is asked a second time", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await flying(bell, apple, 1);
    const stopped = bell.dispatcher.stop(60_000);
    void bell.dispatcher.stop(0);
    await stopped;
    expect(await bell.owed()).toBe(1);
  });

  test("loses nothing: after the next start every phone shows its last badge", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await flying(bell, apple, 30);
    const stopped = bell.dispatcher.stop(10_000);
    for (const one of apple.flying.slice(0, 10)) one.answer(accepted);
    for (const one of apple.flying.slice(0, 10)) {
      one.answer({ kind: "transient", reason: "ServiceUnavailable", retryAfterMs: null });
    }
    for (let n = 1; n <= 30; n += 3) await bell.mail(n, 100 + n);
    await settled();
    bell.advance(10_000);
    await stopped;
    const next = handSender();
    next.auto = () => accepted;
    await bell.restart([next]);
    await bell.advanceUntil(() => next.sent.length >= 24, "the rest to be rung");
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    const shown = new Map<string, number | null>();
    for (const { registrationId, badge } of [...apple.sent.slice(0, 10), ...next.sent]) {
      shown.set(registrationId, badge);
    }
    for (let n = 1; n <= 30; n += 1) expect(shown.get(id(n))).toBe(n % 3 === 1 ? 100 + n : n);
    // What was accepted and noted before the stop is not rung again without news.
    expect(next.sent.some(({ registrationId }) => registrationId === id(2))).toBe(false);
  });

  test("touches the database no more once it has ended, even if answers come late", async () => {
    const late = handSender();
    const answers: ((verdict: Verdict) => void)[] = [];
    late.sender.send = (ring) => {
      late.sent.push(ring);
      return new Promise((resolve) => void answers.push(resolve));
    };
    late.sender.stop = () => {};
    const touched: string[] = [];
    let closed = false;
    const bell = await over([late], (store) => {
      const watched = { ...store };
      for (const name of ["due", "nextDueAt", "begin", "settle", "counts"] as const) {
        watched[name] = ((...args: never[]) => {
          if (closed) touched.push(name);
          return (store[name] as (...given: never[]) => unknown)(...args);
        }) as never;
      }
      return watched;
    });
    for (let n = 1; n <= 4; n += 1) await bell.register(n);
    for (let n = 1; n <= 4; n += 1) await bell.mail(n, n);
    await until(() => answers.length === 4, "rings");
    const stopped = bell.dispatcher.stop(0);
    await settled();
    // The last word of one comes in time, while the stop still waits for it.
    answers[0]?.(accepted);
    await settled();
    bell.advance(1_000);
    await stopped;
    closed = true;
    await bell.opened.store.stop();
    answers[1]?.(accepted);
    answers[2]?.({ kind: "transient", reason: "timeout", retryAfterMs: null });
    answers[3]?.(STOPPED);
    await settled();
    bell.advance(600_000);
    await settled();
    expect(touched).toEqual([]);
    expect(bell.lines.filter((line) => line.startsWith("<3>"))).toEqual([]);
    await bell.opened.store.start();
    expect(await bell.owed()).toBe(3);
  });

  test("waits for the look into the database that is under way", async () => {
    const gate = Promise.withResolvers<void>();
    let looking = 0;
    const bell = await over([handSender()], (store) => ({
      ...store,
      async nextDueAt(...args) {
        looking += 1;
        await gate.promise;
        return store.nextDueAt(...args);
      },
    }));
    await until(() => looking > 0, "a look");
    let ended = false;
    const stopped = bell.dispatcher.stop(0).then(() => {
      ended = true;
    });
    await settled();
    expect(ended).toBe(false);
    gate.resolve();
    await stopped;
    expect(bell.lines.filter((line) => line.startsWith("<3>"))).toEqual([]);
  });

  test("notes the others although one of them cannot be noted", async () => {
    const apple = handSender();
    const broken = id(2);
    const bell = await over([apple], (store) => ({
      ...store,
      settle: (list) =>
        list.some(({ ring }) => ring.registrationId === broken)
          ? Promise.reject(new Error("a defect"))
          : store.settle(list),
    }));
    await flying(bell, apple, 3);
    const stopped = bell.dispatcher.stop(1_000);
    for (const one of [...apple.flying]) one.answer(accepted);
    bell.advance(1_000);
    await stopped;
    expect(await bell.owed()).toBe(1);
  });
});
