// How a rehearsal decides what a notification asks for, which ring answered it, and whether the run was good.
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { ChangeEvent } from "../../src/rehearsal/ews/notification.ts";
import type { ObservedPost } from "../../src/rehearsal/ews/simulator.ts";
import type { Push } from "../../src/rehearsal/phone/push.ts";
import { answeredBy, createScore, demandOf, type Happening } from "../../src/rehearsal/score.ts";
import { percentile, type RunResult, summarize, summaryText } from "../../src/rehearsal/summary.ts";

const INBOX = { type: "folder", id: "inbox-id", changeKey: "1" } as const;
const SUB = { type: "folder", id: "sub-id", changeKey: "1" } as const;
const ITEM = { type: "item", id: "item-id", changeKey: "1" } as const;
const TO = { phone: "phone-1", folder: "inbox", inboxId: "inbox-id" } as const;

const event = (kind: ChangeEvent["kind"], more: Partial<ChangeEvent> = {}): ChangeEvent => ({
  kind,
  watermark: "w",
  at: 0,
  object: ITEM,
  parent: INBOX,
  ...more,
});
const counted = (unreadCount: number) => event("Modified", { object: INBOX, unreadCount });

function post(events: readonly ChangeEvent[], more: Partial<ObservedPost> = {}): ObservedPost {
  return {
    subscriptionId: "s",
    mailbox: "mailbox-1",
    folders: ["inbox"],
    kind: "events",
    attempt: 0,
    events,
    moreEvents: false,
    bytes: 1,
    sentAtMs: 0,
    ...more,
  };
}
const push = (reason: string, badge: number | null): Push => ({
  reason,
  badge,
  folder: null,
  visible: false,
  at: 0,
  wrong: null,
});

test("asks for a ring of the right kind, with the inbox's own last count", () => {
  const sub = event("Modified", { object: SUB, parent: INBOX, unreadCount: 42 });
  const cases: [ObservedPost, "inbox" | "calendar", unknown][] = [
    [post([event("Created"), event("NewMail"), counted(3)]), "inbox", { reason: "mail", badge: 3 }],
    [post([counted(3), counted(2), sub]), "inbox", { reason: "changed", badge: 2 }],
    [post([event("NewMail"), sub]), "inbox", { reason: "mail", badge: null }],
    [post([sub]), "inbox", null],
    [post([event("Created"), counted(0)]), "calendar", { reason: "calendar", badge: null }],
    [post([], { kind: "status" }), "inbox", null],
    [post([], { kind: "error" }), "inbox", { reason: "resubscribe", badge: null }],
  ];
  for (const [given, folder, demand] of cases)
    expect(demandOf(given, { ...TO, folder })).toEqual(demand as never);
});

test("answers what the ring's count covers, and nothing newer", () => {
  const open = [1, 2, 3].map((badge) => ({ reason: "mail", badge }) as const);
  expect(answeredBy({ badge: 2 }, open)).toBe(2);
  expect(answeredBy({ badge: 3 }, open)).toBe(3);
  expect(answeredBy({ badge: 9 }, open)).toBe(0);
  expect(answeredBy({ badge: null }, open)).toBe(3);
});

test("measures from each POST to the ring that answered it, and shows the longest", () => {
  const told: Happening[] = [];
  const score = createScore((happening) => told.push(happening));
  score.posted(post([event("NewMail"), counted(1)], { sentAtMs: 100 }), TO);
  score.posted(post([event("NewMail"), counted(2)], { sentAtMs: 110 }), TO);
  score.rang("phone-1", "mailbox-1", "APNs", push("mail", 2), 125);
  score.rang("phone-1", "mailbox-1", "APNs", push("mail", 2), 130);
  expect([...score.latenciesMs]).toEqual([25, 15]);
  expect(
    told.map((happening) => (happening.kind === "ring" ? happening.latencyMs : happening.unread)),
  ).toEqual([1, 2, 25, null]);
  expect(told.map(({ phone }) => phone)).toEqual(Array(4).fill("phone-1"));
  expect([score.notifications, score.rings, score.missingWakes()]).toEqual([2, 2, 0]);
});

