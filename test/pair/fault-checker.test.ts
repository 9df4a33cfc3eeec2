// The checker of the fault tests: what it lets pass and what it calls a loss, each rule on evidence made by hand.
import { describe, expect, test } from "bun:test";
import { check } from "../system/long/pair/checker.ts";
import { A, B, evidence, lossAt, spell, store, violations } from "./evidence-by-hand.ts";

test("a run in which nothing was lost has no violation", () => {
  const { violations: found, counts } = check(evidence());
  expect(found).toEqual([]);
  expect(counts).toMatchObject({ puts: 2, deletions: 1, notified: 1, pair: 4, node: 0, doubledRings: 0 });
});

describe("a registration that was acknowledged", () => {
  const without = { ...store(), registrations: store().registrations.filter(({ id }) => id !== A) };

  test("is lost if one of the nodes does not have it", () => {
    const found = violations({ stores: { "bell-a": store(), "bell-b": without } });
    expect(found).toEqual([`registration ${A} is lost on bell-b`]);
  });

  test("is lost if it stands at an older revision or generation", () => {
    const older = { ...store(), registrations: [{ id: A, revision: 4, deleted: false }] };
    expect(violations({ stores: { "bell-a": older, "bell-b": store() } }).join()).toContain("revision 4");
    const former = { ...store(), folders: [{ id: A, name: "inbox", generation: 4 }] };
    expect(violations({ stores: { "bell-a": store(), "bell-b": former } }).join()).toContain("generation 4");
  });

  test("may have been renewed since by a wish that got no answer", () => {
    const newer = { ...store(), registrations: [{ id: A, revision: 9, deleted: false }] };
    expect(violations({ stores: { "bell-a": newer, "bell-b": newer } })).toEqual([]);
  });

  test("with the word node is excused if a disk was lost after it, with the word pair it never is", () => {
    const stores = { "bell-a": without, "bell-b": without };
    const put = { id: A, revision: 5, fresh: ["inbox"], atMs: 100 } as const;
    const nodeWord = { stores, puts: [{ ...put, durable: "node" as const }], notified: [] };
    expect(violations({ ...nodeWord, ...lossAt(50, 150) })).toEqual([]);
    expect(violations({ ...nodeWord, ...lossAt(120, 150) })).not.toEqual([]);
    expect(violations({ ...nodeWord })).not.toEqual([]);
    const pairWord = { stores, puts: [{ ...put, durable: "pair" as const }], notified: [] };
    expect(violations({ ...pairWord, ...lossAt(50, 150) })).not.toEqual([]);
  });

  test("is excused by each of two lost disks for its own time, not for the time between them", () => {
    const stores = { "bell-a": without, "bell-b": without };
    const loss = { node: "bell-a", emptied: true } as const;
    const diskLosses = [
      { ...loss, fromMs: 100, toMs: 200 },
      { ...loss, fromMs: 300, toMs: 400 },
    ];
    const at = (atMs: number, durable: "pair" | "node" = "node") =>
      violations({
        stores,
        diskLosses,
        puts: [{ id: A, revision: 5, fresh: ["inbox"], atMs, durable }],
        notified: [],
      });
    expect([at(150), at(350)]).toEqual([[], []]);
    expect(at(250)).not.toEqual([]);
    expect(at(150, "pair")).not.toEqual([]);
  });

  test("is not to be a tombstone unless somebody asked for that", () => {
    const spent = { ...store(), registrations: [{ id: A, revision: 5, deleted: true }] };
    expect(violations({ stores: { "bell-a": spent, "bell-b": spent } }).join()).toContain("nobody asked");
  });
});

describe("a deletion", () => {
  test("that was acknowledged has not returned on any node", () => {
    const alive = {
      ...store(),
      registrations: [store().registrations[0]!, { id: B, revision: 2, deleted: false }],
    };
    expect(violations({ stores: { "bell-a": store(), "bell-b": alive } })).toEqual([
      `deleted registration ${B} has returned on bell-b`,
    ]);
  });

  test("that got no answer may have happened or not", () => {
    const alive = {
      ...store(),
      registrations: [store().registrations[0]!, { id: B, revision: 2, deleted: false }],
    };
    const deletions = [{ id: B, sentAtMs: 200, answered: null }];
    expect(violations({ deletions, stores: { "bell-a": alive, "bell-b": alive } })).toEqual([]);
    expect(violations({ deletions })).toEqual([]);
  });

  test("refuses a repeated PUT in calm", () => {
    const deletions = [{ id: B, sentAtMs: 200, answered: { atMs: 210, durable: "node" as const } }];
    const at = (atMs: number) => violations({ deletions, revivals: [{ id: B, sentAtMs: atMs - 5, atMs }] });
    expect(at(5_000).join()).toContain("was accepted");
    expect(at(25_000)).toEqual([]);
  });

  test("that both nodes have refuses a repeated PUT always, but on a disk that went back and has not healed", () => {
    const revivals = [{ id: B, sentAtMs: 24_990, atMs: 25_000 }];
    expect(violations({ revivals }).join()).toContain("was accepted (pair)");
    expect(violations({ revivals, ...lossAt(24_000, 24_500) })).toEqual([]);
    // With an empty disk it answers nobody until it has healed.
    expect(violations({ revivals, ...lossAt(24_000, 24_500, true) }).join()).toContain("was accepted (pair)");
    const healed = [...evidence().calm, { fromMs: 24_700, toMs: 24_800 }];
    expect(violations({ revivals, calm: healed, ...lossAt(24_000, 24_500) })).not.toEqual([]);
    // Answered while the deletion was on its way.
    expect(violations({ revivals: [{ id: B, sentAtMs: 205, atMs: 230 }] })).toEqual([]);
  });

  test("ends rings and subscriptions once all has healed", () => {
    const late = { atMs: 16_000, node: "bell-a", id: B, badge: 1, reason: "mail" } as const;
    expect(violations({ pushes: [...evidence().pushes, late] }).join()).toContain("was rung after");
    expect(violations({ unended: [B] }).join()).toContain("still answered OK");
  });
});

