import { afterEach, describe, expect, test } from "bun:test";
import { BellError } from "../../src/errors.ts";
import type { Store } from "../../src/store/types.ts";
import { accepted, dispatcherOver, handSender, id, settled, until } from "./dispatcher-fixture.ts";

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

describe("the dispatcher", () => {
  test("rings at once for news and settles what was accepted", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await bell.register(1);
    await bell.mail(1, 5);
    await until(() => apple.flying.length === 1, "a ring");
    expect(apple.flying[0]?.ring).toMatchObject({ badge: 5, reason: "mail", attempt: 0 });
    apple.flying[0]?.answer(accepted);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(apple.sent.length).toBe(1);
    expect(bell.dispatcher.inFlight).toBe(0);
  });

  test("rings once more when a newer badge comes while a ring is in flight, and never two at once", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await bell.register(1);
    await bell.mail(1, 1);
    await until(() => apple.flying.length === 1, "the first ring");
    for (const count of [2, 3, 4, 5]) await bell.mail(1, count);
    await settled();
    expect(apple.flying.length).toBe(1);
    apple.flying[0]?.answer(accepted);
    await until(() => apple.flying.length === 1, "the second ring");
    expect(apple.flying[0]?.ring.badge).toBe(5);
    apple.flying[0]?.answer(accepted);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    await settled();
    expect(apple.sent.map((ring) => ring.badge)).toEqual([1, 5]);
    expect(apple.mostForOne).toBe(1);
  });

  test("rings for each reason that is owed, one after another", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    apple.auto = () => accepted;
    await bell.register(1);
    await bell.owe(1, {
      badge: { count: 2, eventAt: bell.opened.time.now },
      reasons: [
        { reason: "calendar" },
        { reason: "mail" },
        { reason: "test" },
        { reason: "resubscribe", folder: "inbox" },
      ],
    });
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(apple.sent.map((ring) => ring.reason)).toEqual(["test", "resubscribe", "mail", "calendar"]);
  });

  test("rings after a start for what was owed before it", async () => {
    const down = handSender();
    const bell = await over([down]);
    for (let n = 1; n <= 50; n += 1) {
      await bell.register(n);
      await bell.mail(n, n);
    }
    await until(() => down.flying.length > 0, "rings");
    // The process dies here: nothing is settled.
    const apple = handSender();
    apple.auto = () => accepted;
    await bell.restart([apple]);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(new Set(apple.sent.map((ring) => ring.badge)).size).toBe(50);
    const before = new Map(down.sent.map((ring) => [ring.registrationId, ring.apnsId]));
    for (const ring of apple.sent) {
      const id = before.get(ring.registrationId);
      if (id !== undefined) expect(ring.apnsId).toBe(id);
    }
  });

  test("keeps two apps and two platforms apart", async () => {
    const senders = [handSender("apns", "a"), handSender("fcm", "a"), handSender("apns", "b")];
    const bell = await over(senders);
    for (const sender of senders) sender.auto = () => accepted;
    await bell.register(1, "apns", "a");
    await bell.register(2, "fcm", "a");
    await bell.register(3, "apns", "b");
    for (const n of [1, 2, 3]) await bell.mail(n, n);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(senders.map(({ sent }) => sent.map((ring) => ring.registrationId))).toEqual([
      [id(1)],
      [id(2)],
      [id(3)],
    ]);
  });

  test("goes through a large backlog with a bounded number in flight", async () => {
    const down = handSender();
    const bell = await over([down]);
    const count = 1_500;
    for (let n = 1; n <= count; n += 1) await bell.register(n);
    await Promise.all(Array.from({ length: count }, (_, at) => bell.mail(at + 1, at)));
    const apple = handSender();
    await bell.restart([apple]);
    let most = 0;
    for (let turn = 0; turn < 10_000 && apple.sent.length < count; turn += 1) {
      most = Math.max(most, apple.flying.length);
      for (const one of apple.flying.slice(0, 50)) one.answer(accepted);
      await settled(1);
    }
    for (const one of [...apple.flying]) one.answer(accepted);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(apple.sent.length).toBe(count);
    expect(most).toBeLessThanOrEqual(400);
    expect(most).toBeGreaterThan(50);
  });

  test("pauses one app on a wrong key without losing anything, probes slowly, and resumes by itself", async () => {
    const wrong = handSender("apns", "wrong");
    const right = handSender("apns", "right");
    const bell = await over([wrong, right]);
    wrong.auto = () => ({ kind: "configuration", reason: "InvalidProviderToken", personal: false });
    right.auto = () => accepted;
    for (let n = 1; n <= 30; n += 1) await bell.register(n, "apns", n <= 20 ? "wrong" : "right");
    for (let n = 1; n <= 20; n += 1) await bell.mail(n, n);
    await until(() => bell.dispatcher.paused().length === 1, "a pause");
    expect(bell.dispatcher.paused()).toEqual([
      { app: "wrong", provider: "apns", reason: "InvalidProviderToken" },
    ]);
    const gauge = await bell.metrics.providerPaused.get();
    expect(gauge.values).toEqual([
      expect.objectContaining({
        value: 1,
        labels: { app: "wrong", provider: "apns", reason: "InvalidProviderToken" },
      }),
    ]);
    const errors = bell.lines.filter((line) => line.includes("Paused this app's rings"));
    expect(errors.length).toBe(1);
    expect(errors[0]).toContain("key_id");
    const sentBefore = wrong.sent.length;
    // Ten minutes of outage with news: about one probe a minute, and the other app rings on.
    for (let minute = 0; minute < 10; minute += 1) {
      for (let second = 0; second < 60; second += 5) {
        bell.advance(5_000);
        await settled(2);
      }
      await bell.mail(1 + minute, 100 + minute);
      await bell.mail(21 + minute, minute);
    }
    await settled();
    expect(wrong.sent.length - sentBefore).toBeLessThan(25);
    expect(wrong.sent.length - sentBefore).toBeGreaterThan(5);
    expect(right.sent.length).toBe(10);
    expect(await bell.owed()).toBe(20);
    const from = wrong.sent.length;
    wrong.auto = () => accepted;
    await bell.advanceUntil(() => bell.dispatcher.paused().length === 0, "the pause to end");
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    const badges = new Map(wrong.sent.slice(from).map((ring) => [ring.registrationId, ring.badge]));
    for (let n = 1; n <= 20; n += 1) expect(badges.get(id(n))).toBe(n <= 10 ? 99 + n : n);
    expect((await bell.metrics.providerPaused.get()).values[0]?.value).toBe(0);
    expect(wrong.sent.every((ring) => ring.attempt === 0)).toBe(true);
  });

  test("is not held up by one phone that belongs to another app", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    const foreign = id(1);
    apple.auto = (ring) =>
      ring.registrationId === foreign
        ? { kind: "configuration", reason: "DeviceTokenNotForTopic", personal: true }
        : accepted;
    for (const n of [1, 2, 3]) await bell.register(n);
    for (const n of [1, 2, 3]) await bell.mail(n, n);
    await bell.advanceUntil(
      () => apple.sent.length >= 3 && bell.dispatcher.paused().length === 0,
      "others rung",
      100,
    );
    await bell.mail(2, 9);
    await bell.advanceUntil(() => apple.sent.some((ring) => ring.badge === 9), "a ring", 100, 100);
    expect(await bell.owed()).toBe(1);
  });

  test("ends a dead token's subscriptions, stops ringing a bad one, and rings again after a renewal", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    apple.auto = (ring) => {
      if (ring.registrationId === id(1)) return { kind: "token_dead", reason: "Unregistered" };
      return ring.registrationId === id(2) ? { kind: "token_bad", reason: "BadDeviceToken" } : accepted;
    };
    for (const n of [1, 2, 3]) await bell.register(n);
    await bell.mail(3, 3);
    await until(async () => (await bell.owed()) === 0, "one accepted");
    await bell.mail(1, 1);
    await bell.mail(2, 2);
    await until(async () => (await bell.owed()) === 0, "nothing to ring");
    const states = (await bell.store.read([id(1), id(2)])).map(({ state }) => state);
    expect(states.map((state) => state.kind === "present" && state.dead)).toEqual(["ended", "stopped"]);
    await bell.mail(2, 3);
    await settled();
    expect(apple.sent.length).toBe(3);
    apple.auto = () => accepted;
    bell.advance(1_000);
    await bell.register(2, "apns", undefined, 2);
    await until(() => apple.sent.length === 4, "a ring after the renewal");
    expect(apple.sent[3]?.badge).toBe(3);
  });

  test("does not let a dead token's answer win over a renewal that came while it was under way", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await bell.register(1);
    await bell.mail(1, 1);
    await until(() => apple.flying.length === 1, "a ring");
    bell.advance(1_000);
    await bell.register(1, "apns", undefined, 2);
    apple.flying[0]?.answer({ kind: "token_bad", reason: "BadDeviceToken" });
    await until(() => bell.dispatcher.inFlight === 0 || apple.flying.length === 1, "the answer to be noted");
    const [view] = await bell.store.read([id(1)]);
    expect(view?.state.kind === "present" && view.state.dead).toBe("no");
  });

  test("waits for a slow device without holding up the others, and counts its tries", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    let refuse = true;
    apple.auto = (ring) =>
      refuse && ring.registrationId === id(1)
        ? { kind: "device_slow", reason: "TooManyRequests", retryAfterMs: 40_000 }
        : accepted;
    await bell.register(1);
    await bell.register(2);
    await bell.mail(1, 1);
    await bell.mail(2, 2);
    await until(() => apple.sent.length === 2, "both rings");
    await until(async () => (await bell.owed()) === 1, "one settled");
    // News for the slow one joins its wait.
    await bell.mail(1, 7);
    await settled();
    bell.advance(39_000);
    await settled();
    expect(apple.sent.length).toBe(2);
    refuse = false;
    await bell.advanceUntil(() => apple.sent.length === 3, "the slow one's ring");
    expect(apple.sent[2]).toMatchObject({ badge: 7, attempt: 1 });
  });

  test("sends the same apns-id on every try of a ring, and another one for newer news", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    apple.auto = () => ({ kind: "transient", reason: "InternalServerError", retryAfterMs: null });
    await bell.register(1);
    await bell.mail(1, 1);
    await bell.advanceUntil(() => apple.sent.length === 6, "six tries");
    expect(new Set(apple.sent.map(({ apnsId }) => apnsId)).size).toBe(1);
    expect(apple.sent.map(({ attempt }) => attempt)).toEqual([0, 1, 2, 3, 4, 5]);
    await bell.mail(1, 2);
    await bell.advanceUntil(() => apple.sent.length === 7, "another try");
    expect(apple.sent[6]?.apnsId).not.toBe(apple.sent[0]?.apnsId as string);
  });

  test("gives a malformed ring up loudly", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    apple.auto = () => ({ kind: "our_bug", reason: "BadPriority" });
    await bell.register(1);
    await bell.mail(1, 1);
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(bell.lines.some((line) => line.startsWith("<3>") && line.includes("BadPriority"))).toBe(true);
  });

  test("measures from Exchange's post to the provider's acceptance, and carries the correlation id", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    await bell.register(1);
    const origin = { correlationId: "corr-1", receivedAtMs: bell.clock.now() - 250 };
    await bell.owe(1, { reasons: [{ reason: "mail" }] }, origin);
    await until(() => apple.flying.length === 1, "a ring");
    apple.flying[0]?.answer(accepted);
    await until(() => bell.lines.some((line) => line.includes("corr-1")), "a line with the id");
    const { values } = await bell.metrics.ringSeconds.get();
    expect(values.find(({ metricName }) => metricName?.endsWith("_sum"))?.value).toBeCloseTo(0.25);
    const rings = await bell.metrics.rings.get();
    expect(rings.values[0]).toMatchObject({
      value: 1,
      labels: { provider: "apns", outcome: "accepted" },
    });
  });

  test("carries the correlation id of the newest post through every try", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    apple.auto = ({ attempt }) =>
      attempt < 3 ? { kind: "transient", reason: "InternalServerError", retryAfterMs: null } : accepted;
    await bell.register(1);
    const post = (correlationId: string) =>
      bell.owe(1, { reasons: [{ reason: "mail" }] }, { correlationId, receivedAtMs: bell.clock.now() });
    await post("corr-1");
    await until(() => apple.sent.length === 1, "a try");
    await settled();
    await post("corr-2");
    await bell.advanceUntil(() => apple.sent.length === 4, "the last try");
    await until(() => bell.lines.some((line) => line.includes('"Rang."')), "the ring");
    const told = bell.lines.map((line) => JSON.parse(line.replace(/^<\d>/, "")));
    const rings = told.filter(({ msg }) => /^Rang|did not get through/.test(msg));
    expect(rings.map(({ msg, correlationId }) => [msg.split(" ")[0], correlationId])).toEqual([
      ["A", "corr-1"],
      ["Rang.", "corr-2"],
    ]);
  });

  test("writes nothing personal into the journal", async () => {
    const apple = handSender();
    const bell = await over([apple]);
    let turn = 0;
    const kinds = [
      accepted,
      { kind: "token_bad", reason: "BadDeviceToken" },
      { kind: "transient", reason: "timeout", retryAfterMs: null },
      { kind: "configuration", reason: "Forbidden", personal: false },
    ] as const;
    apple.auto = () => kinds[turn++ % kinds.length] ?? accepted;
    for (let n = 1; n <= 8; n += 1) await bell.register(n);
    for (let n = 1; n <= 8; n += 1) await bell.mail(n, n);
    await bell.advanceUntil(() => apple.sent.length >= 12, "many rings");
    const text = bell.lines.join("");
    for (const ring of apple.sent) {
      expect(text).not.toContain(ring.token);
      expect(text).not.toContain(ring.registrationId);
      expect(text).not.toContain(ring.apnsId);
    }
  });
});

