// The words of the pair: what a node is, what it says of itself to the other one, and what the role decisions take in
// and give out. Values only; role.ts decides, the link carries.

export type Role = "active" | "passive";

/** How far a node's rows can be relied on. */
export type Seeding =
  /** Made while a pair is configured and not yet filled by the peer: never active, answers 503. */
  | "unseeded"
  /** Restored or rolled back, exchanging everything with the peer under a new feed: yields to a peer that is not. */
  | "reseeding"
  | "seeded";

/** Why an active node hands over while it still lives. */
export type HandoverReason =
  /** An administrator asked for it. */
  | "switched"
  /** It has not been able to commit for a while, and the peer can. */
  | "cannot_commit"
  /** Its database was restored or rolled back, and the peer's was not. */
  | "reseeding";

/** Why a node became active: fixed words of the status, the log and the metric. */
export type ActiveReason =
  | HandoverReason
  /** No peer is configured. */
  | "single"
  /** An administrator said that there is no peer any more. */
  | "forgotten"
  /** The peer's process is gone: the link closed and reconnecting was refused. */
  | "peer_gone"
  /** The peer was heard and has been silent for `takeover_after`. */
  | "peer_silent"
  /** The peer was not heard within `takeover_after` of this node's start. */
  | "peer_absent"
  /** Both were passive, and this one goes first by (epoch, name) or is the one that can. */
  | "elected";

/** Why a node is passive. */
export type PassiveReason =
  | HandoverReason
  | "started"
  /** Both were active, after a partition or a freeze, and the peer stays by (epoch, name). */
  | "peer_outranks"
  | "unseeded";

export type RoleReason =
  | ActiveReason
  | PassiveReason
  /** Said by a peer of another version, in a word that this one does not know. */
  | "unknown";

/**
 * What a node says of itself, in its hello and in each beat. There is no other message of roles: a hand-over and a
 * wish are states that are said until they are over, so a lost message is healed by the next one.
 */
export interface Beat {
  /** The highest epoch this node holds durably; of an active node, the epoch it became active with. */
  readonly epoch: number;
  readonly role: Role;
  readonly why: RoleReason;
  /** How long it has had this role. Milliseconds; a duration, because clocks of two nodes are not compared. */
  readonly forMs: number;
  readonly seeding: Seeding;
  /** It could be active: has its rows, can commit, was not frozen just now. */
  readonly ready: boolean;
  /** Said by an active node: take over from me now, for this reason. */
  readonly yielding: HandoverReason | null;
  /** Said by a passive node: an administrator wishes it to be the active one. */
  readonly wants: boolean;
  /** Raised each time this node wakes from a freeze or takes `yielding` back. */
  readonly mark: number;
  /** The peer's `mark` that this node heard last: proves to the peer that this was said with knowledge of it. */
  readonly heardMark: number;
}

/** Who speaks on a link that has just opened. */
export interface Peer {
  readonly name: string;
  /** Its database's feed id. */
  readonly feed: string;
  readonly beat: Beat;
}

/** What a node knows of itself as it starts. */
export interface StartFacts {
  readonly name: string;
  readonly feed: string;
  /** A peer is configured. */
  readonly paired: boolean;
  /** As stored; 0 on a new database. */
  readonly epoch: number;
  readonly seeding: Seeding;
  /** `pair.takeover_after`, milliseconds; at least four times `TICK_EVERY_MS`. */
  readonly takeoverAfterMs: number;
  /** After so long without a commit an active node hands over. Milliseconds; default `COMMIT_PATIENCE_MS`. */
  readonly commitPatienceMs?: number;
}

/** What happened. Each comes with the time at which it was taken up: see `step`. */
export type RoleInput =
  /** Nothing but time; at least every `TICK_EVERY_MS`. */
  | { readonly kind: "tick" }
  /** A link is open (in place of an older one, if there was one) and this is the peer's hello. */
  | { readonly kind: "opened"; readonly peer: Peer }
  /** A beat, or (null) anything else that only a living peer sends. */
  | { readonly kind: "heard"; readonly beat: Beat | null }
  /** The link closed, or connecting failed. `refused`: the peer's host answered that nobody listens there. */
  | { readonly kind: "closed"; readonly refused: boolean }
  /** The time since which nothing could be committed, on the clock of `now`; null: committing works. */
  | { readonly kind: "health"; readonly cannotCommitSince: number | null }
  | { readonly kind: "seeding"; readonly seeding: Seeding }
  /** An epoch that was to be persisted is durable, or (not ok) could not be written. */
  | { readonly kind: "persisted"; readonly epoch: number; readonly ok: boolean }
  /** No ring is on its way any more, and what the last ones settled is on both nodes. */
  | { readonly kind: "drained"; readonly since: number }
  | { readonly kind: "wish"; readonly wish: Wish };