describe("a notification that was answered OK", () => {
  test("is lost if the phone shows an older badge, or none", () => {
    expect(violations({ pushes: [] }).join()).toContain("shows no badge, and 3 was answered OK");
    const older = [{ ...evidence().pushes[0]!, badge: 2 }];
    expect(violations({ pushes: older }).join()).toContain("shows 2");
  });

  test("is followed by a newer badge as well", () => {
    const notified = [
      ...evidence().notified,
      { subscriptionId: "s-a", unread: 4, eventAt: 2_000, atMs: 350, durable: null },
    ];
    const pushes = [{ ...evidence().pushes[0]!, badge: 4 }];
    expect(violations({ notified, pushes }).filter((line) => line.includes("shows"))).toEqual([]);
  });

  test("is not replaced by an older badge that came later", () => {
    const notified = [
      { subscriptionId: "s-a", unread: 2, eventAt: 500, atMs: 250, durable: "pair" as const },
      ...evidence().notified,
    ];
    const pushes = [...evidence().pushes, { ...evidence().pushes[0]!, atMs: 900, badge: 2 }];
    expect(violations({ notified, pushes }).join()).toContain("shows 2");
  });

  test("on a generation that was replaced is not what counts", () => {
    const subscriptions = [
      ...evidence().subscriptions,
      { subscriptionId: "s-new", id: A, folder: "inbox", generation: 9, madeAtMs: 290 },
    ];
    const puts = [
      ...evidence().puts,
      { id: A, revision: 9, fresh: ["inbox"], atMs: 280, durable: "pair" as const },
    ];
    const newer = {
      ...store(),
      registrations: [{ id: A, revision: 9, deleted: false }],
      folders: [{ id: A, name: "inbox", generation: 9 }],
    };
    const stores = { "bell-a": newer, "bell-b": newer };
    expect(
      violations({ subscriptions, puts, stores, pushes: [], deletions: [], ends: [] }).filter((line) =>
        line.includes("shows"),
      ),
    ).toEqual([]);
  });

  test("says how far its answer reaches", () => {
    const notified = [{ ...evidence().notified[0]!, durable: null }];
    expect(violations({ notified }).join()).toContain("Inboxbell-Durable");
  });
});

describe("an end of a subscription", () => {
  test("by Unsubscribe is wrong while its registration lives and no newer generation is subscribed", () => {
    const ends = [{ subscriptionId: "s-a", atMs: 400, why: "unsubscribed" as const }];
    expect(violations({ ends })).toEqual([`the live subscription of ${A} was unsubscribed`]);
    const newer = { subscriptionId: "s-new", id: A, folder: "inbox", generation: 9, madeAtMs: 390 };
    expect(violations({ ends, subscriptions: [...evidence().subscriptions, newer], notified: [] })).toEqual(
      [],
    );
    const later = { ...newer, madeAtMs: 410 };
    expect(
      violations({ ends, subscriptions: [...evidence().subscriptions, later], notified: [] }),
    ).not.toEqual([]);
  });

  test("is counted if Exchange gave it up", () => {
    const { violations: found, counts } = check(
      evidence({ ends: [{ subscriptionId: "s-a", atMs: 400, why: "dropped" }] }),
    );
    expect([found, counts.dropped]).toEqual([[], 1]);
  });
});

