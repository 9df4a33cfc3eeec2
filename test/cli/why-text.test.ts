// The answer of `why`, story by story: how it stands, what happens next, and what can be done.
import { describe, expect, test } from "bun:test";
import { followedTo } from "../../src/cli/ring.ts";
import { whyText } from "../../src/cli/why.ts";
import { answerWords } from "../../src/delivery/answer-words.ts";
import { APNS_TABLE } from "../../src/delivery/apns/outcome.ts";
import { FCM_TABLE } from "../../src/delivery/fcm/outcome.ts";
import type { FolderFacts, NodeFacts, PhoneFacts } from "../../src/phones/facts.ts";
import { explain } from "../../src/phones/why.ts";

const NOW = Date.UTC(2026, 0, 15, 12);
const MINUTE = 60_000;
const ID = "3c9f5d60-8a1b-4f1e-9d55-0a1b2c3d4e5f";

const node: NodeFacts = {
  role: "active",
  ringing: false,
  pause: null,
  stalled: false,
  refused: null,
  test: null,
};

const inbox: FolderFacts = {
  name: "inbox",
  kind: "inbox",
  state: "live",
  lastHeardAt: NOW - 3 * MINUTE,
  troubledAt: null,
  asks: 0,
  askedAt: null,
  rings: true,
};

const phone: NonNullable<PhoneFacts["phone"]> = {
  app: "com.example.mail",
  platform: "apns",
  state: "live",
  dead: "no",
  revision: 1,
  createdAt: NOW - 100 * 24 * 60 * MINUTE,
  renewedAt: NOW - 5 * 24 * 60 * MINUTE,
  idleAt: NOW + 55 * 24 * 60 * MINUTE,
};

const good: PhoneFacts = {
  registrationId: ID,
  now: NOW,
  standing: "present",
  endedAt: null,
  phone,
  folders: [inbox],
  newsAt: NOW - 10 * MINUTE,
  badge: { count: 3, acceptedAt: NOW - 10 * MINUTE, isOwed: false },
  owed: null,
  lastRing: { at: NOW - 10 * MINUTE, reason: "mail", outcome: "accepted", attempts: 1 },
  accepted: 12,
  node,
};

const owes = (
  due: Partial<NonNullable<NonNullable<PhoneFacts["owed"]>["due"]>> = {},
): PhoneFacts["owed"] => ({
  reasons: [{ reason: "mail", folder: null, since: NOW - MINUTE }],
  due: { since: NOW - MINUTE, notBefore: NOW - MINUTE, heldUntil: 0, attempt: 0, ...due },
  next: { reason: "mail", at: NOW },
});

/** Everything that is told. */
function told(facts: Partial<PhoneFacts>): string {
  return whyText(ID, explain({ ...good, ...facts }));
}

