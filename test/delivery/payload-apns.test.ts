import { describe, expect, test } from "bun:test";
import { apnsHeaders, apnsMessage } from "../../src/delivery/apns/payload.ts";
import type { Reason } from "../../src/store/types.ts";
import { APP, ring, TEXTS } from "./helpers.ts";

const NOW = 1_760_000_000_999;
const WEEK_SECONDS = 7 * 24 * 3600;

interface Row {
  readonly name: string;
  readonly reason: Reason;
  readonly badge: number | null;
  readonly kind: "badge" | "rich";
  readonly pushType: "alert" | "background";
  readonly priority: 10 | 5;
  readonly aps: unknown;
  readonly folder?: string;
  readonly bell?: unknown;
}

const wake = { "content-available": 1 };
const shown = { alert: { "loc-key": "NEW_MESSAGES" }, sound: "default", "mutable-content": 1 };
const both = (row: Omit<Row, "kind">): Row[] => [
  { ...row, kind: "badge" },
  { ...row, kind: "rich" },
];

const TABLE: readonly Row[] = [
  {
    name: "new mail with a count changes the badge and wakes the app",
    reason: "mail",
    badge: 7,
    kind: "badge",
    pushType: "alert",
    priority: 10,
    aps: { badge: 7, ...wake },
  },
  {
    name: "new mail with a count also shows a text key that the app's extension fills",
    reason: "mail",
    badge: 7,
    kind: "rich",
    pushType: "alert",
    priority: 10,
    aps: { badge: 7, ...wake, ...shown },
  },
  {
    name: "new mail without a count wakes the app",
    reason: "mail",
    badge: null,
    kind: "badge",
    pushType: "background",
    priority: 5,
    aps: wake,
  },
  {
    name: "new mail without a count shows the text key without a badge",
    reason: "mail",
    badge: null,
    kind: "rich",
    pushType: "alert",
    priority: 10,
    aps: { ...wake, ...shown },
  },
  ...both({
    name: "read elsewhere changes the badge silently",
    reason: "changed",
    badge: 2,
    pushType: "alert",
    priority: 5,
    aps: { badge: 2 },
  }),
  ...both({
    name: "the last one read elsewhere clears the badge",
    reason: "changed",
    badge: 0,
    pushType: "alert",
    priority: 5,
    aps: { badge: 0 },
  }),
  ...both({
    name: "a change without a count wakes the app",
    reason: "changed",
    badge: null,
    pushType: "background",
    priority: 5,
    aps: wake,
  }),
  ...both({
    name: "a calendar change wakes the app",
    reason: "calendar",
    badge: null,
    pushType: "background",
    priority: 5,
    aps: wake,
  }),
  ...both({
    name: "another folder's change wakes the app",
    reason: "folder",
    badge: null,
    pushType: "background",
    priority: 5,
    aps: wake,
  }),
  ...both({
    name: "a lost subscription wakes the app and names the folder",
    reason: "resubscribe",
    badge: null,
    folder: "inbox",
    pushType: "background",
    priority: 5,
    aps: wake,
    bell: { reason: "resubscribe", folder: "inbox" },
  }),
  ...both({
    name: "a test ring shows its text key",
    reason: "test",
    badge: null,
    pushType: "alert",
    priority: 10,
    aps: { alert: { "loc-key": "TEST_RING" } },
  }),
];

describe("what an iPhone receives", () => {
  for (const row of TABLE) {
    test(`${row.name} (ring: ${row.kind})`, () => {
      const given = ring({ reason: row.reason, badge: row.badge, folder: row.folder ?? null });
      const message = apnsMessage(given, { ring: row.kind, texts: TEXTS }, NOW);
      expect(message.pushType).toBe(row.pushType);
      expect(message.priority).toBe(row.priority);
      expect(JSON.parse(message.body)).toEqual({ aps: row.aps, bell: row.bell ?? { reason: row.reason } });
    });
  }

  test("every reason has a row for both kinds of ring", () => {
    const reasons: Record<Reason, true> = {
      mail: true,
      changed: true,
      calendar: true,
      folder: true,
      resubscribe: true,
      test: true,
    };
    for (const kind of ["badge", "rich"]) {
      const covered = new Set(TABLE.filter((row) => row.kind === kind).map((row) => row.reason));
      expect([...covered].sort()).toEqual(Object.keys(reasons).sort() as Reason[]);
    }
  });

  test("a badge is kept for weeks, a wake-up for an hour, both in whole seconds", () => {
    const seconds = Math.floor(NOW / 1000);
    const badge = apnsMessage(ring({ reason: "changed", badge: 0 }), { ring: "badge", texts: TEXTS }, NOW);
    expect(badge.expiration).toBeGreaterThan(seconds + WEEK_SECONDS);
    const wakeUp = apnsMessage(ring({ reason: "calendar" }), { ring: "badge", texts: TEXTS }, NOW);
    expect(wakeUp.expiration).toBe(seconds + 3600);
  });

  test("an app's own text keys replace the usual ones", () => {
    const texts = { ...TEXTS, newMessages: "MAIL", sound: "bell.caf", testRing: "PROBE" };
    const mail = apnsMessage(ring(), { ring: "rich", texts }, NOW);
    expect(JSON.parse(mail.body).aps).toMatchObject({ alert: { "loc-key": "MAIL" }, sound: "bell.caf" });
    const probe = apnsMessage(ring({ reason: "test" }), { ring: "rich", texts }, NOW);
    expect(JSON.parse(probe.body).aps).toEqual({ alert: { "loc-key": "PROBE" } });
  });

  test("the headers name type, topic, priority, expiry and the ring's own id, and nothing collapses", () => {
    const message = apnsMessage(ring(), { ring: "badge", texts: TEXTS }, NOW);
    expect(apnsHeaders(ring(), message, APP)).toEqual({
      "apns-push-type": "alert",
      "apns-topic": APP,
      "apns-id": ring().apnsId,
      "apns-priority": "10",
      "apns-expiration": String(message.expiration),
    });
  });
});
