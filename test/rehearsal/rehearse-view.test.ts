// What is shown of a rehearsal, line by line and on a terminal.
import { expect, test } from "bun:test";
import { createPlainView, createTerminalView, line } from "../../src/rehearsal/live-view.ts";
import type { Happening } from "../../src/rehearsal/score.ts";

const AT = new Date(2026, 0, 15, 12, 1, 3, 120);
const NOTIFICATION: Happening = {
  kind: "notification",
  phone: "phone-18",
  mailbox: "mailbox-17",
  folder: "inbox",
  what: "Created + NewMail + Modified",
  unread: 4,
};
const RING: Happening = {
  kind: "ring",
  phone: "phone-17",
  mailbox: "mailbox-17",
  provider: "APNs",
  push: { reason: "mail", badge: 4, folder: null, visible: false, at: 0, wrong: null },
  latencyMs: 9.84,
};

test("writes a notification and its ring with the time of day, the badge and the latency", () => {
  expect(line(NOTIFICATION, AT)).toBe(
    "12:01:03.120  Exchange  mailbox-17   phone-18   inbox    Created + NewMail + Modified  unread 4",
  );
  expect(line(RING, AT)).toBe("12:01:03.120  APNs      mailbox-17   phone-17   mail     badge 4  9.8 ms");
  const written: string[] = [];
  createPlainView(
    (text) => written.push(text),
    () => AT,
  ).show(RING);
  expect(written).toEqual([`${line(RING, AT)}\n`]);
});

test("tells two phones of one mailbox apart, in what Exchange sends and in what rings", () => {
  const other = { ...NOTIFICATION, phone: "phone-19" };
  expect(line(other, AT)).not.toBe(line(NOTIFICATION, AT));
  expect(line({ ...RING, phone: "phone-18" }, AT)).not.toBe(line(RING, AT));
});

test.each([
  { columns: 80, rows: 40 },
  { columns: 30, rows: 8 },
  { columns: 5, rows: 2 },
])("keeps its height and stays within a terminal of $columns by $rows", (size) => {
  const written: string[] = [];
  const score = { notifications: 2, rings: 1, latenciesMs: [9.84] };
  const view = createTerminalView(
    (text) => written.push(text),
    () => AT,
    () => score,
    () => size,
  );
  view.start();
  for (let count = 0; count < 30; count++) view.show(RING);
  view.stop();
  expect(written).toHaveLength(2);
  const rows = written.map((text) => text.split("\n").length - 1);
  expect(rows[1]).toBe(rows[0]!);
  expect(rows[0]).toBeLessThan(Math.max(size.rows, 9));
  expect(written[1]!.startsWith(`\x1b[${rows[0]}A`)).toBe(true);
  for (const text of written[1]!.split("\n").slice(1, -1)) {
    expect(text.replace("\x1b[2K", "").length).toBeLessThan(Math.max(size.columns, 21));
  }
  if (size.columns > 60)
    expect(written[1]).toContain("2 notifications, 1 rings; lately p50 9.8 ms, p99 9.8 ms");
});