describe("a disk that does not take what has to be noted", () => {
  function broken() {
    const fault = { settle: false, begin: false };
    const wrap = (store: Store): Store => ({
      ...store,
      settle: (list) =>
        fault.settle ? Promise.reject(new BellError("store_unavailable", "disk full")) : store.settle(list),
      begin: (ids) =>
        fault.begin ? Promise.reject(new BellError("store_unavailable", "disk gone")) : store.begin(ids),
    });
    return { fault, wrap };
  }

  test("does not make a phone ring twice: it is noted when the disk works again", async () => {
    const apple = handSender();
    const { fault, wrap } = broken();
    const bell = await over([apple], wrap);
    await bell.register(1);
    fault.settle = true;
    apple.auto = () => accepted;
    await bell.mail(1, 1);
    for (let second = 0; second < 30; second += 1) {
      bell.advance(1_000);
      await settled();
    }
    expect(apple.sent.length).toBe(1);
    expect(await bell.owed()).toBe(1);
    fault.settle = false;
    await bell.advanceUntil(() => bell.dispatcher.inFlight === 0, "the ring to be noted");
    await until(async () => (await bell.owed()) === 0, "nothing owed");
    expect(apple.sent.length).toBe(1);
  });

  test("does not lose what was owed: it rings as soon as the store can be asked again", async () => {
    const apple = handSender();
    const { fault, wrap } = broken();
    const bell = await over([apple], wrap);
    apple.auto = () => accepted;
    await bell.register(1);
    fault.begin = true;
    await bell.mail(1, 1);
    await settled();
    expect(apple.sent.length).toBe(0);
    fault.begin = false;
    await bell.advanceUntil(() => apple.sent.length === 1, "the ring");
  });
});

