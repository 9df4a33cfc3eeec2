// From a mailbox to a phone, with the compiled binary between simulated Exchange, APNs and FCM: every way in which a
// phone is rung, stops being rung, and is rung again.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Mailbox } from "../../src/rehearsal/ews/mailbox.ts";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { type PhoneWish, type Running, type Scene, setScene, until } from "./helpers.ts";

let scene: Scene;
let appliance: Running;

beforeAll(async () => {
  scene = await setScene("ring", { config: (text) => text.replace("level: info", "level: debug") });
  appliance = await scene.up();
});
afterAll(() => scene.stop());

/** A phone that has registered and subscribed, and its mailbox. */
async function enrolled(wish: PhoneWish): Promise<{ phone: Phone; box: Mailbox }> {
  const phone = scene.addPhone({ tellsInbox: true, ...wish });
  await phone.enrol();
  return { phone, box: scene.exchange.mailbox(wish.mailbox) };
}

const shows = (phone: Phone, badge: number) =>
  until(() => phone.badge === badge, `${phone.name} shows ${badge}; it shows ${phone.badge}`);
const was = (phone: Phone, reason: string) =>
  until(() => phone.pushes.some((push) => push.reason === reason), `${phone.name} is rung for ${reason}`);
const subscribed = (mailbox: string) =>
  scene.exchange.subscriptions().filter((each) => each.mailbox === mailbox).length;
/** Whatever Exchange had to say was said, and whatever followed from it at once has happened. */
async function nothingMore(): Promise<void> {
  await scene.exchange.idle();
  await Bun.sleep(150);
}

describe("new mail", () => {
  test("rings an iPhone with the unread count as its badge", async () => {
    const { phone, box } = await enrolled({ platform: "apns", mailbox: "anna" });
    box.deliver();
    await shows(phone, 1);
    const [push] = scene.apns.history(phone.token);
    expect(push).toMatchObject({ pushType: "alert", priority: 10, topic: "com.example.mail" });
    expect(push!.payload).toEqual({ aps: { badge: 1, "content-available": 1 }, bell: { reason: "mail" } });
    box.deliver();
    await shows(phone, 2);
  });

  test("wakes an Android phone with the unread count as a string", async () => {
    const { phone, box } = await enrolled({ platform: "fcm", mailbox: "ben" });
    box.deliver();
    await shows(phone, 1);
    const [message] = scene.fcm.history(phone.token);
    expect(message).toMatchObject({
      data: { reason: "mail", unread: "1" },
      priority: "high",
      visible: true,
    });
    expect(message!.collapseKey).toBeUndefined();
  });

  test("rings the phone of an app that never told which folder is its inbox", async () => {
    const { phone, box } = await enrolled({ platform: "apns", mailbox: "carla", tellsInbox: false });
    box.deliver();
    await shows(phone, 1);
  });

  test("in a sub-folder never becomes the inbox's badge", async () => {
    const { phone, box } = await enrolled({ platform: "apns", mailbox: "dora" });
    box.createFolder("inbox", "lists");
    box.deliver();
    await shows(phone, 1);
    for (let n = 0; n < 5; n++) box.deliver("inbox/lists");
    box.deliver();
    await shows(phone, 2);
    await nothingMore();
    expect(phone.badge).toBe(2);
    expect(phone.pushes.filter((push) => (push.badge ?? 0) > 2)).toEqual([]);
  });

  test("rings both phones of one mailbox, each on its own registration", async () => {
    const { phone: iphone, box } = await enrolled({ platform: "apns", mailbox: "emil" });
    const { phone: android } = await enrolled({ platform: "fcm", mailbox: "emil" });
    box.deliver();
    await Promise.all([shows(iphone, 1), shows(android, 1)]);
    await iphone.unregister();
    box.deliver();
    await shows(android, 2);
    await until(() => subscribed("emil") === 1, "the iPhone's subscription ended");
    expect(iphone.badge).toBe(1);
  });
});

