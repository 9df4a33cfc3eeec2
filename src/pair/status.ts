// What a running node tells of its pair, as it travels over the control socket, and the verbs that ask for it.
import type { Role, RoleAlarm, RoleReason, Seeding, WishResult } from "./types.ts";

/** Verbs of the control socket; each answers JSON. */
export const PAIR_VERBS = {
  /** Answers `PairStatus`. */
  status: "pair-status",
  /** Takes `PairSwitchInput`, answers `PairWishAnswer`. May take some seconds. */
  switch: "pair-switch",
  /** There is no other node any more. Answers `PairWishAnswer`. */
  forget: "pair-forget",
  /** This node's empty database is the first of the pair. Answers `PairWishAnswer`. */
  first: "pair-first",
} as const;

/** How long a client waits for a wish's answer: twice the longest `takeover_after`, and some. Milliseconds. */
export const PAIR_WISH_TIMEOUT_MS = 150_000;

export interface PairSwitchInput {
  /** Which node is to be active; without it, the one that is not. */
  readonly to?: "here" | "away";
}

export interface PairWishAnswer {
  readonly result: WishResult;
  /** A sentence for people. */
  readonly detail: string;
}

/** What is wrong, as long as it is: fixed words. */
export type PairAlarm =
  | RoleAlarm
  /** The clocks of the two nodes differ by seconds. */
  | "clock_skew"
  /** The role's state cannot be written beside the database: this node cannot become active. */
  | "epoch_unwritable";

/** How the link to the other node stands. */
export interface PairLink {
  readonly up: boolean;
  /** While it is down: a fixed word, such as `refused`, `silent`, `rejected`. */
  readonly why: string | null;
  /** A sentence for people. */
  readonly detail: string | null;
  /** The certificate that this node shows: epoch milliseconds. */
  readonly certificateExpiresAt: number;
}

/** What one node is. Durations are in seconds, on this node's clock. */
export interface PairMember {
  readonly name: string;
  readonly role: Role;
  readonly why: RoleReason;
  readonly forSeconds: number;
  readonly epoch: number;
  readonly seeding: Seeding;
  /** It could be active. */
  readonly ready: boolean;
}

export interface PairStatus {
  /** False: a single node, or one whose other node was forgotten; only `here` and `lastTakeover` mean something then. */
  readonly paired: boolean;
  readonly here: PairMember & {
    /** Answers Exchange and phones; if not, the answer is 503. */
    readonly serving: boolean;
    /** Rings; false on a passive node and while an active one hands over. */
    readonly rings: boolean;
  };
  /** What the other node said last; null if it was not heard since the start. */
  readonly peer:
    | (PairMember & {
        /** Where this node reaches it: `host:port`. */
        readonly address: string;
        /** Null: never. */
        readonly heardSecondsAgo: number | null;
      })
    | null;
  /** Where the other node is to be found, heard or not; null without a pair. */
  readonly peerAddress: string | null;
  readonly link: PairLink | null;
  /** Answers wait until the other node has what they rest on; false: it counts as gone. */
  readonly waiting: boolean;
  /** Every row that an answer rests on is on both nodes. */
  readonly protected: boolean;
  /** Rows of this node that the other one has not acknowledged. */
  readonly lagRows: number;
  /** Rows of the other node that this one has not merged; null without a link. */
  readonly behindRows: number | null;
  /** How far the other node's clock is ahead; null while unknown. Milliseconds. */
  readonly clockSkewMs: number | null;
  readonly roundTripMs: number | null;
  readonly lastTakeover: {
    readonly by: string;
    readonly epoch: number;
    readonly why: RoleReason;
    readonly secondsAgo: number;
    /** ISO 8601, on this node's clock. */
    readonly at: string;
  } | null;
  readonly takeovers: number;
  readonly alarms: readonly PairAlarm[];
}

/** Whether an answer is a pair's status as this version knows it: binary and running node may be of different versions. */
export function isPairStatus(value: unknown): value is PairStatus {
  if (!isObject(value) || !isObject(value.here) || !Array.isArray(value.alarms)) return false;
  return (
    typeof value.paired === "boolean" &&
    typeof value.protected === "boolean" &&
    typeof value.lagRows === "number" &&
    (value.peer === null || isObject(value.peer)) &&
    (value.link === null || isObject(value.link)) &&
    (value.lastTakeover === null || isObject(value.lastTakeover))
  );
}

/** Whether an answer is that to a wish. */
export function isPairWishAnswer(value: unknown): value is PairWishAnswer {
  return isObject(value) && typeof value.result === "string" && typeof value.detail === "string";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
