// What strangers, repeats and gaps can do: ring a phone once more at most. And which folders ring at all.
import { afterEach, describe, expect, test } from "bun:test";
import { folder, id, keyring } from "../store/helpers.ts";
import {
  folderChanged,
  inbox,
  inboxOf,
  newMail,
  openExchange,
  statusOf,
  type WrittenMessage,
  write,
} from "./helpers.ts";

type Exchange = Awaited<ReturnType<typeof openExchange>>;
const opened: Exchange[] = [];
async function open(options: Parameters<typeof openExchange>[0] = {}): Promise<Exchange> {
  const exchange = await openExchange(options);
  opened.push(exchange);
  return exchange;
}
afterEach(async () => {
  for (const exchange of opened.splice(0)) await exchange.close();
});

const mail = (unread: number, watermark: string, more: WrittenMessage = {}, at = "inbox-id") =>
  write([{ events: newMail(at, unread, watermark), ...more }]);
const calendarOf = (n: number, generation: number) => ({ ...inboxOf(n, generation), folder: "calendar" });

describe("a stranger who read a callback URL in an event log", () => {
  const FAKE = { subscriptionId: "a stranger's" };

  test("can ring the phone, and takes neither the subscription nor, for long, the badge", async () => {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10)]);
    const url = inboxOf(1, 10);
    await exchange.post(url, mail(3, "w1"));
    await exchange.ringAll(1);
    // A wrong count, a wrong inbox, garbage, a heartbeat, an error, and a body for another subscription.
    await exchange.post(url, mail(999, "x1", FAKE, "another folder"));
    await exchange.post(url, Buffer.from("<garbage"));
    await exchange.post(url, write([{ ...FAKE, events: [{ kind: "status", watermark: "x2" }] }]));
    await exchange.post(url, write([{ ...FAKE, error: "ErrorReadEventsFailed" }]));
    await exchange.ringAll(1);
    const answer = await exchange.post(url, mail(4, "w2", { previousWatermark: "w1" }));
    expect(statusOf(answer)).toBe("OK");
    exchange.time.now += 3_600_000;
    expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 4, folder: null }]);
    // Reading it brings the right count, so the inbox is known again.
    await exchange.post(url, write([{ events: [folderChanged("inbox-id", "root", 3, "w3")] }]));
    expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: 3, folder: null }]);
    expect(await exchange.folderOf(1)).toMatchObject({
      failedAt: null,
      endedGeneration: 0,
      boundGeneration: 10,
    });
  });

  test("and was first to post on it takes the badge only until the next new mail", async () => {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10)]);
    await exchange.post(inboxOf(1, 10), mail(999, "x1", FAKE, "another folder"));
    await exchange.ringAll(1);
    await exchange.post(inboxOf(1, 10), mail(4, "w1"));
    expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 4, folder: null }]);
    await exchange.post(inboxOf(1, 10), write([{ events: [folderChanged("inbox-id", "root", 3, "w2")] }]));
    expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: 3, folder: null }]);
  });

  test("cannot take the inbox from an app that told which one it is", async () => {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10, { folderMac: keyring.mac("folder", "inbox-id") })]);
    await exchange.post(inboxOf(1, 10), mail(999, "x1", FAKE, "another folder"));
    expect((await exchange.ringAll(1)).map((ring) => ring.badge)).toEqual([null]);
    expect((await exchange.folderOf(1)).folderMac).toEqual(keyring.mac("folder", "inbox-id"));
  });

  test("reaches no other folder and no other phone", async () => {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10), folder("calendar", 10)]);
    await exchange.put(2, 10, [inbox(10)]);
    const before = [await exchange.folderOf(1, "calendar"), await exchange.folderOf(2)];
    await exchange.post(inboxOf(1, 10), mail(999, "x1", FAKE));
    await exchange.post(inboxOf(1, 10), write([{ ...FAKE, error: "ErrorReadEventsFailed" }]));
    expect([await exchange.folderOf(1, "calendar"), await exchange.folderOf(2)]).toEqual(before);
    expect(await exchange.ringAll(2)).toEqual([]);
  });

  test("with an older URL reaches nothing once a newer one is heard", async () => {
    const exchange = await open();
    await exchange.put(1, 20, [inbox(20)]);
    await exchange.post(inboxOf(1, 20), mail(1, "w1"));
    await exchange.ringAll(1);
    for (const body of [mail(9, "x"), write([{ error: "ErrorReadEventsFailed" }]), Buffer.from("<garbage")]) {
      await exchange.post(inboxOf(1, 10), body);
    }
    expect(await exchange.ringAll(1)).toEqual([]);
    expect(statusOf(await exchange.post(inboxOf(1, 20), mail(2, "w2")))).toBe("OK");
    expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 2, folder: null }]);
  });
});

test("an app that subscribed twice at one URL keeps its badge while both subscriptions post", async () => {
  const exchange = await open();
  await exchange.put(1, 10, [inbox(10)]);
  await exchange.post(inboxOf(1, 10), mail(1, "a1", { subscriptionId: "a" }));
  await exchange.ringAll(1);
  for (const [n, subscriptionId] of ["b", "a", "b", "a"].entries()) {
    const events = [folderChanged("inbox-id", "root", n, `${subscriptionId}${n}`)];
    await exchange.post(inboxOf(1, 10), write([{ subscriptionId, events }]));
    expect(await exchange.ringAll(1)).toEqual([{ reason: "changed", badge: n, folder: null }]);
  }
});

