// Which senders a reload of the configuration makes anew, seen by the providers' connections.
import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { createApnsKey } from "../../src/rehearsal/credentials.ts";
import { accepted, dispatcherOver, until } from "./dispatcher-fixture.ts";
import { ring } from "./helpers.ts";
import { type AppSetup, apns, credentials, FCM_TOKEN, fcm, sendersFor, TOKEN } from "./providers.ts";

const A = "com.example.mail";
const B = "com.example.tablet";

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function providers() {
  const { key } = await credentials();
  const apple = await apns({ keys: [{ ...key, topics: [A, B] }] });
  const google = await fcm();
  apple.simulator.devices.register("cd".repeat(32), B);
  endings.push(
    () => apple.simulator.stop(),
    () => google.simulator.stop(),
  );
  const both: AppSetup[] = [
    { id: A, apnsUrl: apple.url, fcmUrl: google.url, tokenUrl: google.tokenUrl },
    { id: B, apnsUrl: apple.url },
  ];
  return { apple, google, both };
}

type Senders = Awaited<ReturnType<typeof sendersFor>>;

function of(senders: Senders, app: string, platform: "apns" | "fcm") {
  const found = senders.find(({ queue }) => queue.app === app && queue.platform === platform);
  if (found === undefined) throw new Error(`no sender for ${app} on ${platform}`);
  return found.sender;
}
const ringA = ring({ app: A, token: TOKEN });
const ringB = ring({ app: B, token: "cd".repeat(32), apnsId: "00000000-0000-4000-8000-00000000b1d5" });
const ringF = ring({ app: A, platform: "fcm", token: FCM_TOKEN });

function stopAll(...lists: readonly Senders[]) {
  endings.push(() => {
    for (const { sender } of lists.flat()) sender.stop();
  });
}

describe("loading the configuration anew", () => {
  test("gives back every sender of which nothing changed", async () => {
    const { both } = await providers();
    const before = await sendersFor(both);
    const after = await sendersFor(structuredClone(both), { previous: before });
    stopAll(before);
    expect(after.length).toBe(3);
    for (const [at, each] of after.entries()) expect(each).toBe(before[at] as (typeof after)[number]);
  });

  test("keeps the connections of an app whose topic changed, and those of the others", async () => {
    const { apple, google, both } = await providers();
    const before = await sendersFor(both);
    stopAll(before);
    for (const [sender, one] of [
      [of(before, A, "apns"), ringA],
      [of(before, B, "apns"), ringB],
      [of(before, A, "fcm"), ringF],
    ] as const) {
      expect(await sender.send(one)).toEqual(accepted);
    }
    const connections = [apple.simulator.totals().connections, google.simulator.totals().connections];
    const after = await sendersFor([{ ...both[0], topic: B }, both[1] as AppSetup], { previous: before });
    stopAll(after);
    expect(of(after, A, "apns")).not.toBe(of(before, A, "apns"));
    expect(of(after, B, "apns")).toBe(of(before, B, "apns"));
    expect(of(after, A, "fcm")).toBe(of(before, A, "fcm"));
    of(before, A, "apns").stop();
    expect(await of(after, A, "apns").send({ ...ringA, token: ringB.token })).toEqual(accepted);
    expect(await of(after, B, "apns").send(ringB)).toEqual(accepted);
    expect([apple.simulator.totals().connections, google.simulator.totals().connections]).toEqual(
      connections,
    );
  });

  test("makes new connections for every app that uses a key whose file changed", async () => {
    const { both } = await providers();
    const before = await sendersFor(both);
    stopAll(before);
    const { key } = await credentials();
    const other = await createApnsKey(randomBytes);
    const credential = { type: "key", ...key, privateKey: other.privateKey } as const;
    const after = await sendersFor(
      both.map((setup) => ({ ...setup, credential })),
      { previous: before },
    );
    stopAll(after);
    for (const app of [A, B]) expect(of(after, app, "apns")).not.toBe(of(before, app, "apns"));
    expect(of(after, A, "fcm")).toBe(of(before, A, "fcm"));
    expect((await of(after, A, "apns").send(ringA)).kind).toBe("configuration");
    expect(await of(before, B, "apns").send(ringB)).toEqual(accepted);
  });

  test("lets a new app share the connections of those with the same key", async () => {
    const { apple, both } = await providers();
    const before = await sendersFor([both[1] as AppSetup]);
    stopAll(before);
    expect(await of(before, B, "apns").send(ringB)).toEqual(accepted);
    const after = await sendersFor(both, { previous: before });
    stopAll(after);
    expect(await of(after, A, "apns").send(ringA)).toEqual(accepted);
    expect(apple.simulator.totals().connections).toBe(1);
  });

  test("ends the connections with the last app that uses them, not before", async () => {
    const { both } = await providers();
    const senders = await sendersFor(both);
    stopAll(senders);
    of(senders, A, "apns").stop();
    of(senders, A, "apns").stop();
    expect(await of(senders, B, "apns").send(ringB)).toEqual(accepted);
    of(senders, B, "apns").stop();
    expect(await of(senders, B, "apns").send(ringB)).toMatchObject({
      kind: "unreachable",
      reason: "stopped",
    });
  });

  test("with another proxy makes all senders anew", async () => {
    const { both } = await providers();
    const before = await sendersFor(both);
    const after = await sendersFor(both, { previous: before, proxy: { url: "http://127.0.0.1:9" } });
    stopAll(before, after);
    for (const { queue, sender } of after) expect(sender).not.toBe(of(before, queue.app, queue.platform));
  });
});

test("a wrong service account and key become right ones at run time, and nothing that was owed is lost", async () => {
  const { apple, google, both } = await providers();
  const { key } = await credentials();
  const other = await createApnsKey(randomBytes);
  const wrong = both.map((setup) => ({
    ...setup,
    credential: { type: "key", ...key, privateKey: other.privateKey } as const,
    projectId: "another-project",
  }));
  const before = await sendersFor(wrong);
  const bell = await dispatcherOver(before);
  endings.push(bell.close);
  for (let n = 1; n <= 40; n += 1) {
    const platform = n % 2 === 0 ? "apns" : "fcm";
    if (platform === "apns") apple.simulator.devices.register(n.toString(16).padStart(64, "0"), A);
    else google.simulator.devices.register(`fcm:${n}`);
    await bell.register(n, platform, A);
    await bell.mail(n, n);
  }
  bell.dispatcher.start();
  await until(() => bell.dispatcher.paused().length === 2 && bell.dispatcher.inFlight === 0, "two pauses");
  expect(await bell.owed()).toBe(40);
  bell.dispatcher.replaceSenders(await sendersFor(both, { previous: before }));
  await until(async () => (await bell.owed()) === 0, "nothing owed");
  expect(bell.dispatcher.paused()).toEqual([]);
  for (let n = 1; n <= 40; n += 1) {
    const shown =
      n % 2 === 0
        ? apple.simulator.lastBadge(n.toString(16).padStart(64, "0"))
        : google.simulator.lastUnread(`fcm:${n}`);
    expect(shown).toBe(n);
  }
});