test("lets a ring for new mail answer other changes of the inbox, but not the calendar", () => {
  const score = createScore(() => {});
  score.posted(post([counted(4)]), TO);
  score.posted(post([event("Created")]), { ...TO, folder: "calendar" });
  score.posted(post([event("NewMail"), counted(5)]), TO);
  score.rang("phone-1", "mailbox-1", "FCM", push("mail", 5), 10);
  // A change that waited to be merged is answered, but does not count as a delay.
  expect([score.latenciesMs.length, score.missingWakes()]).toEqual([1, 1]);
  score.rang("phone-1", "mailbox-1", "FCM", push("calendar", null), 10);
  expect(score.missingWakes()).toBe(0);
});

test("shows the delay of a new mail from its own POST, not from that of a change that its ring answers too", () => {
  const shown: (number | null)[] = [];
  const score = createScore((happening) => {
    if (happening.kind === "ring") shown.push(happening.latencyMs);
  });
  score.posted(post([counted(4)], { sentAtMs: 0 }), TO);
  score.posted(post([event("NewMail"), counted(5)], { sentAtMs: 1900 }), TO);
  score.rang("phone-1", "mailbox-1", "APNs", push("mail", 5), 1910);
  // A ring that answers only what is of another kind is counted from that.
  score.posted(post([counted(6)], { sentAtMs: 2000 }), TO);
  score.rang("phone-1", "mailbox-1", "APNs", push("mail", 6), 2500);
  expect(shown).toEqual([10, 500]);
});

test("misses a wake-up that went to another phone of the same mailbox", () => {
  const score = createScore(() => {});
  for (const phone of ["phone-1", "phone-2"]) {
    score.posted(post([event("NewMail"), counted(1)]), { ...TO, phone });
  }
  score.rang("phone-1", "mailbox-1", "APNs", push("mail", 1), 5);
  score.rang("phone-1", "mailbox-1", "APNs", push("mail", 1), 6);
  expect(score.missingWakes()).toBe(1);
});

const GOOD: RunResult = {
  seconds: 10,
  notifications: 3,
  rings: 3,
  latenciesMs: [3, 1, 2],
  phones: [{ phone: "phone-1", mailbox: "mailbox-1", badge: 2, unread: 2, touched: true }],
  missingWakes: 0,
  violations: [],
  applianceExit: 0,
};

test("calls a run good only if nothing was lost, no rule broken, and the appliance ended with 0", () => {
  expect(summarize(GOOD)).toMatchObject({ ok: true, lost: 0, p50Ms: 2, p99Ms: 3 });
  const [phone] = GOOD.phones;
  const bad: Partial<RunResult>[] = [
    { phones: [{ ...phone!, badge: 1 }] },
    { phones: [{ ...phone!, badge: null }] },
    { missingWakes: 1 },
    { violations: ["APNs: BadPath"] },
    { applianceExit: 1 },
    { applianceExit: "SIGKILL" },
    { notifications: 0 },
    { rings: 0 },
  ];
  for (const change of bad) {
    const summary = summarize({ ...GOOD, ...change });
    expect([change, summary.ok]).toEqual([change, false]);
    expect(summaryText(summary)).toContain("NOT good");
  }
  // A mailbox in which nothing happened leaves its phone without a badge.
  const quiet = { ...phone!, badge: null, unread: 0, touched: false };
  expect(summarize({ ...GOOD, phones: [quiet] }).ok).toBe(true);
});

test("gives a percentile that is one of the samples and never falls as the share rises", () => {
  expect(percentile([], 0.5)).toBeNull();
  fc.assert(
    fc.property(
      fc.array(fc.integer(), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, a, b) => {
        const sorted = values.toSorted((left, right) => left - right);
        const low = percentile(sorted, Math.min(a, b))!;
        const high = percentile(sorted, Math.max(a, b))!;
        return sorted.includes(low) && low <= high;
      },
    ),
  );
});