describe("the dispatcher's signs of life", () => {
  test("show a ring without an answer, but not one that is only to be noted", async () => {
    const apple = handSender();
    const gate = Promise.withResolvers<void>();
    const bell = await over([apple], (store) => ({
      ...store,
      settle: (list) => gate.promise.then(() => store.settle(list)),
    }));
    await bell.register(1);
    await bell.mail(1, 1);
    await until(() => apple.flying.length === 1, "a ring");
    bell.advance(50_000);
    expect(bell.dispatcher.signs().oldestFlightMs).toBe(50_000);
    apple.flying[0]?.answer(accepted);
    await settled();
    expect(bell.dispatcher.inFlight).toBe(1);
    expect(bell.dispatcher.signs().oldestFlightMs).toBe(0);
    gate.resolve();
    await until(async () => (await bell.owed()) === 0, "nothing owed");
  });

  test("are calm through an outage of a provider and of the disk", async () => {
    const apple = handSender();
    apple.auto = () => ({ kind: "unreachable", reason: "ECONNREFUSED", retryAfterMs: null });
    let disk = true;
    const bell = await over([apple], (store) => ({
      ...store,
      due: (...args) => (disk ? store.due(...args) : Promise.reject(new BellError("store_unavailable"))),
    }));
    await bell.register(1);
    await bell.mail(1, 1);
    for (let minute = 0; minute < 30; minute += 1) {
      disk = minute < 10 || minute > 20;
      for (let step = 0; step < 6; step += 1) {
        bell.advance(10_000);
        await settled();
        expect(bell.dispatcher.signs().overdueMs).toBeLessThanOrEqual(10_000);
      }
    }
    expect(bell.dispatcher.signs().oldestFlightMs).toBe(0);
  });

  test("show that nobody looks for what is due any more", async () => {
    let hangs = false;
    const bell = await over([handSender()], (store) => ({
      ...store,
      due: (...args) => (hangs ? new Promise(() => {}) : store.due(...args)),
    }));
    await settled();
    expect(bell.dispatcher.signs().overdueMs).toBe(0);
    hangs = true;
    for (let second = 0; second < 200; second += 1) {
      bell.advance(1_000);
      await settled(1);
    }
    expect(bell.dispatcher.signs().overdueMs).toBeGreaterThan(120_000);
    // The stop is not held up by it for this test's sake.
    endings.pop();
    await bell.opened.close();
  });
});
