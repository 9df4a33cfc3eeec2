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
  /** Folders of which the revision opened a new generation. */
  readonly fresh: readonly string[];
}

export interface Deletion {
  readonly id: string;
  readonly sentAtMs: number;
  /** Null while no node has answered 204. */
  readonly answered: Answered | null;
}

/** From here on the push services say of a registration's token that its app is gone. */
export interface TokenDeath {
  readonly id: string;
  readonly mailbox: string;
  readonly atMs: number;
  /** The answer to the registration's next token; null: the app was removed from the phone. */
  readonly replaced: Answered | null;
}

/** A ring to such a token. */
export interface Refusal {
  readonly atMs: number;
  readonly node: NodeName;
  readonly id: string;
}

/** A subscription that Exchange holds for a generation of a registration's folder. */
export interface Subscription {
  readonly subscriptionId: string;
  readonly id: string;
  readonly folder: string;
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

/** Exchange was answered OK for a change of the calendar. */
export interface Meeting extends Answered {
  readonly subscriptionId: string;
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
  readonly sentAtMs: number;
  readonly atMs: number;
}

/** A stretch of time in which every answer of `/primary` was this. */
export interface RoleSpell {
  readonly node: NodeName;
  readonly role: "active" | "passive";
  readonly fromMs: number;
  readonly toMs: number;
  /** When the last of these answers was asked for, which may have taken a while to come. */
  readonly lastAskedMs: number;
}

export interface Spell {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A node's process stood still. */
export interface Freeze extends Spell {
  readonly node: NodeName;
}

/** A node's database went back to what it was: what it alone had answered for in this time is gone by the promise. */
export interface DiskLoss extends Spell {
  readonly node: NodeName;
  /** Nothing was left: the node answers nobody before it has what the other one has. */
  readonly emptied: boolean;
}

/** What a fault may do to the roles. */
export interface Takeover extends Spell {
  readonly what: string;
  /** Nobody may be active for longer. */
  readonly withinMs: number;
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
  /** Every row of registrations and folders as a line; equal on both nodes once they have healed. */
  readonly rows: readonly string[];
  /** Registrations that a ring was due to before all was quiet, and still is. */
  readonly due: readonly string[];
}

export interface Evidence {
  readonly puts: readonly Put[];
  readonly deletions: readonly Deletion[];
  readonly subscriptions: readonly Subscription[];
  readonly deaths: readonly TokenDeath[];
  readonly refusals: readonly Refusal[];
  readonly notified: readonly Notified[];
  readonly meetings: readonly Meeting[];
  readonly ends: readonly Ended[];
  readonly pushes: readonly PushSeen[];
  readonly revivals: readonly Revival[];
  readonly roles: readonly RoleSpell[];
  readonly failures: readonly Failure[];
  /** Nothing was broken and both nodes had come together. */
  readonly calm: readonly Spell[];
  /** An administrator switched, and nothing else was broken. */
  readonly switches: readonly Spell[];
  readonly freezes: readonly Freeze[];
  readonly diskLosses: readonly DiskLoss[];
  /** From the strike of each fault that leaves a node which can be active until both are together again. */
  readonly takeovers: readonly Takeover[];
  /** The machine had too much to do for a time to be held against the product. */
  readonly overloaded: readonly Spell[];
  readonly stores: Readonly<Record<NodeName, StoreDump>>;
  /** Every replicated row of the running nodes as a line, when all had healed and everything was quiet. */
  readonly quietRows: Readonly<Record<NodeName, readonly string[]>>;
  /** From here on all had healed and everything was quiet. */
  readonly quietFromMs: number;
  /** Subscriptions of deleted registrations that were still answered OK when all had healed. */
  readonly unended: readonly string[];
  /** What the simulators and the harness itself complain of. */
  readonly complaints: readonly string[];
}
