// Store, dispatcher and both senders against the simulated Apple and Google that misbehave: whatever happens, each
// phone ends with its mailbox's last count.
import { afterEach, describe, expect, test } from "bun:test";
import { apnsRefusal } from "../../src/rehearsal/apns/simulator.ts";
import { fcmRefusal } from "../../src/rehearsal/fcm/simulator.ts";
import type { Misbehaviour } from "../../src/rehearsal/provider/misbehaviour.ts";
import { dispatcherOver, id } from "./dispatcher-fixture.ts";
import { APP } from "./helpers.ts";
import { apns, fcm, sendersFor } from "./providers.ts";

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const PHONES = 40;
const platformOf = (n: number) => (n % 2 === 0 ? "apns" : "fcm");
const tokenOf = (n: number) => (n % 2 === 0 ? n.toString(16).padStart(64, "0") : `fcm:${n}`);

async function everything() {
  const apple = await apns();
  const google = await fcm();
  endings.push(
    () => apple.simulator.stop(),
    () => google.simulator.stop(),
  );
  const senders = await sendersFor([{ apnsUrl: apple.url, fcmUrl: google.url, tokenUrl: google.tokenUrl }]);
  const bell = await dispatcherOver(senders);
  endings.push(() => bell.close());
  for (let n = 1; n <= PHONES; n += 1) {
    if (platformOf(n) === "apns") apple.simulator.devices.register(tokenOf(n), APP);
    else google.simulator.devices.register(tokenOf(n));
    await bell.register(n, platformOf(n));
  }
  bell.dispatcher.start();
  const last = new Map<number, number>();
  return {
    bell,
    apple: apple.simulator,
    google: google.simulator,
    /** Mail for every phone, `rounds` times, with the clocks going on. */
    async traffic(rounds: number) {
      for (let round = 0; round < rounds; round += 1) {
        for (let n = 1; n <= PHONES; n += 1) {
          const count = 1 + ((round * 7 + n) % 90);
          last.set(n, count);
          await bell.mail(n, count);
        }
        bell.advance(1_000);
        await Bun.sleep(2);
      }
    },
    /** The clocks go on, a second each few milliseconds, until nothing is owed. */
    async arrived() {
      for (let step = 0; step < 3_000; step += 1) {
        if ((await bell.owed()) === 0 && bell.dispatcher.inFlight === 0) break;
        bell.advance(1_000);
        await Bun.sleep(1);
      }
      const wrong: string[] = [];
      for (const [n, count] of last) {
        const shown =
          platformOf(n) === "apns"
            ? apple.simulator.lastBadge(tokenOf(n))
            : google.simulator.lastUnread(tokenOf(n));
        if (shown !== count) wrong.push(`${id(n)} shows ${shown} instead of ${count}`);
      }
      return wrong;
    },
  };
}

describe("each phone ends with its mailbox's last count", () => {
  test("while both providers behave", async () => {
    const all = await everything();
    await all.traffic(5);
    expect(await all.arrived()).toEqual([]);
    expect([...all.apple.violations(), ...all.google.violations()]).toEqual([]);
  });

  const faults: readonly (readonly [name: string, apple: Misbehaviour, google: Misbehaviour])[] = [
    ["answer with trouble", apnsRefusal("ServiceUnavailable"), fcmRefusal("UNAVAILABLE")],
    ["answer with an error of their own", apnsRefusal("InternalServerError"), fcmRefusal("INTERNAL")],
    ["slow a device down", apnsRefusal("TooManyRequests"), fcmRefusal("DEVICE_QUOTA")],
    ["refuse the configuration", apnsRefusal("InvalidProviderToken"), fcmRefusal("PERMISSION_DENIED")],
    ["refuse streams", { kind: "reset-stream" }, { kind: "close" }],
    ["say GOAWAY", { kind: "goaway", processed: "unprocessed" }, { kind: "abort" }],
    ["say GOAWAY and lose the answer", { kind: "goaway", processed: "unanswered" }, { kind: "close" }],
    ["lower the streams to one", { kind: "lower-streams", to: 1 }, { kind: "delay", ms: 5 }],
    ["cut the connection", { kind: "abort" }, { kind: "abort" }],
  ];
  for (const [name, onApple, onGoogle] of faults) {
    test(`although the providers ${name} for every seventh ring`, async () => {
      const all = await everything();
      all.apple.misbehave(onApple, { every: 7 });
      all.google.misbehave(onGoogle, { every: 7 });
      await all.traffic(4);
      all.apple.behave();
      all.google.behave();
      expect(await all.arrived()).toEqual([]);
    });
  }

  test("after an outage of both, in which mail went on", async () => {
    const all = await everything();
    await all.traffic(1);
    await all.apple.stop();
    await all.google.stop();
    await all.traffic(5);
    await all.apple.start();
    await all.google.start();
    expect(await all.arrived()).toEqual([]);
  });

  test("after the credential was refused for a while", async () => {
    const all = await everything();
    all.apple.misbehave(apnsRefusal("InvalidProviderToken"), { every: 1 });
    all.google.misbehave(fcmRefusal("SERVICE_DISABLED"), { every: 1 });
    await all.traffic(5);
    expect(
      all.bell.dispatcher
        .paused()
        .map(({ reason }) => reason)
        .sort(),
    ).toEqual(["InvalidProviderToken", "SERVICE_DISABLED"]);
    expect(await all.bell.owed()).toBe(PHONES);
    all.apple.behave();
    all.google.behave();
    expect(await all.arrived()).toEqual([]);
  });

  test("after every token was called unknown for a while, and no phone was given up beyond the first few", async () => {
    const all = await everything();
    await all.traffic(2);
    all.apple.misbehave(apnsRefusal("BadDeviceToken"), { every: 1 });
    await all.traffic(8);
    expect(all.bell.dispatcher.paused()).toContainEqual({
      app: APP,
      provider: "apns",
      reason: "BadDeviceToken",
    });
    const views = await all.bell.store.read(Array.from({ length: PHONES }, (_, at) => id(at + 1)));
    const stopped = views.filter(({ state }) => state.kind === "present" && state.dead !== "no");
    expect(stopped.length).toBeLessThanOrEqual(20);
    expect(stopped.length).toBeLessThan(PHONES / 2);
  });
});
