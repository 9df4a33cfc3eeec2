// The life of subscriptions with the compiled binary and a simulated Exchange, both on a clock in a hurry: what Exchange
// loses without a word is noticed and repaired by the phones' own apps, and what survives is left alone.
import { afterEach, describe, expect, test } from "bun:test";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { type PhoneWish, type Running, type Scene, setScene, testBinary, until } from "../helpers.ts";

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

interface Hurried extends Scene {
  /** Starts the appliance with the same clock as Exchange. */
  begin(): Promise<Running>;
  /** How long so many minutes last. */
  readonly ms: (minutes: number) => number;
}

/** A scene in which a minute lasts so many milliseconds. */
async function hurried(title: string, minuteMs: number, frequency = "15m"): Promise<Hurried> {
  const scene = await setScene(title, {
    timeScale: 60_000 / minuteMs,
    config: (text) => `${text}subscriptions: { status_frequency: ${frequency} }\n`,
  });
  endings.push(() => scene.stop());
  return {
    ...scene,
    ms: (minutes) => minutes * minuteMs,
    begin: () =>
      scene.up([testBinary, "serve", "--config", scene.props.configFile], {
        env: { INBOXBELL_TEST_MINUTE_MS: String(minuteMs) },
      }),
  };
}

async function enrolled(on: Scene, wishes: readonly PhoneWish[]): Promise<Phone[]> {
  const phones = wishes.map((wish) => on.addPhone({ tellsInbox: true, ...wish }));
  await Promise.all(phones.map((phone) => phone.enrol()));
  await until(() => everyone(phones, "live"), "every phone's subscription lives");
  return phones;
}

/** One phone for each mailbox, iPhones and others in turn. */
const boxes = (count: number): PhoneWish[] =>
  Array.from({ length: count }, (_, n) => ({
    platform: n % 2 === 0 ? "apns" : "fcm",
    mailbox: `box-${n}`,
  }));

async function stateOf(phone: Phone): Promise<string> {
  return ((await phone.look()) as { readonly state: string }).state;
}
async function everyone(phones: readonly Phone[], state: string): Promise<boolean> {
  const states = await Promise.all(phones.map(stateOf));
  return states.every((each) => each === state);
}
const asksOf = (phone: Phone) => phone.pushes.filter(({ reason }) => reason === "resubscribe").length;
const mailsOf = (phone: Phone) => phone.pushes.filter(({ reason }) => reason === "mail").length;
const isRight = (on: Scene, phone: Phone) => phone.badge === on.exchange.unread(phone.mailbox, "inbox");

