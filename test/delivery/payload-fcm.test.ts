import { describe, expect, test } from "bun:test";
import { fcmBody } from "../../src/delivery/fcm/payload.ts";
import type { Reason, Ring } from "../../src/store/types.ts";
import { ring, TEXTS } from "./helpers.ts";

const TOKEN = "instance:APA91bTestToken";
const VISIBLE = { title_loc_key: "new_messages", body_loc_key: "new_messages" };
const TEST_TEXT = { title_loc_key: "TEST_RING", body_loc_key: "TEST_RING" };

interface Row {
  readonly name: string;
  readonly ring: Partial<Ring> & { readonly reason: Reason };
  readonly data: Readonly<Record<string, string>>;
  readonly priority: "high" | "normal";
  readonly notification?: unknown;
}

const TABLE: readonly Row[] = [
  {
    name: "new mail with a count",
    ring: { reason: "mail", badge: 7 },
    data: { reason: "mail", unread: "7" },
    priority: "high",
    notification: VISIBLE,
  },
  {
    name: "new mail without a count",
    ring: { reason: "mail", badge: null },
    data: { reason: "mail" },
    priority: "high",
    notification: VISIBLE,
  },
  {
    name: "read elsewhere, down to none",
    ring: { reason: "changed", badge: 0 },
    data: { reason: "changed", unread: "0" },
    priority: "normal",
  },
  {
    name: "a change without a count",
    ring: { reason: "changed", badge: null },
    data: { reason: "changed" },
    priority: "normal",
  },
  {
    name: "a calendar change",
    ring: { reason: "calendar", badge: null },
    data: { reason: "calendar" },
    priority: "normal",
  },
  {
    name: "another folder's change",
    ring: { reason: "folder", badge: null },
    data: { reason: "folder" },
    priority: "normal",
  },
  {
    name: "a lost subscription",
    ring: { reason: "resubscribe", badge: null, folder: "calendar" },
    data: { reason: "resubscribe", folder: "calendar" },
    priority: "normal",
  },
  {
    name: "a test ring",
    ring: { reason: "test", badge: null },
    data: { reason: "test" },
    priority: "high",
    notification: TEST_TEXT,
  },
];

function built(given: Partial<Ring>, dataOnly: boolean) {
  const whole = ring({ platform: "fcm", token: TOKEN, ...given });
  return JSON.parse(fcmBody(whole, { texts: TEXTS, dataOnly })) as { message: Record<string, unknown> };
}

describe("what an Android phone receives", () => {
  for (const row of TABLE) {
    test(row.name, () => {
      expect(built(row.ring, false)).toEqual({
        message: {
          token: TOKEN,
          data: row.data,
          android: {
            priority: row.priority,
            ttl: "3600s",
            ...(row.notification === undefined ? {} : { notification: row.notification }),
          },
        },
      });
    });

    test(`${row.name}, for an app that shows its own notifications`, () => {
      expect(built(row.ring, true)).toEqual({
        message: { token: TOKEN, data: row.data, android: { priority: row.priority, ttl: "3600s" } },
      });
    });
  }

  test("every reason has a row", () => {
    const reasons: Record<Reason, true> = {
      mail: true,
      changed: true,
      calendar: true,
      folder: true,
      resubscribe: true,
      test: true,
    };
    const covered = new Set(TABLE.map((row) => row.ring.reason));
    expect([...covered].sort()).toEqual(Object.keys(reasons).sort() as Reason[]);
  });

  test("high priority is only asked for where something visible follows, and nothing collapses", () => {
    for (const row of TABLE) {
      const { android } = built(row.ring, false).message as { android: Record<string, unknown> };
      expect(android.priority === "high").toBe(android.notification !== undefined);
      expect(JSON.stringify(android)).not.toContain("collapse");
    }
  });
});
