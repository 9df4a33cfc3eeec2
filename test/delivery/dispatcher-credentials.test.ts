import { afterEach, describe, expect, test } from "bun:test";
import type { Verdict } from "../../src/delivery/outcome.ts";
import { change } from "../store/helpers.ts";
import { accepted, dispatcherOver, handSender, id, settled, until } from "./dispatcher-fixture.ts";

const WRONG_KEY: Verdict = { kind: "configuration", reason: "InvalidProviderToken", personal: false };

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

type Bell = Awaited<ReturnType<typeof over>>;

async function pausedMetric(bell: Bell): Promise<Record<string, number>> {
  const { values } = await bell.metrics.providerPaused.get();
  return Object.fromEntries(
    values.map(({ labels, value }) => [`${labels.app} ${labels.provider} ${labels.reason}`, value]),
  );
}

describe("an app that has phones and no credential", () => {
  test("counts as paused: in the list, in the metric and in the journal, once", async () => {
    const apple = handSender("apns", "a");
    const bell = await over([apple]);
    await bell.register(1, "fcm", "a");
    for (let count = 1; count <= 20; count += 1) await bell.mail(1, count);
    await settled();
    expect(bell.dispatcher.paused()).toEqual([{ app: "a", provider: "fcm", reason: "no_credential" }]);
    expect(await pausedMetric(bell)).toEqual({ "a fcm no_credential": 1 });
    expect(bell.lines.filter((line) => line.includes("No credential")).length).toBe(1);
    expect(await bell.owed()).toBe(1);
  });

  test("is found at the start, although nobody announces it", async () => {
    const bell = await over([handSender("apns", "a")]);
    await bell.register(1, "apns", "gone");
    await bell.mail(1, 1);
    await bell.restart([handSender("apns", "a")]);
    await until(() => bell.dispatcher.paused().length === 1, "a pause");
    expect(bell.dispatcher.paused()[0]).toEqual({ app: "gone", provider: "apns", reason: "no_credential" });
  });

  test("asks the store for next to nothing, however long it goes on and however much news there is", async () => {
    let asked = 0;
    const bell = await over([], (store) => ({
      ...store,
      due: (...args) => {
        asked += 1;
        return store.due(...args);
      },
      begin: (ids) => {
        asked += 1;
        return store.begin(ids);
      },
    }));
    await bell.register(1);
    for (let minute = 0; minute < 30; minute += 1) {
      await bell.mail(1, minute);
      bell.advance(60_000);
      await settled(4);
    }
    expect(bell.dispatcher.paused().length).toBe(1);
    expect(asked).toBeLessThan(70);
  });

  test("is no matter any more once nothing is owed to it", async () => {
    const bell = await over([]);
    await bell.register(1);
    await bell.mail(1, 1);
    await until(() => bell.dispatcher.paused().length === 1, "a pause");
    await change(bell.store, id(1), { delete: { at: bell.opened.time.now } });
    await bell.advanceUntil(() => bell.dispatcher.paused().length === 0, "the pause to end");
    expect(Object.values(await pausedMetric(bell))).toEqual([0]);
  });

  test("is rung as soon as a credential is loaded", async () => {
    const bell = await over([]);
    await bell.register(1);
    await bell.mail(1, 7);
    await until(() => bell.dispatcher.paused().length === 1, "a pause");
    const apple = handSender();
    apple.auto = () => accepted;
    bell.dispatcher.replaceSenders([apple]);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(apple.warmed).toBe(1);
    expect(apple.sent.map(({ badge }) => badge)).toEqual([7]);
    await until(() => bell.dispatcher.paused().length === 0, "the pause to end");
    expect(await pausedMetric(bell)).toEqual({ "com.example.mail apns no_credential": 0 });
  });
});

