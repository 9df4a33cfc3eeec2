// Every answer that Apple and Google are known to give, by the compiled binary: what becomes of the ring, of the
// token, of the queue and of the subscription.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ApnsReason } from "../../../src/rehearsal/apns/refusal.ts";
import { apnsRefusal } from "../../../src/rehearsal/apns/simulator.ts";
import type { FcmReason } from "../../../src/rehearsal/fcm/refusal.ts";
import { fcmRefusal } from "../../../src/rehearsal/fcm/simulator.ts";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import type { Misbehaviour } from "../../../src/rehearsal/provider/misbehaviour.ts";
import { type Running, type Scene, setScene, until } from "../helpers.ts";

type Platform = "apns" | "fcm";
interface Row {
  readonly platform: Platform;
  readonly name: string;
  readonly answer: Misbehaviour;
}
const apple = (...reasons: ApnsReason[]): Row[] =>
  reasons.map((reason) => ({ platform: "apns", name: reason, answer: apnsRefusal(reason) }));
const google = (...reasons: FcmReason[]): Row[] =>
  reasons.map((reason) => ({ platform: "fcm", name: reason, answer: fcmRefusal(reason) }));

// What passes by itself, for this ring or this phone.
const TRIED_AGAIN = [
  ...apple("InternalServerError", "ServiceUnavailable", "Shutdown", "IdleTimeout", "ExpiredProviderToken"),
  ...apple("UnrelatedKeyIdInToken", "TooManyRequests"),
  ...google("INTERNAL", "UNAVAILABLE", "UNAUTHENTICATED", "DEVICE_QUOTA"),
];
// What an administrator has to repair: nothing is lost meanwhile.
const PAUSES = [
  ...apple("MissingTopic", "TopicDisallowed", "BadTopic", "InvalidProviderToken"),
  ...apple("MissingProviderToken", "BadCertificate", "BadCertificateEnvironment"),
  ...apple("BadEnvironmentKeyIdInToken", "Forbidden"),
  ...google("WRONG_PROJECT", "PERMISSION_DENIED", "SERVICE_DISABLED", "THIRD_PARTY_AUTH_ERROR"),
];
// What only a defect of the sender causes: the ring is given up, the next one goes out.
const GIVEN_UP = [
  ...apple("BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "DuplicateHeaders"),
  ...apple("InvalidPushType", "MissingDeviceToken", "PayloadEmpty", "BadPayload", "BadPath"),
  ...apple("MethodNotAllowed", "PayloadTooLarge"),
  ...google("INVALID_ARGUMENT", "INVALID_JSON"),
];
// What ends the token, and with it the subscription.
const ENDS: Row[] = [
  { platform: "apns", name: "Unregistered", answer: apnsRefusal("Unregistered", Date.now() + 3_600_000) },
  { platform: "apns", name: "ExpiredToken", answer: apnsRefusal("ExpiredToken", Date.now() + 3_600_000) },
  ...google("UNREGISTERED", "SENDER_ID_MISMATCH", "INVALID_TOKEN"),
];
// What says something about the token that proves nothing: the subscription lives.
const SPARED: Row[] = [
  { platform: "apns", name: "Unregistered", answer: apnsRefusal("Unregistered", Date.now() - 3_600_000) },
  ...apple("BadDeviceToken"),
];

let scene: Scene;
let appliance: Running;
let made = 0;

beforeAll(async () => {
  scene = await setScene("answers");
  appliance = await scene.up();
  // Both services have accepted rings before: a few refusals among them are no reason to suspect the configuration.
  for (let n = 0; n < 12; n += 1) {
    for (const platform of ["apns", "fcm"] as const) {
      const phone = await enrolled(platform);
      mail(phone);
      await shows(phone, 1);
    }
  }
}, 120_000);
afterAll(() => scene.stop());

async function enrolled(platform: Platform): Promise<Phone> {
  made += 1;
  const phone = scene.addPhone({ platform, mailbox: `box-${made}`, tellsInbox: true });
  await phone.enrol();
  return phone;
}
function mail(phone: Phone): void {
  scene.exchange.mailbox(phone.mailbox).deliver();
}
/** The service answers the phone's next ring like that. */
function refuse(phone: Phone, answer: Misbehaviour): void {
  const service = phone.platform === "apns" ? scene.apns : scene.fcm;
  service.misbehave(answer, { next: 1, token: phone.token });
}
const shows = (phone: Phone, badge: number, limitMs = 30_000) =>
  until(
    () => phone.badge === badge,
    () => `${phone.name} shows ${badge}; it shows ${phone.badge}`,
    limitMs,
  );
const answered = (phone: Phone) =>
  (phone.platform === "apns" ? scene.apns : scene.fcm).requests().filter((r) => r.token === phone.token);
const subscribed = (phone: Phone) =>
  scene.exchange.subscriptions().some(({ mailbox }) => mailbox === phone.mailbox);
const metrics = async () => (await fetch(`${scene.props.urls.admin}/metrics`)).text();
async function paused(platform: Platform): Promise<string[]> {
  const lines = (await metrics()).split("\n");
  return lines.flatMap((line) => {
    const found = /^inboxbell_provider_paused\{.*provider="(\w+)".*reason="(\w+)".*\} 1$/.exec(line);
    return found?.[1] === platform && found[2] !== undefined ? [found[2]] : [];
  });
}

describe("an answer that passes by itself", () => {
  test("costs delay and nothing else", async () => {
    await Promise.all(
      TRIED_AGAIN.map(async ({ platform, answer, name }) => {
        const phone = await enrolled(platform);
        refuse(phone, answer);
        mail(phone);
        await shows(phone, 1, 150_000);
        const ids = answered(phone).map((request) => request.id);
        expect(ids.length, name).toBeGreaterThanOrEqual(2);
        if (platform === "apns") expect(new Set(ids).size, `${name}: one apns-id on every try`).toBe(1);
      }),
    );
  }, 200_000);
});

describe("an answer about the configuration", () => {
  for (const { platform, name, answer } of PAUSES) {
    test(`pauses the queue and loses nothing: ${platform} ${name}`, async () => {
      const phone = await enrolled(platform);
      refuse(phone, answer);
      mail(phone);
      await until(async () => (await paused(platform)).length > 0, "the queue is paused", 10_000);
      await shows(phone, 1, 60_000);
      await until(async () => (await paused(platform)).length === 0, "the queue runs again", 10_000);
      expect(subscribed(phone)).toBe(true);
    }, 90_000);
  }
});

describe("an answer that may be about one phone's token or about the topic", () => {
  test("pauses the queue until another phone tells, and ends nothing: DeviceTokenNotForTopic", async () => {
    const phone = await enrolled("apns");
    refuse(phone, apnsRefusal("DeviceTokenNotForTopic"));
    mail(phone);
    await until(async () => (await paused("apns")).length > 0, "the queue is paused", 10_000);
    const other = await enrolled("apns");
    mail(other);
    await shows(other, 1, 60_000);
    await until(async () => (await paused("apns")).length === 0, "the queue runs again", 10_000);
    expect(answered(phone)).toHaveLength(1);
    expect(subscribed(phone)).toBe(true);
  }, 90_000);
});

describe("an answer that only a defect causes", () => {
  for (const { platform, name, answer } of GIVEN_UP) {
    test(`gives this ring up and keeps the phone: ${platform} ${name}`, async () => {
      const phone = await enrolled(platform);
      refuse(phone, answer);
      mail(phone);
      await until(() => answered(phone).length === 1, "the ring was refused");
      await Bun.sleep(100);
      mail(phone);
      await shows(phone, 2);
      expect(await paused(platform)).toEqual([]);
      expect(subscribed(phone)).toBe(true);
    });
  }
});

describe("an answer about the token", () => {
  for (const { platform, name, answer } of ENDS) {
    test(`ends the subscription where it proves that the app is gone: ${platform} ${name}`, async () => {
      const phone = await enrolled(platform);
      refuse(phone, answer);
      mail(phone);
      await until(() => answered(phone).length === 1, "the ring was refused");
      await Bun.sleep(100);
      mail(phone);
      await until(() => !subscribed(phone), "Exchange was told to unsubscribe");
      expect(answered(phone)).toHaveLength(1);
    });
  }
  for (const { platform, name, answer } of SPARED) {
    test(`ends nothing where it proves nothing: ${platform} ${name}`, async () => {
      const phone = await enrolled(platform);
      refuse(phone, answer);
      mail(phone);
      await until(() => answered(phone).length === 1, "the ring was refused");
      await Bun.sleep(100);
      mail(phone);
      await scene.exchange.idle();
      await Bun.sleep(200);
      expect(subscribed(phone)).toBe(true);
      expect(answered(phone)).toHaveLength(1);
    });
  }
});

describe("an answer about everything that is sent", () => {
  test("makes the whole project wait as long as Google says: PROJECT_QUOTA", async () => {
    const phone = await enrolled("fcm");
    refuse(phone, fcmRefusal("PROJECT_QUOTA"));
    const other = await enrolled("fcm");
    mail(phone);
    await until(() => answered(phone).length === 1, "the ring was refused");
    await until(async () => (await paused("fcm")).length > 0, "the queue is paused");
    mail(other);
    await Bun.sleep(1_000);
    expect(answered(other)).toEqual([]);
    await shows(phone, 1, 120_000);
    await shows(other, 1, 30_000);
  }, 180_000);

  test("makes no further provider token: TooManyProviderTokenUpdates", async () => {
    const phone = await enrolled("apns");
    refuse(phone, apnsRefusal("TooManyProviderTokenUpdates"));
    mail(phone);
    await until(async () => (await paused("apns")).length > 0, "the queue is paused");
    await Bun.sleep(3_000);
    expect(answered(phone)).toHaveLength(1);
    expect(subscribed(phone)).toBe(true);
  });

  test("breaks no rule of either service, and leaves the appliance ready", async () => {
    expect(scene.violations()).toEqual([]);
    expect((await fetch(`${scene.props.urls.admin}/readyz`)).status).toBe(200);
    expect((await appliance.stop()).code).toBe(0);
  });
});
