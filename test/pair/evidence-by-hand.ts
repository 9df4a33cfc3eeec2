// What a small run that went well leaves for the checker of the fault tests, made by hand; tests change parts of it.
import { check } from "../system/long/pair/checker.ts";
import type { Evidence, NodeName, RoleSpell, StoreDump } from "../system/long/pair/evidence.ts";

export const A = "00000000-0000-4000-8000-00000000000a";
export const B = "00000000-0000-4000-8000-00000000000b";

export const spell = (node: NodeName, role: RoleSpell["role"], fromMs: number, toMs: number): RoleSpell => ({
  node,
  role,
  fromMs,
  toMs,
  lastAskedMs: toMs,
});

/** A phone that registered with revision 5, was told of 3 unread mails, and was rung. B was deleted. */
export function store(): StoreDump {
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

export function evidence(changes: Partial<Evidence> = {}): Evidence {
  return {
    puts: [
      { id: A, revision: 5, fresh: ["inbox"], atMs: 100, durable: "pair" },
      { id: B, revision: 2, fresh: ["inbox"], atMs: 100, durable: "pair" },
    ],
    deletions: [{ id: B, sentAtMs: 200, answered: { atMs: 210, durable: "pair" } }],
    subscriptions: [
      { subscriptionId: "s-a", id: A, folder: "inbox", generation: 5, madeAtMs: 110 },
      { subscriptionId: "s-b", id: B, folder: "inbox", generation: 2, madeAtMs: 110 },
    ],
    notified: [{ subscriptionId: "s-a", unread: 3, eventAt: 1_000, atMs: 300, durable: "pair" }],
    meetings: [],
    deaths: [],
    refusals: [],
    ends: [{ subscriptionId: "s-b", atMs: 400, why: "unsubscribed" }],
    pushes: [{ atMs: 310, node: "bell-a", id: A, badge: 3, reason: "mail" }],
    revivals: [],
    roles: [spell("bell-a", "active", 0, 20_000), spell("bell-b", "passive", 0, 20_000)],
    failures: [],
    calm: [{ fromMs: 0, toMs: 20_000 }],
    switches: [],
    freezes: [],
    diskLosses: [],
    takeovers: [],
    overloaded: [],
    stores: { "bell-a": store(), "bell-b": store() },
    quietRows: { "bell-a": ["one"], "bell-b": ["one"] },
    quietFromMs: 15_000,
    unended: [],
    complaints: [],
    ...changes,
  };
}

export const violations = (changes: Partial<Evidence>) => check(evidence(changes)).violations;
export const lossAt = (fromMs: number, toMs: number, emptied = false) => ({
  diskLosses: [{ node: "bell-a" as const, fromMs, toMs, emptied }],
});