const stories: readonly (readonly [name: string, facts: Partial<PhoneFacts>, ...says: string[]])[] = [
  [
    "was rung",
    {},
    "The phone was rung (new mail, 10 min ago) and Apple took it.",
    "docs/phone.md (packages: in /usr/share/doc/inboxbell)",
    "owed          nothing",
    "unread count 3",
    "unless its app renews it",
  ],
  [
    "was deleted",
    { standing: "deleted", endedAt: NOW - MINUTE, phone: null },
    "Its id is spent",
    "Unsubscribe",
  ],
  ["fell idle", { standing: "idle", endedAt: NOW - MINUTE, phone: null }, "fell idle", "Open the app"],
  ["is unknown", { standing: "unknown", phone: null }, "No registration has this id."],
  [
    "was never heard",
    { folders: [{ ...inbox, state: "expected", lastHeardAt: null }], lastRing: null, newsAt: null },
    "Exchange has never been heard",
    "EwsMaxSubscriptions",
  ],
  [
    "has a token that Apple calls dead",
    {
      phone: { ...phone, state: "dead", dead: "ended" },
      lastRing: { at: NOW, reason: "mail", outcome: "Unregistered", attempts: 1 },
    },
    "This phone is not rung",
    "the app is gone from the phone",
    "answered Unsubscribe",
  ],
  [
    "has a token that Apple does not know",
    {
      phone: { ...phone, state: "dead", dead: "stopped" },
      lastRing: { at: NOW, reason: "mail", outcome: "BadDeviceToken", attempts: 1 },
      owed: { ...owes()!, due: null, next: null },
    },
    "lives on",
    "What is owed is kept",
    "apns.environment",
  ],
  [
    "belongs to a paused app",
    {
      owed: owes(),
      node: {
        ...node,
        pause: { reason: "InvalidProviderToken", hint: "Check apns.key.", since: NOW - MINUTE },
      },
    },
    "waits: all of com.example.mail on apns is paused since",
    "Check apns.key.",
  ],
  [
    "belongs to a stalled app",
    { owed: owes(), node: { ...node, stalled: true } },
    "accepts none, although nothing says why",
    "whether Apple reports an outage",
  ],
  [
    "is known to a passive node",
    { owed: owes(), node: { ...node, role: "passive" } },
    "the passive one of its pair",
  ],
  ["is being rung", { owed: owes(), node: { ...node, ringing: true } }, "on its way at this moment"],
  [
    "is tried again",
    {
      owed: owes({ heldUntil: NOW + MINUTE, notBefore: NOW + MINUTE, attempt: 2 }),
      node: { ...node, refused: { at: NOW - 1000, reason: "mail", outcome: "InternalServerError" } },
    },
    "the last try did not get through: Apple had trouble of its own",
    "2 tries so far",
    "in 60 s",
  ],
  [
    "used up its allowance",
    { owed: owes({ notBefore: NOW + MINUTE }) },
    "its allowance is used up",
    "Nothing has to be done.",
  ],
  [
    "waits for more changes",
    {
      owed: {
        reasons: [{ reason: "changed", folder: null, since: NOW }],
        due: { since: NOW, notBefore: NOW + 2000, heldUntil: 0, attempt: 0 },
        next: { reason: "changed", at: NOW + 2000 },
      },
    },
    "ringing.merge_changes",
  ],
  [
    "has its turn after a restore",
    {
      owed: { ...owes({ notBefore: NOW + 9 * MINUTE })!, reasons: [] },
      badge: { count: 3, acceptedAt: NOW, isOwed: true },
      lastRing: { at: NOW, reason: "changed", outcome: "unknown", attempts: 0 },
    },
    "restored from a backup",
    "in 9 min",
  ],
  ["is due", { owed: owes({ since: NOW, notBefore: NOW }) }, "it is due now"],
  ["stands in a long line", { owed: owes() }, "others are due before it"],
  ["waits for the service", { owed: owes(), node: null }, "no node is running", "systemctl start inboxbell"],
  [
    "lost its subscription",
    {
      phone: { ...phone, state: "resubscribe" },
      folders: [
        { ...inbox, state: "silent", troubledAt: NOW - 20 * MINUTE, asks: 2, askedAt: NOW - 5 * MINUTE },
      ],
    },
    "has to subscribe again at Exchange (inbox silent",
    "was asked to subscribe again 5 min ago",
    "asked 2 times",
  ],
  [
    "lost its subscription and is about to be told",
    {
      phone: { ...phone, state: "resubscribe" },
      folders: [{ ...inbox, state: "failed", troubledAt: NOW - MINUTE }],
      owed: {
        reasons: [{ reason: "resubscribe", folder: "inbox", since: NOW - MINUTE }],
        due: { since: NOW - MINUTE, notBefore: NOW + MINUTE, heldUntil: 0, attempt: 0 },
        next: { reason: "resubscribe", at: NOW + MINUTE },
      },
    },
    "has to subscribe again at Exchange (inbox failed",
    "That ring waits: the phone was rung so often",
  ],
  [
    "has had no news",
    { newsAt: null, badge: null, lastRing: null },
    "has told of nothing yet",
    "inboxbell ring",
  ],
  [
    "has a ring that was given up",
    { lastRing: { at: NOW, reason: "mail", outcome: "PayloadTooLarge", attempts: 1 } },
    "reached nobody: Apple called the ring malformed",
  ],
  [
    "follows a folder that does not ring",
    { folders: [inbox, { ...inbox, name: "calendar", kind: "calendar", rings: false }] },
    "this app is not rung for it (ring_folders)",
  ],
];

describe("why tells of a phone that", () => {
  test.each(stories)("%s", (_, facts, ...says) => {
    const text = told(facts);
    for (const sentence of says) expect(text).toContain(sentence);
    expect(text).toContain(ID);
    expect(text).toMatch(/^next +\S/m);
    expect(text).not.toMatch(/undefined|\bnull\b|NaN|Invalid Date/);
  });

  test("was rung, without anything that it does not know when no node runs", () => {
    expect(told({ node: null })).toMatch(/^next +Nothing until the service runs/m);
  });
});

test("every answer that a provider documents has words of its own", () => {
  for (const [platform, table] of [
    ["apns", APNS_TABLE],
    ["fcm", FCM_TABLE],
  ] as const) {
    for (const key of Object.keys(table)) {
      const [status, reason = ""] = key.split(" ");
      if (reason === "*" || status === "200") continue;
      expect([reason, answerWords(platform, reason)]).toEqual([
        reason,
        expect.not.stringMatching(/ answered /),
      ]);
    }
  }
  expect(answerWords("apns", "constructor")).toBe("Apple answered constructor");
  expect(answerWords("fcm", "status_502")).toContain("trouble of its own");
});

describe("a test ring", () => {
  const asked = NOW - 1000;
  const testOwed = { ...owes()!, reasons: [{ reason: "test", folder: null, since: asked }] } as const;

  test("is accepted only if an answer after it says so", () => {
    const last = (at: number, outcome: string) =>
      followedTo({ ...good, lastRing: { at, reason: "test", outcome, attempts: 1 } }, asked).kind;
    expect(last(NOW, "accepted")).toBe("accepted");
    expect(last(asked - 1, "accepted")).toBe("refused");
    expect(last(NOW, "PayloadTooLarge")).toBe("refused");
  });

  test("is known to be accepted although another ring followed it at once", () => {
    const answer = { at: NOW, reason: "test", outcome: "accepted" } as const;
    expect(followedTo({ ...good, node: { ...node, test: answer } }, asked).kind).toBe("accepted");
  });

  test("waits as long as it is owed, with the reason", () => {
    const followed = followedTo({ ...good, owed: testOwed, node: { ...node, ringing: true } }, asked);
    expect(followed).toEqual({ kind: "waits", text: expect.stringContaining("on its way") });
  });

  test("is refused where the phone is not rung, and gone where the registration is", () => {
    const dead = followedTo({ ...good, owed: testOwed, phone: { ...phone, dead: "stopped" } }, asked);
    expect(dead).toEqual({ kind: "refused", text: expect.stringContaining("open the app") });
    expect(followedTo({ ...good, standing: "deleted", phone: null }, asked).kind).toBe("gone");
  });
});
