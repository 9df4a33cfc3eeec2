// The checker of the fault tests on what becomes of phones: removed apps, new tokens, calendars, and nodes that stood still.
import { describe, expect, test } from "bun:test";
import type { Answered, Evidence } from "../system/long/pair/evidence.ts";
import { A, evidence, lossAt, spell, store, violations } from "./evidence-by-hand.ts";

const deathAt = (atMs: number, replaced: Answered | null): Pick<Evidence, "deaths"> => ({
  deaths: [{ id: A, mailbox: "mailbox-0", atMs, replaced }],
});
const unsubscribed = { subscriptionId: "s-a", atMs: 400, why: "unsubscribed" as const };
const live = `the live subscription of ${A} was unsubscribed`;

describe("the end of a token", () => {
  const ends = [unsubscribed];

  test("may end subscriptions where the app was removed, not before", () => {
    expect(violations({ ends, ...deathAt(390, null) })).toEqual([]);
    expect(violations({ ends, ...deathAt(410, null) })).toEqual([live]);
  });

  test("ends nothing where the next token was acknowledged, unless that was lost with a disk", () => {
    expect(violations({ ends, ...deathAt(390, { atMs: 390, durable: "pair" }) })).toEqual([live]);
    const alone = deathAt(390, { atMs: 390, durable: "node" });
    expect(violations({ ends, ...alone })).toEqual([live]);
    expect(violations({ ends, ...alone, ...lossAt(380, 395) })).toEqual([]);
  });

  test("leaves no badge owed where the app was removed", () => {
    expect(violations({ pushes: [], ...deathAt(390, null) })).toEqual([]);
    expect(violations({ pushes: [], ...deathAt(390, { atMs: 390, durable: "pair" }) })).not.toEqual([]);
  });

  test("is followed by no ring once Exchange was told, but for what was on its way", () => {
    const rung = (atMs: number) =>
      violations({
        ends,
        ...deathAt(390, null),
        refusals: [
          { atMs: 395, node: "bell-a", id: A },
          { atMs, node: "bell-b", id: A },
        ],
      });
    expect(rung(900)).toEqual([]);
    expect(rung(2_000)).toEqual([`${A}, whose app is gone, was rung 1 times after its end`]);
  });
});

test("a token that is dead is not rung again and again", () => {
  const rung = (count: number, apartMs: number) =>
    violations({
      refusals: Array.from({ length: count }, (_, n) => ({ atMs: 500 + n * apartMs, node: "bell-a", id: A })),
    });
  expect(rung(5, 300)).toEqual([`bell-a rang ${A} again and again, whose token is dead`]);
  expect([rung(4, 300), rung(8, 2_000)]).toEqual([[], []]);
});

test("a new token is rung once more during a switch by hand, not twice", () => {
  const [push] = evidence().pushes;
  const switches = [{ fromMs: 5_000, toMs: 6_000 }];
  const again = { ...push!, atMs: 5_500 };
  const given = { switches, ...deathAt(5_490, { atMs: 5_490, durable: "pair" as const }) };
  expect(violations({ ...given, pushes: [push!, again] })).toEqual([]);
  expect(violations({ ...given, pushes: [push!, again, { ...again, atMs: 5_600 }] }).join()).toContain(
    "1 rings were doubled",
  );
});

describe("a phone with a calendar", () => {
  const calendar = { subscriptionId: "s-c", id: A, folder: "calendar", generation: 5, madeAtMs: 120 };
  const subscriptions = [...evidence().subscriptions, calendar];
  const meetings = [{ subscriptionId: "s-c", atMs: 500, durable: "pair" as const }];
  const wake = { atMs: 510, node: "bell-a", id: A, badge: null, reason: "calendar" } as const;
  const woken = (...wakes: readonly Evidence["pushes"][number][]) =>
    violations({ subscriptions, meetings, pushes: [...evidence().pushes, ...wakes] });

  test("is woken for a change that was answered OK", () => {
    expect(woken(wake)).toEqual([]);
    expect(woken().join()).toContain("was not woken for its calendar");
    expect(woken({ ...wake, reason: "resubscribe" }).join()).toContain("was not woken for its calendar");
  });

  test("is not expected to be woken again and again", () => {
    const former = [wake, wake].map((each) => ({ ...each, atMs: 200, reason: "resubscribe" }));
    expect(woken(...former)).toEqual([]);
  });

  test("has a generation of each folder", () => {
    const put = { id: A, revision: 7, fresh: ["calendar"], atMs: 600, durable: "pair" as const };
    const puts = [...evidence().puts, put];
    const found = (generation: number) => {
      const registrations = [{ id: A, revision: 7, deleted: false }, ...store().registrations.slice(1)];
      const folders = [...store().folders, { id: A, name: "calendar", generation }];
      const kept = { ...store(), registrations, folders };
      return violations({ puts, stores: { "bell-a": kept, "bell-b": kept } });
    };
    expect(found(7)).toEqual([]);
    expect(found(5).join()).toContain("is at generation 5 of calendar on bell-a, 7 was acknowledged");
  });

  test("has a subscription to its inbox that a newer one to its calendar does not end", () => {
    const newer = { ...calendar, generation: 7, madeAtMs: 390 };
    const so = { subscriptions: [...subscriptions, newer], ends: [unsubscribed] };
    expect(violations(so)).toEqual([live]);
  });
});

describe("a node that stood still while the other one was active", () => {
  const freezes = [{ node: "bell-a" as const, fromMs: 20_000, toMs: 25_000 }];
  const roles = [
    spell("bell-a", "active", 0, 20_000),
    spell("bell-b", "passive", 0, 20_000),
    spell("bell-b", "active", 23_100, 30_000),
  ];
  const [push] = evidence().pushes;

  test("does not ring when it goes on", () => {
    const rung = (atMs: number, node: "bell-a" | "bell-b" = "bell-a") =>
      violations({ freezes, roles, pushes: [...evidence().pushes, { ...push!, node, atMs }] });
    expect(rung(25_040).join()).toContain("bell-a rang 1 times right after it was frozen");
    expect([rung(24_900), rung(27_000), rung(25_040, "bell-b")]).toEqual([[], [], []]);
  });

  test("does not say that it is active when it goes on", () => {
    const said = { ...spell("bell-a", "active", 24_700, 25_010), lastAskedMs: 24_700 };
    expect(violations({ freezes, roles: [...roles, said] }).join()).toContain("said that it was active");
    const alone = roles.slice(0, 2);
    expect(violations({ freezes, roles: [...alone, said] })).toEqual([]);
  });
});
