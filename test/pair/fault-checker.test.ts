// The checker of the fault tests: what it lets pass and what it calls a loss, each rule on evidence made by hand.
import { describe, expect, test } from "bun:test";
import { check } from "../system/long/pair/checker.ts";
import type { Evidence, StoreDump } from "../system/long/pair/evidence.ts";

const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";

/** A phone that registered with revision 5, was told of 3 unread mails, and was rung. B was deleted. */
function store(): StoreDump {
  return {
    registrations: [
      { id: A, revision: 5, deleted: false },
      { id: B, revision: 2, deleted: true },
    ],
    folders: [{ id: A, name: "inbox", generation: 5 }],
    rows: ["one", "two"],
    due: [],
  };
}

function evidence(changes: Partial<Evidence> = {}): Evidence {
  return {
    puts: [
      { id: A, revision: 5, fresh: true, atMs: 100, durable: "pair" },
      { id: B, revision: 2, fresh: true, atMs: 100, durable: "pair" },
    ],
    deletions: [{ id: B, sentAtMs: 200, answered: { atMs: 210, durable: "pair" } }],
    subscriptions: [
      { subscriptionId: "s-a", id: A, generation: 5, madeAtMs: 110 },
      { subscriptionId: "s-b", id: B, generation: 2, madeAtMs: 110 },
    ],
    notified: [{ subscriptionId: "s-a", unread: 3, eventAt: 1_000, atMs: 300, durable: "pair" }],
    ends: [{ subscriptionId: "s-b", atMs: 400, why: "unsubscribed" }],
    pushes: [{ atMs: 310, node: "bell-a", id: A, badge: 3, reason: "mail" }],
    revivals: [],
    roles: [
      { node: "bell-a", role: "active", fromMs: 0, toMs: 20_000 },
      { node: "bell-b", role: "passive", fromMs: 0, toMs: 20_000 },
    ],
    failures: [],
    calm: [{ fromMs: 0, toMs: 20_000 }],
    switches: [],
    diskLosses: [],
    stores: { "bell-a": store(), "bell-b": store() },
    quietFromMs: 15_000,
    unended: [],
    complaints: [],
    ...changes,
  };
}

const violations = (changes: Partial<Evidence>) => check(evidence(changes)).violations;
const lossAt = (fromMs: number, toMs: number) => ({
  diskLosses: [{ node: "bell-a" as const, fromMs, toMs }],
});

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
    const put = { id: A, revision: 5, fresh: true, atMs: 100 } as const;
    const nodeWord = { stores, puts: [{ ...put, durable: "node" as const }], notified: [] };
    expect(violations({ ...nodeWord, ...lossAt(50, 150) })).toEqual([]);
    expect(violations({ ...nodeWord, ...lossAt(120, 150) })).not.toEqual([]);
    expect(violations({ ...nodeWord })).not.toEqual([]);
    const pairWord = { stores, puts: [{ ...put, durable: "pair" as const }], notified: [] };
    expect(violations({ ...pairWord, ...lossAt(50, 150) })).not.toEqual([]);
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
    expect(violations({ revivals: [{ id: B, atMs: 5_000 }] }).join()).toContain("was accepted");
    expect(violations({ revivals: [{ id: B, atMs: 25_000 }] })).toEqual([]);
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
      { subscriptionId: "s-new", id: A, generation: 9, madeAtMs: 290 },
    ];
    const puts = [
      ...evidence().puts,
      { id: A, revision: 9, fresh: true, atMs: 280, durable: "pair" as const },
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
    const newer = { subscriptionId: "s-new", id: A, generation: 9, madeAtMs: 390 };
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
    const both = [
      { node: "bell-a", role: "active", fromMs: 0, toMs: 20_000 },
      { node: "bell-b", role: "active", fromMs: 6_000, toMs: 9_000 },
    ] as const;
    expect(violations({ roles: both })).toEqual(["both nodes were active for 3000 ms in calm"]);
    expect(violations({ roles: both, calm: [{ fromMs: 0, toMs: 5_000 }] })).toEqual([]);
    const none = [{ node: "bell-a", role: "active", fromMs: 0, toMs: 10_000 }] as const;
    expect(violations({ roles: none })).toEqual(["no node was active for 10000 ms in calm"]);
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
    "1 rows are on bell-a only, such as two",
    "1 rows are on bell-b only, such as three",
    `bell-b still owes a ring to ${A}`,
  ]);
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
      { subscriptionId: "s-new", id: A, generation: 6, madeAtMs: 4_000 },
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
