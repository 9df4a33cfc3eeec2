// What a run of the pair under faults leaves for the checker: what was acknowledged, what the simulators saw, and what
// both databases hold at the end. Plain values. Times ending in `Ms` are on the run's own monotonic clock.

export const NODES = ["bell-a", "bell-b"] as const;
export type NodeName = (typeof NODES)[number];

export function otherNode(node: NodeName): NodeName {
  return node === "bell-a" ? "bell-b" : "bell-a";
}

/** The word of `Inboxbell-Durable`; null if the answer had none. */
export type Durable = "pair" | "node" | null;

export interface Answered {
  readonly atMs: number;
  readonly durable: Durable;
}

export interface Put extends Answered {
  readonly id: string;
  readonly revision: number;
  /** The revision opened a new generation of the folder. */
  readonly fresh: boolean;
}

export interface Deletion {
  readonly id: string;
  readonly sentAtMs: number;
  /** Null while no node has answered 204. */
  readonly answered: Answered | null;
}

/** A subscription that Exchange holds for a registration's generation. */
export interface Subscription {
  readonly subscriptionId: string;
  readonly id: string;
  readonly generation: number;
  readonly madeAtMs: number;
}

/** Exchange was answered OK for a notification that carried a count. */
export interface Notified extends Answered {
  readonly subscriptionId: string;
  readonly unread: number;
  /** The event's time, epoch milliseconds of Exchange. */
  readonly eventAt: number;
}

export interface Ended {
  readonly subscriptionId: string;
  readonly atMs: number;
  readonly why: "unsubscribed" | "dropped" | "forgotten" | "failed";
}

export interface PushSeen {
  readonly atMs: number;
  /** Whose push services took it: each node has its own. */
  readonly node: NodeName;
  /** The registration whose token it was. */
  readonly id: string;
  readonly badge: number | null;
  readonly reason: string | null;
}

/** A PUT on a deleted registration that was answered as if it lived. */
export interface Revival {
  readonly id: string;
  readonly atMs: number;
}

/** A stretch of time in which every answer of `/primary` was this. */
export interface RoleSpell {
  readonly node: NodeName;
  readonly role: "active" | "passive";
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Spell {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A node's database went back to what it was: what it alone had written since is gone by the promise. */
export interface DiskLoss extends Spell {
  readonly node: NodeName;
}

/** A request through the load balancer that got no answer, or 5xx. */
export interface Failure {
  readonly atMs: number;
  readonly what: string;
}

export interface StoredRegistration {
  readonly id: string;
  readonly revision: number;
  readonly deleted: boolean;
}

export interface StoredFolder {
  readonly id: string;
  readonly name: string;
  readonly generation: number;
}

export interface StoreDump {
  readonly registrations: readonly StoredRegistration[];
  readonly folders: readonly StoredFolder[];
  /** Every replicated row as a line; equal on both nodes once they have healed. */
  readonly rows: readonly string[];
  /** Registrations that a ring was due to before all was quiet, and still is. */
  readonly due: readonly string[];
}

export interface Evidence {
  readonly puts: readonly Put[];
  readonly deletions: readonly Deletion[];
  readonly subscriptions: readonly Subscription[];
  readonly notified: readonly Notified[];
  readonly ends: readonly Ended[];
  readonly pushes: readonly PushSeen[];
  readonly revivals: readonly Revival[];
  readonly roles: readonly RoleSpell[];
  readonly failures: readonly Failure[];
  /** Nothing was broken and both nodes had come together. */
  readonly calm: readonly Spell[];
  /** An administrator switched, and nothing else was broken. */
  readonly switches: readonly Spell[];
  readonly diskLosses: readonly DiskLoss[];
  readonly stores: Readonly<Record<NodeName, StoreDump>>;
  /** From here on all had healed and everything was quiet. */
  readonly quietFromMs: number;
  /** Subscriptions of deleted registrations that were still answered OK when all had healed. */
  readonly unended: readonly string[];
  /** What the simulators and the harness itself complain of. */
  readonly complaints: readonly string[];
}