describe("several folders and phones", () => {
  test("each folder of a phone has its own generation, watermarks and end", async () => {
    const exchange = await open();
    await exchange.put(1, 20, [inbox(20), folder("calendar", 10)]);
    await exchange.post(inboxOf(1, 20), mail(5, "w1"));
    await exchange.post(calendarOf(1, 10), mail(7, "w1", { subscriptionId: "subscription-2" }));
    expect((await exchange.ringAll(1)).map(({ reason, badge }) => [reason, badge])).toEqual([
      ["mail", 5],
      ["calendar", null],
    ]);
    expect(statusOf(await exchange.post(inboxOf(1, 10), mail(6, "w2")))).toBe("Unsubscribe");
    expect(await exchange.folderOf(1, "calendar")).toMatchObject({ endedGeneration: 0, boundGeneration: 10 });
    expect(statusOf(await exchange.post(calendarOf(1, 10), mail(7, "w2")))).toBe("OK");
  });

  test("two phones of one mailbox are rung each by its own subscription, and one's end is not the other's", async () => {
    const exchange = await open();
    for (const n of [1, 2]) await exchange.put(n, 10, [inbox(10)]);
    for (const n of [1, 2]) {
      await exchange.post(inboxOf(n, 10), mail(5, "w1", { subscriptionId: `subscription-${n}` }));
      expect(await exchange.ringAll(n)).toEqual([{ reason: "mail", badge: 5, folder: null }]);
    }
    await exchange.store.submit({
      registrationId: id(1),
      decide: () => ({ change: { delete: { at: exchange.time.now } }, result: null }),
    });
    expect(statusOf(await exchange.post(inboxOf(1, 10), mail(6, "w2")))).toBe("Unsubscribe");
    expect(statusOf(await exchange.post(inboxOf(2, 10), mail(6, "w2")))).toBe("OK");
    expect(await exchange.ringAll(2)).toEqual([{ reason: "mail", badge: 6, folder: null }]);
  });
});

describe("repeats and gaps", () => {
  test("a body that comes again and again rings once, also while its first ring is still owed and after a restart", async () => {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10)]);
    for (let n = 0; n < 3; n += 1)
      expect(statusOf(await exchange.post(inboxOf(1, 10), mail(5, "w1")))).toBe("OK");
    expect(await exchange.ringAll(1)).toHaveLength(1);
    await exchange.reopen();
    expect(await exchange.count("notifications", "duplicate")).toBe(2);
    const [view] = await exchange.store.read([id(1)]);
    expect(view?.owedSince).toBeNull();
  });

  test("several that arrive at the same moment ring once", async () => {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10)]);
    await Promise.all([1, 2, 3].map(() => exchange.post(inboxOf(1, 10), mail(5, "w1"))));
    expect(await exchange.count("notifications", "duplicate")).toBe(2);
    expect(await exchange.ringAll(1)).toHaveLength(1);
  });

  test("a gap is counted once, and the next count heals the badge", async () => {
    const exchange = await open();
    await exchange.put(1, 10, [inbox(10)]);
    const post = (previousWatermark: string, watermark: string, unread: number) =>
      exchange.post(inboxOf(1, 10), mail(unread, watermark, { previousWatermark }));
    await post("w0", "w1", 1);
    await exchange.ringAll(1);
    // w2 and w3, with two mails, were lost.
    await post("w3", "w4", 4);
    expect(await exchange.count("watermarkGaps")).toBe(1);
    expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 4, folder: null }]);
    await post("w4", "w5", 5);
    expect(await exchange.count("watermarkGaps")).toBe(1);
  });
});

describe("an app that wants some folders only", () => {
  const rings = (app: string, kind: string) => app !== "com.example.mail" || kind === "inbox";

  test("is rung for those, and the others are answered and noted", async () => {
    const exchange = await open({ rings });
    await exchange.put(1, 10, [inbox(10), folder("calendar", 10), folder("other", 10, { kind: "other" })]);
    for (const name of ["calendar", "other"]) {
      const answer = await exchange.post({ ...inboxOf(1, 10), folder: name }, mail(5, "w1"));
      expect(statusOf(answer)).toBe("OK");
      await exchange.post({ ...inboxOf(1, 10), folder: name }, Buffer.from("<garbage"));
      await exchange.post({ ...inboxOf(1, 10), folder: name }, write([{ error: "ErrorReadEventsFailed" }]));
      expect(await exchange.folderOf(1, name)).toMatchObject({ lastHeardAt: exchange.time.now, asks: 0 });
    }
    expect(await exchange.ringAll(1)).toEqual([]);
    await exchange.post(inboxOf(1, 10), mail(5, "w1"));
    expect(await exchange.ringAll(1)).toEqual([{ reason: "mail", badge: 5, folder: null }]);
  });

  test("and does not want the inbox gets no badge either", async () => {
    const exchange = await open({ rings: () => false });
    await exchange.put(1, 10, [inbox(10)]);
    expect(statusOf(await exchange.post(inboxOf(1, 10), mail(5, "w1")))).toBe("OK");
    expect(await exchange.ringAll(1)).toEqual([]);
  });
});