/** New mail for everyone, and the right count on every icon. */
async function mailArrives(on: Scene, phones: readonly Phone[]): Promise<void> {
  for (const { mailbox } of phones) on.exchange.mailbox(mailbox).deliver();
  await until(
    () => phones.every((phone) => isRight(on, phone)),
    () => `every icon is right: ${phones.map(({ badge }) => badge).join(" ")}`,
  );
}
async function metric(on: Scene, name: string): Promise<number> {
  const text = await (await fetch(`${on.props.urls.admin}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.split(" ")[1] ?? Number.NaN);
}

describe("subscriptions that Exchange loses without a word", () => {
  test("by an application pool's recycle are made again by every phone, each rung once, with one alarm", async () => {
    const on = await hurried("recycle", 250);
    const appliance = await on.begin();
    const phones = await enrolled(on, boxes(12));
    await mailArrives(on, phones);
    const begin = performance.now();
    expect(on.exchange.forget()).toBe(12);
    await until(() => phones.every((phone) => asksOf(phone) === 1), "every phone was asked", on.ms(45));
    // Twice the frequency and the slack after it was heard last, and a look a minute.
    expect(performance.now() - begin).toBeGreaterThan(on.ms(15));
    await until(() => everyone(phones, "live"), "every phone's subscription lives again");
    expect(on.exchange.subscriptions()).toHaveLength(12);
    await mailArrives(on, phones);
    await until(async () => (await metric(on, "inboxbell_exchange_servers_silent")) === 1, "the gauge tells");
    expect(appliance.lines.filter((line) => line.includes("exchange_forgot"))).toHaveLength(1);
    // Nobody is asked again.
    await Bun.sleep(on.ms(40));
    expect(phones.map(asksOf)).toEqual(phones.map(() => 1));
    expect(await everyone(phones, "live")).toBe(true);
    expect(on.violations()).toEqual([]);
  }, 90_000);

  test("by a mailbox's move are made again by its own phone alone", async () => {
    const on = await hurried("move", 250);
    const appliance = await on.begin();
    const phones = await enrolled(on, boxes(6));
    const [moved, ...others] = phones;
    on.exchange.moveMailbox("box-0", "ex02.corp.example");
    await until(() => asksOf(moved!) === 1, "the phone was asked", on.ms(45));
    await until(() => everyone(phones, "live"), "its subscription lives again");
    await mailArrives(on, phones);
    expect(others.map(asksOf)).toEqual(others.map(() => 0));
    expect(appliance.lines.filter((line) => line.includes("exchange_forgot"))).toEqual([]);
    expect(on.violations()).toEqual([]);
  }, 90_000);

  test("in one of a phone's folders are made again for that folder", async () => {
    const on = await hurried("folders", 250);
    await on.begin();
    const [phone] = await enrolled(on, [
      { platform: "fcm", mailbox: "box-0", folders: ["inbox", "calendar"] },
    ]);
    on.exchange.forget();
    await until(() => asksOf(phone!) === 2, "the phone was asked about both", on.ms(45));
    const folders = phone!.pushes.flatMap(({ reason, folder }) => (reason === "resubscribe" ? [folder] : []));
    expect(folders.sort()).toEqual(["calendar", "inbox"]);
    await until(() => everyone([phone!], "live"), "both live again");
    expect(on.exchange.subscriptions()).toHaveLength(2);
  }, 90_000);
});

describe("an error notification", () => {
  for (const announcedMove of [false, true]) {
    test(`${announcedMove ? "of a mailbox that moves" : "of any kind"} is answered by a new subscription at once`, async () => {
      const on = await hurried("error", 1_000);
      await on.begin();
      const phones = await enrolled(on, boxes(4));
      if (announcedMove) on.exchange.moveMailbox("box-1", "ex02.corp.example", true);
      else on.exchange.sendError("box-1", "ErrorReadEventsFailed", true);
      await until(() => asksOf(phones[1]!) === 1, "the phone was asked", 10_000);
      await until(() => everyone(phones, "live"), "its subscription lives again", on.ms(2));
      await mailArrives(on, phones);
      expect(phones.map(asksOf)).toEqual([0, 1, 0, 0]);
      expect(on.violations()).toEqual([]);
    }, 60_000);
  }

  test("of a subscription that goes on nevertheless is mended by its next post", async () => {
    const on = await hurried("harmless", 1_000);
    await on.begin();
    const phones = await enrolled(on, boxes(2));
    on.exchange.sendError("box-0", "ErrorServerBusy", false);
    await until(() => asksOf(phones[0]!) === 1, "the phone was asked", 10_000);
    await until(() => everyone(phones, "live"), "all is well");
    await mailArrives(on, phones);
    expect(on.violations()).toEqual([]);
  }, 60_000);
});

describe("an outage of this node", () => {
  // Exchange tries again after 30 s, then after twice as long each time, while the wait is within the StatusFrequency.
  const cases = [
    { minutes: 5, dropped: [] },
    { minutes: 20, dropped: [15] },
    { minutes: 40, dropped: [15, 30] },
  ];
  for (const { minutes, dropped } of cases) {
    test(`of ${minutes} minutes costs the subscriptions that Exchange gave up, and these are made again`, async () => {
      const on = await hurried("outage", 400);
      const before = await on.begin();
      const quick = await enrolled(on, boxes(4));
      const text = await Bun.file(on.props.configFile).text();
      await Bun.write(on.props.configFile, text.replace("status_frequency: 15m", "status_frequency: 30m"));
      before.kill("SIGHUP");
      await until(() => before.lines.some((line) => line.includes("was reloaded")), "it was reloaded");
      const slow = await enrolled(
        on,
        boxes(4).map((wish) => ({ ...wish, mailbox: `slow-${wish.mailbox}` })),
      );
      const all = [...quick, ...slow];
      await mailArrives(on, all);

      before.kill("SIGKILL");
      await before.exited;
      const down = performance.now();
      for (const { mailbox } of all) on.exchange.mailbox(mailbox).deliver();
      // What the start takes belongs to the outage.
      const startMs = 1_200;
      await Bun.sleep(Math.max(0, on.ms(minutes) - startMs));
      await on.begin();
      expect((performance.now() - down) / on.ms(1)).toBeLessThan(minutes + 5);

      const gaveUp = [
        { frequency: 15, phones: quick },
        { frequency: 30, phones: slow },
      ].flatMap(({ frequency, phones }) => (dropped.includes(frequency) ? phones : []));
      const kept = all.filter((phone) => !gaveUp.includes(phone));
      expect(on.exchange.statistics().ended.dropped ?? 0).toBe(gaveUp.length);
      // What survived brings what happened meanwhile by itself.
      await until(() => kept.every((phone) => isRight(on, phone)), "what survived is right", on.ms(35));
      await until(() => gaveUp.every((phone) => asksOf(phone) === 1), "the others were asked", on.ms(75));
      await until(() => everyone(all, "live"), "every subscription lives", on.ms(5));
      await mailArrives(on, all);
      await Bun.sleep(on.ms(35));
      expect(kept.map(asksOf)).toEqual(kept.map(() => 0));
      expect(gaveUp.map(asksOf)).toEqual(gaveUp.map(() => 1));
      expect(on.violations()).toEqual([]);
    }, 180_000);
  }
});

test("bodies that Exchange sends again because the answer was lost ring each phone once", async () => {
  const on = await hurried("again", 250);
  await on.begin();
  const phones = await enrolled(on, boxes(6));
  await mailArrives(on, phones);
  const before = phones.map(mailsOf);
  on.exchange.loseAnswers(phones.length);
  for (const { mailbox } of phones) on.exchange.mailbox(mailbox).deliver();
  await on.exchange.idle();
  await until(() => phones.every((phone) => isRight(on, phone)), "every icon is right");
  expect(on.exchange.statistics().lostAnswers).toBe(phones.length);
  await until(
    async () => (await metric(on, 'inboxbell_notifications_total{result="duplicate"}')) === phones.length,
    "each was met twice",
  );
  await Bun.sleep(1_000);
  expect(phones.map(mailsOf)).toEqual(before.map((mails) => mails + 1));
  expect(on.violations()).toEqual([]);
}, 60_000);