/** What an administrator may ask of roles. */
export type Wish =
  /** This node is to be active. */
  | "switch_here"
  /** The other node is to be active. */
  | "switch_away"
  /** There is no peer any more. */
  | "forget"
  /** This node's empty database is the first of the pair: do not wait for rows from the peer. */
  | "first";

/** What became of a wish: fixed words for the command line. */
export type WishResult =
  | "done"
  | "already"
  /** No peer is configured. */
  | "no_peer"
  /** The other node cannot be reached. */
  | "peer_silent"
  /** The node that is to be active has no rows yet, or cannot commit, or just woke. */
  | "not_ready"
  /** No node is active at the moment. */
  | "no_active"
  /** It was asked for and did not happen in time. */
  | "not_taken"
  /** Something else changed the roles meanwhile. */
  | "overtaken";

/** What is wrong, as long as it is: fixed words. */
export type RoleAlarm =
  /** The peer counts as gone. */
  | "alone"
  /** This node has not been able to commit for a while. */
  | "cannot_commit"
  /** No node is active, and this one cannot be. */
  | "no_active"
  /** Both nodes are active and know it; lasts for a message's way. */
  | "two_active"
  /** Both nodes have the same name. */
  | "same_name"
  /** This node was not running for a while and waits for word of its peer. */
  | "frozen";

export type RoleOutput =
  /** Make this epoch durable (never replacing a higher one), then answer with `persisted`. */
  | { readonly kind: "persist"; readonly epoch: number }
  | { readonly kind: "role"; readonly role: Role; readonly why: RoleReason; readonly epoch: number }
  /** Send `beatOf(state)` now. */
  | { readonly kind: "beat" }
  /** Begin no ring any more, let those on their way end, then answer with `drained` and the same `since`. */
  | { readonly kind: "drain"; readonly since: number }
  | { readonly kind: "answer"; readonly wish: Wish; readonly result: WishResult }
  | { readonly kind: "alarm"; readonly alarm: RoleAlarm; readonly on: boolean };

/** The last time a node became active, as far as this one knows. */
export interface Takeover {
  readonly by: string;
  readonly epoch: number;
  readonly why: RoleReason;
  /** On this node's clock, milliseconds. */
  readonly at: number;
}

/** An active node that hands over. */
export interface Handover {
  readonly why: HandoverReason;
  readonly since: number;
  /** Rings have ended, so the peer is told to take over. */
  readonly drained: boolean;
  /** An administrator waits for the answer. */
  readonly wished: boolean;
}

/**
 * The peer may be active and this node does not know: over when the peer says something with knowledge of this node's
 * mark, or was waited for.
 */
export interface Doubt {
  readonly why: /** Did not run for a while. */
  "frozen" | /** Told the peer to take over, and gave it up. */ "took_back";
  readonly since: number;
}

/** Everything a role decision rests on. Times are on this node's clock, milliseconds. */
export interface RoleState {
  readonly name: string;
  readonly feed: string;
  readonly paired: boolean;
  readonly takeoverAfterMs: number;
  readonly commitPatienceMs: number;

  /** When the last input was taken up. */
  readonly now: number;
  readonly role: Role;
  readonly why: RoleReason;
  readonly since: number;
  readonly epoch: number;
  readonly lastTakeover: Takeover | null;

  /** What is being made durable: to become active with it for a reason, or (null) only to remember it. */
  readonly writing: { readonly epoch: number; readonly become: ActiveReason | null } | null;
  readonly handover: Handover | null;
  /** After a hand-over that was not taken, none begins by itself before this time. */
  readonly handoverNotBefore: number;
  /** Since when an administrator wishes this passive node to be active. */
  readonly wantsSince: number | null;

  readonly seeding: Seeding;
  readonly cannotCommitSince: number | null;

  readonly link: "open" | "closed";
  /** A link was open since this node started. */
  readonly wasLinked: boolean;
  /** Since the link closed, nobody listened on the peer's host. */
  readonly refused: boolean;
  /** What the peer said last. */
  readonly peer: Peer | null;
  readonly heardAt: number | null;
  readonly startedAt: number;
  /** Since when both nodes are seen to be passive. */
  readonly leaderlessSince: number | null;
  readonly doubt: Doubt | null;
  readonly mark: number;
}

/** What the rest of the appliance asks of the pair at any moment. */
export interface Standing {
  readonly role: Role;
  readonly why: RoleReason;
  /** Since when; on the clock of `now`, milliseconds. */
  readonly since: number;
  readonly epoch: number;
  /** May answer Exchange and phones; if not, the answer is 503. */
  readonly serving: boolean;
  /** What `/primary` says. */
  readonly primary: boolean;
  /** May begin a ring, and judge subscriptions. */
  readonly rings: boolean;
  /** The peer counts as gone: `Unsubscribe` is withheld. */
  readonly alone: boolean;
  readonly alarms: readonly RoleAlarm[];
  readonly lastTakeover: Takeover | null;
}

export interface RoleStep {
  readonly state: RoleState;
  /** In the order in which they are to be done. */
  readonly outputs: readonly RoleOutput[];
}
