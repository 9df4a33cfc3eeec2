// Two nodes that may fail and a network that may fail between them: what there is, how long things take, and what may
// happen to it. One step is one tick.
import type {
  Beat,
  RoleInput,
  RoleState,
  RoleStep,
  Standing,
  StartFacts,
  Wish,
} from "../../src/pair/types.ts";

/** Where the decisions come from: the product's, or a copy with one place changed. */
export interface RoleCode {
  readonly start: (facts: StartFacts, now: number) => RoleStep;
  readonly step: (state: RoleState, input: RoleInput, now: number) => RoleStep;
  readonly beatOf: (state: RoleState) => Beat;
  readonly standingOf: (state: RoleState) => Standing;
  readonly mayBeSeeded: (state: RoleState) => boolean;
}

// Times are in steps but for this one. They are small so that short schedules reach everything.
export const TICK_MS = 250;
export const TAKEOVER = 6;
export const FREEZE = TAKEOVER - 1;
export const PATIENCE = 4;
// A message's way in steps, on a usual and on a slow link.
export const WAY = 1;
export const SLOW_WAY = 3;
export const SLOW_WRITE = 2;
// So long rows are exchanged: longer than a hand-over takes, or hardly at all.
export const SEEDINGS = [20, 1] as const;
// After so many steps without an event everything has settled: a start or a freeze is waited for, then an election.
export const SETTLED = 2 * TAKEOVER + 4;
// After so many nothing new happens by itself: rows have been exchanged, and a hand-over has followed.
export const END = 2 * SETTLED + 8;
// Longer ago than matters to anyone, in steps.
export const LONG_AGO = 20;
// A wish is answered within the longest patience: two takeovers and the time rings are given to end, and a way each.
export const ANSWERED = 2 * TAKEOVER + 2000 / TICK_MS + 4;
export const CAP = 100;

export type Disk = "good" | "slow" | "bad";
export type Index = 0 | 1;

export interface Message {
  readonly due: number;
  readonly sentAt: number;
  /** null: the connection's end. */
  readonly beat: Beat | null;
}

export interface Node {
  /** null while the process does not run. */
  readonly state: RoleState | null;
  /** The host answers; without a process it refuses. */
  readonly isUp: boolean;
  readonly frozenAt: number | null;
  readonly inbox: readonly (Message | "closed")[];
  readonly stored: number;
  /** The step at which its process started or stopped. */
  readonly bornAt: number;
  readonly lastReign: number;
  /** The epoch of an active peer that it has heard for long enough to have stored it. */
  readonly known: number;
  readonly disk: Disk;
  readonly badSince: number;
  readonly writes: readonly { readonly epoch: number; readonly due: number }[];
  readonly drains: readonly { readonly since: number; readonly due: number }[];
  readonly seededIn: number;
  /** Restored, and has neither yielded nor met an active peer since. */
  readonly owesYield: boolean;
  /** Awake since a long freeze without word of the peer that was said after it. */
  readonly wokeAt: number | null;
  readonly wishes: readonly { readonly wish: Wish; readonly age: number }[];
  /** Steps since it last asked its peer to take over: the answer may be on its way. */
  readonly yieldedAgo: number;
  /** So many steps it has been active although it should hand over to a peer that can take over. */
  readonly kept: number;
  /** Steps since something arrived, or since it started or woke. */
  readonly unheard: number;
}

export interface World {
  readonly t: number;
  readonly nodes: readonly [Node, Node];
  /** Which end of the connection is open, and what is on its way to each end. */
  readonly ends: readonly [boolean, boolean];
  readonly queues: readonly [readonly Message[], readonly Message[]];
  /** Nothing gets from 0 to 1, from 1 to 0. */
  readonly cut: readonly [boolean, boolean];
  readonly way: number;
  /** After so many steps without a word an end is closed by its owner. */
  readonly deadline: number;
  /** So many steps two nodes that hear each other exchange rows. */
  readonly seeding: number;
  /** Steps since the last event, since the last fault of network or process, of both being active, of none being it. */
  readonly quiet: number;
  readonly healthy: number;
  readonly slowAgo: number;
  readonly both: number;
  readonly none: number;
  readonly wrong: string | null;
}

export const EVENTS = [
  ...[0, 1].flatMap((at) =>
    ["kill", "power-off", "start", "start-empty", "start-restored", "freeze", "thaw", "thaw-late"]
      .concat(["disk-bad", "disk-slow", "disk-good", "away", "here"])
      .map((event) => `${event} ${at}`),
  ),
  "cut 0",
  "cut 1",
  "cut both",
  "heal",
  "reset",
  "slow",
  "swift",
] as const;

export const NAMES = ["bell-a", "bell-b"] as const;
// The two clocks have nothing in common.
const OFFSETS = [5_000_000, 13] as const;
export const clock = (at: Index, t: number): number => OFFSETS[at] + t * TICK_MS;
export const other = (at: Index): Index => (at === 0 ? 1 : 0);

export function emptyNode(stored: number): Node {
  return {
    state: null,
    isUp: true,
    frozenAt: null,
    inbox: [],
    stored,
    bornAt: 0,
    lastReign: 0,
    known: 0,
    disk: "good",
    badSince: 0,
    writes: [],
    drains: [],
    seededIn: 0,
    owesYield: false,
    wokeAt: null,
    wishes: [],
    yieldedAgo: CAP,
    kept: 0,
    unheard: 0,
  };
}

/** Two nodes that do not run yet, with what each has stored. */
export function newWorld(stored: readonly [number, number] = [4, 4], deadline = CAP, seeding = 20): World {
  return {
    t: 0,
    nodes: [emptyNode(stored[0]), emptyNode(stored[1])],
    ends: [false, false],
    queues: [[], []],
    cut: [false, false],
    way: WAY,
    deadline,
    seeding,
    quiet: 0,
    healthy: 0,
    slowAgo: CAP,
    both: 0,
    none: 0,
    wrong: null,
  };
}

/** Whether an event means anything now; the others are not tried. */
export function canHappen(world: World, event: string): boolean {
  const [what, whom] = event.split(" ");
  const node = world.nodes[whom === "1" ? 1 : 0];
  const runs = node.state !== null;
  const awake = runs && node.frozenAt === null;
  switch (what) {
    case "kill":
    case "power-off":
      return runs;
    case "start":
    case "start-empty":
    case "start-restored":
      return !runs;
    case "freeze":
    case "away":
    case "here":
      return awake;
    case "thaw":
    case "thaw-late":
      return node.frozenAt !== null;
    case "disk-bad":
      return runs && node.disk !== "bad";
    case "disk-slow":
      return runs && node.disk !== "slow";
    case "disk-good":
      return runs && node.disk !== "good";
    case "cut":
      return whom === "both" ? !(world.cut[0] && world.cut[1]) : !world.cut[whom === "1" ? 1 : 0];
    case "heal":
      return world.cut[0] || world.cut[1];
    case "reset":
      return world.ends[0] || world.ends[1];
    case "slow":
      return world.way === WAY;
    default:
      return world.way !== WAY;
  }
}