test("mail that is read elsewhere lowers the badge without a word or a sound", async () => {
  const { phone: iphone, box } = await enrolled({ platform: "apns", mailbox: "fred" });
  const { phone: android } = await enrolled({ platform: "fcm", mailbox: "fred" });
  const first = box.deliver();
  box.deliver();
  await Promise.all([shows(iphone, 2), shows(android, 2)]);
  box.markRead(first);
  await Promise.all([shows(iphone, 1), shows(android, 1)]);
  const push = scene.apns.history(iphone.token).at(-1)!;
  expect(push).toMatchObject({ pushType: "alert", priority: 5, badge: 1, reason: "changed" });
  expect(push.payload.aps).toEqual({ badge: 1 });
  expect(scene.fcm.history(android.token).at(-1)).toMatchObject({
    data: { reason: "changed", unread: "1" },
    priority: "normal",
    visible: false,
  });
});

test("one phone follows its inbox and its calendar, and only the inbox has a badge", async () => {
  const { phone, box } = await enrolled({
    platform: "apns",
    mailbox: "gina",
    folders: ["inbox", "calendar"],
  });
  expect(subscribed("gina")).toBe(2);
  box.changeCalendar();
  await was(phone, "calendar");
  expect(phone.badge).toBeNull();
  expect(scene.apns.history(phone.token).at(-1)).toMatchObject({ pushType: "background", priority: 5 });
  box.deliver();
  await shows(phone, 1);
});

test("a phone that asks for a test ring gets one that can be seen", async () => {
  const { phone } = await enrolled({ platform: "apns", mailbox: "hugo" });
  expect(await phone.askForTestRing()).toBe(202);
  await was(phone, "test");
  expect(phone.pushes.at(-1)).toMatchObject({ reason: "test", visible: true, badge: null });
});

test("a phone whose app got a new token is rung at the new one only", async () => {
  const { phone, box } = await enrolled({ platform: "apns", mailbox: "ines" });
  box.deliver();
  await shows(phone, 1);
  const old = phone.token;
  const before = scene.apns.history(old).length;
  await phone.changeToken(scene.newToken("apns"));
  box.deliver();
  await shows(phone, 2);
  expect(scene.apns.history(old)).toHaveLength(before);
  // The renewal asked for no new subscription, so the first one is still the one.
  expect(subscribed("ines")).toBe(1);
});

test("a token that two registrations hold is rung for each: nothing proves that they are of one phone", async () => {
  // The app was reinstalled: it lost its id and secret, the system gave it the same token.
  const { phone: before, box } = await enrolled({ platform: "apns", mailbox: "jan" });
  const after = scene.addPhone({ platform: "apns", mailbox: "jan", tellsInbox: true });
  await after.enrol();
  await after.changeToken(before.token);
  box.deliver();
  await until(() => scene.apns.history(after.token).length === 2, "the token is rung for both");
  await nothingMore();
  expect(scene.apns.history(after.token).map((push) => push.badge)).toEqual([1, 1]);
});

describe("an app that is gone from its phone", () => {
  test.each(["apns", "fcm"] as const)(
    "(%s) has its subscription ended by Exchange's next POST",
    async (platform) => {
      const mailbox = `gone-${platform}`;
      const { phone, box } = await enrolled({ platform, mailbox });
      box.deliver();
      await shows(phone, 1);
      if (platform === "apns") scene.apns.devices.unregister(phone.token, Date.now());
      else scene.fcm.devices.unregister(phone.token);
      box.deliver();
      await until(async () => (await stateOf(phone)) === "dead", "the app is told that its token is dead");
      // Only now is it known: the POST that found it out had its OK already.
      expect(subscribed(mailbox)).toBe(1);
      box.deliver();
      await until(() => subscribed(mailbox) === 0, "Exchange was told Unsubscribe");
      // The user installs it again: a new token, a new subscription, and the ring goes on.
      await phone.changeToken(scene.newToken(platform));
      await phone.enrol();
      box.deliver();
      await shows(phone, 4);
    },
  );
});