describe("the roles", () => {
  test("let no passive node ring, but for what was on its way", () => {
    const push = (atMs: number) => ({ ...evidence().pushes[0]!, node: "bell-b" as const, atMs });
    expect(violations({ pushes: [push(10_000)] })).toEqual(["bell-b rang 1 times while it was passive"]);
    expect(violations({ pushes: [push(2_000)] })).toEqual([]);
  });

  test("have one active node in calm, and may have none or two while something is broken", () => {
    const both = [spell("bell-a", "active", 0, 20_000), spell("bell-b", "active", 6_000, 9_000)];
    expect(violations({ roles: both })).toEqual(["both nodes were active for 3000 ms in calm"]);
    expect(violations({ roles: both, calm: [{ fromMs: 0, toMs: 5_000 }] })).toEqual([]);
    const none = [spell("bell-a", "active", 0, 10_000)];
    expect(violations({ roles: none })).toEqual(["no node was active for 10000 ms in calm"]);
  });
});

describe("nobody active after a fault", () => {
  const roles = [
    spell("bell-a", "active", 0, 5_000),
    spell("bell-b", "passive", 0, 7_000),
    spell("bell-b", "active", 7_000, 20_000),
  ];
  const calm = [{ fromMs: 0, toMs: 4_900 }];
  const after = (withinMs: number) => ({
    roles,
    calm,
    takeovers: [{ what: "kill who=active", fromMs: 5_000, toMs: 9_000, withinMs }],
  });

  test("is wrong for longer than a takeover takes", () => {
    expect(violations(after(1_500))).toEqual([
      "no node was active for 2000 ms after kill who=active, which may be 1500 ms",
    ]);
    expect(violations(after(4_500))).toEqual([]);
  });

  test("is not judged while the machine is overloaded, which is said", () => {
    const { violations: found, unjudged } = check(
      evidence({ ...after(1_500), overloaded: [{ fromMs: 4_000, toMs: 5_600 }] }),
    );
    expect(found).toEqual([]);
    expect(unjudged).toEqual([
      "no node was active for 2000 ms after kill who=active, which may be 1500 ms; the machine was overloaded for 600 ms of it",
    ]);
  });
});

test("no request fails while an administrator switches", () => {
  const switches = [{ fromMs: 5_000, toMs: 6_000 }];
  const failed = (atMs: number) => violations({ switches, failures: [{ atMs, what: "PUT: status 503" }] });
  expect(failed(5_500).join()).toContain("1 requests failed while roles were switched by hand");
  expect(failed(9_000)).toEqual([]);
});

test("both stores are equal, and nothing is owed any more", () => {
  const other = { ...store(), rows: ["one", "three"], due: [A] };
  expect(violations({ stores: { "bell-a": store(), "bell-b": other } })).toEqual([
    "1 rows are only on bell-a, such as two",
    "1 rows are only on bell-b, such as three",
    `bell-b still owes a ring to ${A}`,
  ]);
});

test("both hold the same of everything that they replicate when all is quiet", () => {
  const quietRows = { "bell-a": ["one", "two"], "bell-b": ["one"] };
  expect(violations({ quietRows })).toEqual(["1 rows are only on bell-a when all is quiet, such as two"]);
});

test("a ring with the badge that the phone shows already is counted, not blamed", () => {
  const [push] = evidence().pushes;
  const { violations: found, counts } = check(evidence({ pushes: [push!, { ...push!, atMs: 900 }] }));
  expect([found, counts.doubledRings]).toEqual([[], 1]);
});

describe("a switch by hand", () => {
  const [push] = evidence().pushes;
  const switches = [{ fromMs: 5_000, toMs: 6_000 }];
  const again = { ...push!, atMs: 5_500 };

  test("doubles no ring", () => {
    expect(violations({ switches, pushes: [push!, again] }).join()).toContain("1 rings were doubled");
  });

  test("does not keep a notification from ringing the same count again", () => {
    const [first] = evidence().notified;
    const notified = [first!, { ...first!, eventAt: 5_000, atMs: 5_490 }];
    expect(violations({ switches, notified, pushes: [push!, again] })).toEqual([]);
  });

  test("does not keep a phone's two subscriptions from telling of the same mail at once", () => {
    const [first] = evidence().notified;
    const subscriptions = [
      ...evidence().subscriptions,
      { subscriptionId: "s-new", id: A, folder: "inbox", generation: 6, madeAtMs: 4_000 },
    ];
    const notified = [
      { ...first!, atMs: 5_300 },
      { ...first!, atMs: 5_310, subscriptionId: "s-new" },
    ];
    const pushes = [{ ...push!, atMs: 5_320 }, again];
    const store6 = {
      ...store(),
      registrations: [{ id: A, revision: 6, deleted: false }, ...store().registrations.slice(1)],
      folders: [{ id: A, name: "inbox", generation: 6 }],
    };
    const stores = { "bell-a": store6, "bell-b": store6 };
    expect(violations({ switches, subscriptions, notified, pushes, stores })).toEqual([]);
    const third = [...pushes, { ...push!, atMs: 5_700 }];
    expect(violations({ switches, subscriptions, notified, pushes: third, stores }).join()).toContain(
      "1 rings were doubled",
    );
  });
});
