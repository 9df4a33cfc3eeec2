// The badge is the inbox's own unread count: never a sub-folder's, and none while the inbox is not known.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Heard, type HeardEvents, hear, learnInbox, newsFor } from "../../src/exchange/meaning.ts";
import { parseNotification } from "../../src/exchange/notification.ts";
import type { FolderKind } from "../../src/store/types.ts";
import { keyring } from "../store/helpers.ts";
import { folderChanged, newMail, SAMPLE, sample, type WrittenEvent, write } from "./helpers.ts";

const NOW = 1_760_000_000_000;
const SENT = Date.UTC(2026, 0, 15, 9, 0, 31);

function heardIn(body: Buffer): readonly Heard[] {
  const parsed = parseNotification(body);
  if (parsed.kind === "malformed") throw new Error(parsed.why);
  return hear(parsed.messages, keyring);
}

/** What one message means for an inbox whose id the app gave, or which has to be learnt. */
function news(body: Buffer, given: string | null, kind: FolderKind = "inbox") {
  const heard = heardIn(body);
  const folderMac = given === null ? learnInbox(heard) : keyring.mac("folder", given);
  const { badge, reason } = newsFor(heard[0] as HeardEvents, { kind, folderMac }, NOW);
  return { badge: badge?.count ?? null, reason };
}

const written = (events: readonly WrittenEvent[]) => write([{ events }]);

test("a new mail carries the inbox's count, whether its id was given or is learnt", () => {
  const body = sample("syn-21-newmail-created-modified-unread1.xml");
  expect(news(body, SAMPLE.inbox)).toEqual({ badge: 1, reason: "mail" });
  expect(news(body, null)).toEqual({ badge: 1, reason: "mail" });
});

test("a mail read elsewhere carries the count without ringing for mail", () => {
  const body = sample("syn-22-read-flag-unread0.xml");
  expect(news(body, SAMPLE.inbox)).toEqual({ badge: 0, reason: "changed" });
});

test("while the inbox is not known, a folder's count is not taken but the phone is woken", () => {
  expect(news(sample("syn-22-read-flag-unread0.xml"), null)).toEqual({ badge: null, reason: "changed" });
  expect(news(sample("syn-24-subfolder-of-inbox-modified.xml"), null)).toEqual({
    badge: null,
    reason: "changed",
  });
});

test("a sub-folder's count is not the badge, and wakes the phone", () => {
  const body = sample("syn-24-subfolder-of-inbox-modified.xml");
  expect(news(body, SAMPLE.inbox)).toEqual({ badge: null, reason: "changed" });
  const both = [folderChanged("inbox", "root", 3, "w1"), folderChanged("sub", "inbox", 42, "w2")];
  expect(news(written(both), "inbox")).toEqual({ badge: 3, reason: "changed" });
});

test("a folder's change without a count wakes without a badge", () => {
  const body = sample("syn-23-folder-modified-without-unreadcount.xml");
  expect(news(body, SAMPLE.inbox)).toEqual({ badge: null, reason: "changed" });
});

test("a StatusEvent says nothing, and so does a notification without events", () => {
  expect(news(sample("syn-20-status.xml"), SAMPLE.inbox)).toEqual({ badge: null, reason: null });
  expect(news(written([]), "inbox")).toEqual({ badge: null, reason: null });
});

test("the last count of the inbox wins, whatever comes after it from other folders", () => {
  const events = [
    folderChanged("inbox", "root", 9, "w1"),
    folderChanged("sub", "inbox", 1, "w2"),
    folderChanged("inbox", "root", 8, "w3"),
    folderChanged("sub", "inbox", 2, "w4"),
    folderChanged("inbox", "root", null, "w5"),
  ];
  expect(news(written(events), "inbox").badge).toBe(8);
});

test("what a POST teaches holds for the events before it too", () => {
  const events = [folderChanged("sub", "inbox", 42, "w1"), folderChanged("inbox", "root", 4, "w2")];
  expect(news(written([...events, ...newMail("inbox", 5, "w3").slice(0, 2)]), null).badge).toBe(4);
});