test("a token that Apple does not know is rung no more, costs no subscription, and a new one is rung at once", async () => {
  const { phone, box } = await enrolled({ platform: "apns", mailbox: "kurt" });
  box.deliver();
  await shows(phone, 1);
  const bad = phone.token;
  scene.apns.devices.forget(bad);
  const asked = () => scene.apns.requests().filter((request) => request.token === bad).length;
  const before = asked();
  box.deliver();
  await until(async () => (await stateOf(phone)) === "dead", "the app is told that its token is refused");
  expect(asked()).toBe(before + 1);
  box.deliver();
  await nothingMore();
  expect([asked(), subscribed("kurt"), phone.badge]).toEqual([before + 1, 1, 1]);
  await phone.changeToken(scene.newToken("apns"));
  // What came meanwhile is still owed: nothing new has to happen in the mailbox.
  await shows(phone, 3);
  expect([asked(), subscribed("kurt")]).toEqual([before + 1, 1]);
});

test("a registration that its user deleted is never rung again, and Exchange is told Unsubscribe", async () => {
  const { phone, box } = await enrolled({
    platform: "fcm",
    mailbox: "lena",
    folders: ["inbox", "calendar"],
  });
  box.deliver();
  await shows(phone, 1);
  await phone.unregister();
  const rings = scene.fcm.history(phone.token).length;
  box.deliver();
  box.changeCalendar();
  await until(() => subscribed("lena") === 0, "both subscriptions ended");
  expect(scene.fcm.history(phone.token)).toHaveLength(rings);
  // Its id is spent; the app makes a new one by itself.
  const spent = phone.registrationId;
  await phone.enrol();
  expect(phone.registrationId).not.toBe(spent);
  box.deliver();
  await shows(phone, 3);
});

test("a phone subscribes again when Exchange reports that its subscription failed", async () => {
  const { phone, box } = await enrolled({ platform: "apns", mailbox: "mila" });
  box.deliver();
  await shows(phone, 1);
  scene.exchange.sendError("mila", "ErrorReadEventsFailed", true);
  await was(phone, "resubscribe");
  await until(() => subscribed("mila") === 1, "the app subscribed again");
  await phone.settled();
  box.deliver();
  await shows(phone, 2);
  expect(await stateOf(phone)).toBe("live");
});

test("an older wish that arrives late changes nothing", async () => {
  const { phone, box } = await enrolled({ platform: "apns", mailbox: "nils" });
  await phone.changeToken(scene.newToken("apns"));
  expect(await phone.repeatFirstPut()).toBe(409);
  box.deliver();
  await shows(phone, 1);
});

// Last, since it looks at everything that was written above.
test("one correlation id leads from a POST to its ring, and no line of the log names anybody", async () => {
  const { phone, box } = await enrolled({ platform: "apns", mailbox: "olga" });
  box.deliver();
  await shows(phone, 1);
  expect(scene.violations()).toEqual([]);
  const subscriptionIds = scene.exchange.subscriptions().map((each) => each.id);
  const mailboxes = scene.exchange.mailboxes();
  expect((await appliance.stop()).code).toBe(0);
  const lines = appliance.lines.filter((line) => line !== "");
  const parsed = lines.map((line) => {
    expect(line).toMatch(/^\{.*\}$/);
    return JSON.parse(line) as Record<string, unknown>;
  });
  const rang = parsed.filter((line) => line.msg === "Rang.").at(-1)!;
  expect(rang.correlationId).toMatch(/^\S{6,}$/);
  const heard = parsed.filter(
    (line) => line.msg === "Exchange was heard." && line.correlationId === rang.correlationId,
  );
  expect(heard).toHaveLength(1);
  expect(heard[0]!.registration).toBe(rang.registration);
  const text = lines.join("\n").toLowerCase();
  const personal = [
    ...subscriptionIds,
    ...mailboxes.flatMap((each) => [each.name, each.guidText, each.folderId("inbox")]),
    phone.token,
    phone.registrationId,
    scene.props.enrolmentSecret,
    new URL(scene.callbackUrl(phone)).pathname.slice("/ews/".length),
  ];
  for (const value of personal) expect(text).not.toContain(value.toLowerCase());
});

async function stateOf(phone: Phone): Promise<unknown> {
  return ((await phone.look()) as { state?: unknown }).state;
}