describe("when the configuration is loaded anew", () => {
  test("a queue whose sender is the same goes on untouched", async () => {
    const same = handSender("apns", "a");
    const other = handSender("apns", "b");
    const bell = await over([same, other]);
    await bell.register(1, "apns", "a");
    await bell.mail(1, 1);
    await until(() => same.flying.length === 1, "a ring");
    bell.dispatcher.replaceSenders([same, handSender("apns", "b")]);
    await settled();
    expect(same).toMatchObject({ warmed: 1, stops: 0, renewals: 0 });
    same.flying[0]?.answer(accepted);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(same.sent.length).toBe(1);
    expect(other.stops).toBe(1);
  });

  test("rings in flight end over the old sender, which is stopped after the last one; new ones take the new", async () => {
    const old = handSender();
    const bell = await over([old]);
    for (const n of [1, 2, 3]) await bell.register(n);
    for (const n of [1, 2]) await bell.mail(n, n);
    await until(() => old.flying.length === 2, "two rings");
    const fresh = handSender();
    bell.dispatcher.replaceSenders([fresh]);
    await bell.mail(3, 3);
    await bell.mail(1, 9);
    await until(() => fresh.flying.length === 1, "a ring over the new sender");
    old.flying[0]?.answer(accepted);
    await settled();
    expect(old.stops).toBe(0);
    old.flying[0]?.answer(accepted);
    await until(() => old.stops === 1, "the old sender to be stopped");
    await until(() => fresh.flying.length === 2, "the newer badge over the new sender");
    expect(fresh.sent.map(({ badge }) => badge)).toEqual([3, 9]);
    for (const one of [...fresh.flying]) one.answer(accepted);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(old.sent.length).toBe(2);
  });

  test("a paused queue probes at once, whatever it would have waited for", async () => {
    const wrong = handSender();
    wrong.auto = () => ({ kind: "auth_hold", reason: "TooManyProviderTokenUpdates" });
    const bell = await over([wrong]);
    for (let n = 1; n <= 10; n += 1) await bell.register(n);
    for (let n = 1; n <= 10; n += 1) await bell.mail(n, n);
    await until(() => bell.dispatcher.paused().length === 1 && bell.dispatcher.inFlight === 0, "a pause");
    const right = handSender();
    right.auto = () => accepted;
    bell.dispatcher.replaceSenders([right]);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(bell.dispatcher.paused()).toEqual([]);
    expect(Object.values(await pausedMetric(bell))).toEqual([0]);
    expect(right.sent.every(({ attempt }) => attempt === 0)).toBe(true);
  });

  test("a paused queue probes at once although nothing of it has changed: it may be repaired at the provider", async () => {
    const same = handSender();
    same.auto = () => ({ kind: "configuration", reason: "TopicDisallowed", personal: false });
    const bell = await over([same]);
    await bell.register(1);
    await bell.mail(1, 1);
    await until(() => bell.dispatcher.paused().length === 1 && bell.dispatcher.inFlight === 0, "a pause");
    same.auto = () => accepted;
    bell.dispatcher.replaceSenders([same]);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(same).toMatchObject({ warmed: 1, stops: 0 });
    expect(bell.dispatcher.paused()).toEqual([]);
  });

  test("a quota's pause is waited for when nothing has changed", async () => {
    const same = handSender();
    same.auto = () => ({ kind: "project_quota", reason: "QUOTA_EXCEEDED", retryAfterMs: 60_000 });
    const bell = await over([same]);
    await bell.register(1);
    await bell.mail(1, 1);
    await until(() => bell.dispatcher.paused().length === 1 && bell.dispatcher.inFlight === 0, "a pause");
    bell.dispatcher.replaceSenders([same]);
    await settled(50);
    expect(same.sent.length).toBe(1);
  });

  test("what the old credential met meanwhile neither pauses the queue nor judges a phone", async () => {
    const old = handSender();
    const bell = await over([old]);
    const verdicts: Verdict[] = [
      WRONG_KEY,
      { kind: "token_dead", reason: "SENDER_ID_MISMATCH" },
      { kind: "token_bad", reason: "BadDeviceToken" },
      { kind: "project_quota", reason: "QUOTA_EXCEEDED", retryAfterMs: 60_000 },
    ];
    for (const [at] of verdicts.entries()) {
      await bell.register(at + 1);
      await bell.mail(at + 1, at);
    }
    await until(() => old.flying.length === verdicts.length, "all rings");
    const fresh = handSender();
    fresh.auto = () => accepted;
    bell.dispatcher.replaceSenders([fresh]);
    for (const verdict of verdicts) old.flying[0]?.answer(verdict);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(bell.dispatcher.paused()).toEqual([]);
    expect(bell.lines.join("")).not.toContain("Paused");
    const views = await bell.store.read(verdicts.map((_, at) => id(at + 1)));
    for (const { state } of views) expect(state.kind === "present" && state.dead).toBe("no");
    expect(fresh.sent.length).toBe(verdicts.length);
  });

  test("a queue that is left out lets its rings end, keeps what is owed and says why it is not rung", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await bell.register(1);
    await bell.register(2);
    await bell.mail(1, 1);
    await until(() => apple.flying.length === 1, "a ring");
    bell.dispatcher.replaceSenders([]);
    await bell.mail(2, 2);
    await until(() => bell.dispatcher.paused().length === 1, "a pause");
    expect(apple.stops).toBe(0);
    apple.flying[0]?.answer(accepted);
    await until(() => apple.stops === 1, "the sender to be stopped");
    expect(apple.sent.length).toBe(1);
    expect(await bell.owed()).toBe(1);
    expect(bell.dispatcher.paused()[0]?.reason).toBe("no_credential");
  });

  test("the pause of a queue that is left out leaves the metric", async () => {
    const wrong = handSender();
    wrong.auto = () => WRONG_KEY;
    const bell = await over([wrong]);
    await bell.register(1);
    await bell.mail(1, 1);
    await until(() => bell.dispatcher.paused().length === 1 && bell.dispatcher.inFlight === 0, "a pause");
    bell.dispatcher.replaceSenders([]);
    await until(() => bell.dispatcher.paused()[0]?.reason === "no_credential", "the other reason");
    expect(await pausedMetric(bell)).toEqual({
      "com.example.mail apns InvalidProviderToken": 0,
      "com.example.mail apns no_credential": 1,
    });
  });

  test("senders that come while the node stops are stopped too", async () => {
    const bell = await over([handSender()]);
    await bell.dispatcher.stop(0);
    const late = handSender();
    bell.dispatcher.replaceSenders([late]);
    expect(late.stops).toBe(1);
    expect(late.warmed).toBe(0);
  });
});