test("the inbox is learnt from new mail before created items, and never from moved items or from folders", () => {
  const created = (parentFolderId: string): WrittenEvent => ({
    kind: "created",
    about: "item",
    parentFolderId,
  });
  const learnt = (events: readonly WrittenEvent[]) => learnInbox(heardIn(written(events)));
  expect(learnt([created("a"), { kind: "newMail", about: "item", parentFolderId: "b" }])).toEqual(
    keyring.mac("folder", "b"),
  );
  expect(learnt([created("a"), created("b")])).toEqual(keyring.mac("folder", "a"));
  expect(
    learnt([
      { kind: "moved", about: "item", parentFolderId: "target" },
      { kind: "copied", about: "item", parentFolderId: "target" },
      { kind: "modified", about: "item", parentFolderId: "somewhere" },
      { kind: "deleted", about: "item", parentFolderId: "somewhere" },
      { kind: "created", about: "folder", folderId: "new", parentFolderId: "somewhere" },
      folderChanged("sub", "somewhere", 3, "w"),
    ]),
  ).toBeNull();
});

test("a new mail outside the known inbox still rings for mail, without a count", () => {
  expect(news(written(newMail("elsewhere", 42, "w")), "inbox")).toEqual({ badge: null, reason: "mail" });
});

test("a changed ChangeKey is the same folder, and ids that differ in case are not", () => {
  const body = Buffer.from(
    written([folderChanged("Inbox", "root", 3, "w")])
      .toString()
      .replace("CQAAAA==", "DQAAAA=="),
  );
  expect(news(body, "Inbox").badge).toBe(3);
  expect(news(body, "inbox").badge).toBeNull();
});

test("calendars and other folders wake the phone without a badge", () => {
  const body = sample("syn-21-newmail-created-modified-unread1.xml");
  expect(news(body, SAMPLE.inbox, "calendar")).toEqual({ badge: null, reason: "calendar" });
  expect(news(body, SAMPLE.inbox, "other")).toEqual({ badge: null, reason: "folder" });
  expect(news(sample("syn-29-freebusychanged.xml"), null, "calendar").reason).toBe("calendar");
  expect(news(sample("syn-20-status.xml"), null, "calendar").reason).toBeNull();
});

test("a badge carries the time that Exchange gave its event, or else the present", () => {
  const eventAt = (time: string | null) => {
    const event = { ...folderChanged("inbox", "root", 3, "w"), time };
    const [heard] = heardIn(written([event]));
    const folder = { kind: "inbox" as const, folderMac: keyring.mac("folder", "inbox") };
    return newsFor(heard as HeardEvents, folder, NOW).badge?.eventAt;
  };
  expect(eventAt("2026-01-15T09:00:31Z")).toBe(SENT);
  expect(eventAt(null)).toBe(NOW);
});

// An independent reading of the rule: walk the events with plain strings.
function oracle(events: readonly WrittenEvent[], given: string | null): number | null {
  const taught = [
    ...events.filter((event) => event.kind === "newMail"),
    ...events.filter((event) => event.kind === "created" && event.about === "item"),
  ].find((event) => event.parentFolderId != null);
  const inbox = given ?? taught?.parentFolderId ?? null;
  let badge: number | null = null;
  for (const event of events) {
    if (event.kind !== "modified" || event.about !== "folder" || inbox === null) continue;
    if (event.folderId === inbox && typeof event.unread === "number") badge = event.unread;
  }
  return badge;
}

test("the badge agrees with a plain reading of the rule for any list of events", () => {
  const folderId = fc.constantFrom("inbox", "sub", "other");
  const event: fc.Arbitrary<WrittenEvent> = fc.oneof(
    fc.record({ kind: fc.constant("status" as const) }),
    fc.record({
      kind: fc.constantFrom("created" as const, "newMail" as const, "moved" as const, "modified" as const),
      about: fc.constant("item" as const),
      parentFolderId: fc.option(folderId, { nil: null }),
    }),
    fc.record({
      kind: fc.constantFrom("modified" as const, "created" as const, "moved" as const),
      about: fc.constant("folder" as const),
      folderId,
      parentFolderId: folderId,
      unread: fc.option(fc.nat(99), { nil: null }),
    }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 15 }), fc.option(folderId, { nil: null }), (events, given) => {
      const seen = news(written(events), given);
      expect(seen.badge).toBe(oracle(events, given));
      const quiet = events.every(({ kind }) => kind === "status");
      const mail = events.some(({ kind }) => kind === "newMail");
      expect(seen.reason).toBe(quiet ? null : mail ? "mail" : "changed");
    }),
    { numRuns: 500 },
  );
});
