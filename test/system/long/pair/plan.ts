// What is broken, in which order and for how long: a deck of faults that a seed shuffles. Pure.
import type { Random } from "./random.ts";

/** Which node, by what it is at the moment. */
export type Who = "active" | "passive";

export type Fault =
  /** `kill -9`. */
  | { readonly kind: "kill"; readonly who: Who | "both"; readonly forMs: number }
  /** SIGSTOP, then SIGCONT. */
  | { readonly kind: "freeze"; readonly who: Who; readonly forMs: number }
  /** Nothing passes between the nodes, both ways or from one of them; clients reach both. */
  | { readonly kind: "cut"; readonly from: Who | "both"; readonly forMs: number }
  /** Nothing reaches or leaves the node: its host is gone for everybody. */
  | { readonly kind: "isolate"; readonly who: Who; readonly forMs: number }
  /** The link between the nodes is slow and loses packets. */
  | { readonly kind: "lossy"; readonly forMs: number }
  | { readonly kind: "clock"; readonly who: Who; readonly seconds: number; readonly forMs: number }
  | { readonly kind: "disk_full"; readonly who: Who; readonly forMs: number }
  /** By hand, some times. */
  | { readonly kind: "switch"; readonly times: number }
  /** Killed, and started with its database as it was some seconds ago. */
  | { readonly kind: "stale"; readonly who: Who; readonly ageMs: number }
  /** Killed, and started with a copy from the beginning of the run. */
  | { readonly kind: "backup"; readonly who: Who }
  /** The link stalls for less than `alone_after`; then the node is gone with all that its disk had since before. */
  | { readonly kind: "disk_lost"; readonly who: Who; readonly stallMs: number }
  /** Killed, and started with an empty disk, so many times: the next time before it has all of the other node's rows. */
  | { readonly kind: "replaced"; readonly who: Who; readonly times: number }
  /** Something strikes while what struck a node first is being healed, over a slow link: so long after it came back. */
  | {
      readonly kind: "twice";
      readonly first: FirstStrike;
      readonly who: Who;
      readonly second: SecondStrike;
      readonly afterMs: number;
      readonly forMs: number;
    }
  /** Killed so long after somebody asked for a switch by hand. */
  | { readonly kind: "switch_kill"; readonly who: Who; readonly afterMs: number; readonly forMs: number }
  /** Both are killed, this one comes back and is alone for a while before the other one does. */
  | { readonly kind: "one_returns"; readonly who: Who; readonly goneMs: number; readonly aloneMs: number }
  /** A clock goes wrong when nothing passes between the nodes any more, and is set right after the link has healed. */
  | { readonly kind: "clock_cut"; readonly who: Who; readonly seconds: number; readonly forMs: number };

/** Killed and started: with its own database, with the one of some seconds ago, or with an empty one. */
export type FirstStrike = "kill" | "stale" | "replaced";
/** The node that came back is killed, or the other one, or nothing passes between them. */
export type SecondStrike = "kill_it" | "kill_other" | "cut";

export type FaultKind = Fault["kind"];

export interface Step {
  readonly fault: Fault;
  /** Until both nodes wait for each other again, not only until they hold the same. */
  readonly waitsForProtection: boolean;
  /** Quiet time under load before the fault, milliseconds. */
  readonly beforeMs: number;
}

// Of the faults so many strike both nodes while each waits for the other one.
const PROTECTED_SHARE = 0.5;
const FIRST_STRIKES: readonly FirstStrike[] = ["kill", "stale", "replaced"];
const SECOND_STRIKES: readonly SecondStrike[] = ["kill_it", "kill_other", "cut"];

/** Every fault once, with durations drawn from the seed. */
export function deck(random: Random): readonly Fault[] {
  // Longer than `takeover_after` of 3 s.
  const long = () => random.between(3_500, 5_500);
  const minutes = () => random.pick([-1, 1]) * random.between(120, 900);
  const short = () => random.between(300, 1_500);
  const whos: readonly Who[] = ["active", "passive"];
  const firsts = random.shuffled(FIRST_STRIKES);
  const times = random.shuffled([1, 2]);
  return [
    ...([...whos, "both"] as const).map(
      (who): Fault => ({ kind: "kill", who, forMs: random.between(200, 4_000) }),
    ),
    ...whos.map((who): Fault => ({ kind: "freeze", who, forMs: long() })),
    ...([...whos, "both"] as const).map((from): Fault => ({ kind: "cut", from, forMs: long() })),
    ...whos.map((who): Fault => ({ kind: "isolate", who, forMs: long() })),
    { kind: "lossy", forMs: long() },
    ...whos.map((who): Fault => ({ kind: "clock", who, seconds: minutes(), forMs: long() })),
    ...whos.map((who): Fault => ({ kind: "disk_full", who, forMs: long() + 5_000 })),
    { kind: "switch", times: random.between(1, 3) },
    ...whos.map((who): Fault => ({ kind: "stale", who, ageMs: random.between(1_000, 3_000) })),
    ...whos.map((who): Fault => ({ kind: "backup", who })),
    { kind: "disk_lost", who: "active", stallMs: random.between(500, 1_500) },
    ...whos.map((who, n): Fault => ({ kind: "replaced", who, times: times[n] ?? 1 })),
    ...SECOND_STRIKES.map(
      (second, n): Fault => ({
        kind: "twice",
        first: firsts[n] ?? "kill",
        who: random.pick(whos),
        second,
        afterMs: random.between(0, 1_500),
        forMs: second === "kill_it" ? short() : long(),
      }),
    ),
    ...whos.map(
      (who): Fault => ({ kind: "switch_kill", who, afterMs: random.between(0, 300), forMs: short() }),
    ),
    {
      kind: "one_returns",
      who: random.pick(whos),
      goneMs: random.between(100, 800),
      // Longer than nobody may be active.
      aloneMs: random.between(5_000, 5_500),
    },
    { kind: "clock_cut", who: random.pick(whos), seconds: minutes(), forMs: long() },
  ];
}

/**
 * @param kinds leaves out others, such as those that this machine cannot make
 * @param count how many faults; more than the deck has begin another one
 */
export function plan(random: Random, count: number, kinds: readonly FaultKind[]): readonly Step[] {
  const steps: Step[] = [];
  while (steps.length < count) {
    const dealt = random.shuffled(deck(random).filter(({ kind }) => kinds.includes(kind)));
    if (dealt.length === 0) return [];
    for (const fault of dealt) {
      const waitsForProtection = fault.kind === "disk_lost" || random.fraction() < PROTECTED_SHARE;
      steps.push({ fault, waitsForProtection, beforeMs: random.between(300, 1_500) });
    }
  }
  return steps.slice(0, count);
}

export const ALL_KINDS: readonly FaultKind[] = [
  "kill",
  "freeze",
  "cut",
  "isolate",
  "lossy",
  "clock",
  "disk_full",
  "switch",
  "stale",
  "backup",
  "disk_lost",
  "replaced",
  "twice",
  "switch_kill",
  "one_returns",
  "clock_cut",
];

/** Those that set a node's clock. */
export const CLOCK_KINDS: readonly FaultKind[] = ["clock", "clock_cut"];

// The other node takes over at once when a process is gone, and 3 s after it fell silent; with the time to notice.
const AFTER_DEATH_MS = 1_500;
const AFTER_SILENCE_MS = 4_500;

/**
 * For how long nobody may be active once this strikes, or once a node runs that could be; milliseconds, null where nothing
 * is promised.
 */
export function takeoverWithinMs(fault: Fault): number | null {
  switch (fault.kind) {
    case "kill":
      return fault.who === "both" ? null : AFTER_DEATH_MS;
    case "freeze":
    case "isolate":
      return fault.who === "active" ? AFTER_SILENCE_MS : AFTER_DEATH_MS;
    case "stale":
    case "backup":
      return AFTER_DEATH_MS;
    case "cut":
    case "switch":
    case "replaced":
    case "switch_kill":
      return AFTER_DEATH_MS;
    case "twice":
      // What came back may not have met the other one yet, which it then waits for.
      return fault.second === "kill_other" ? AFTER_SILENCE_MS : AFTER_DEATH_MS;
    case "one_returns":
    case "clock_cut":
      return AFTER_SILENCE_MS;
    case "lossy":
    case "clock":
    case "disk_full":
    case "disk_lost":
      return null;
  }
}

/** A fault in words, for the timeline. */
export function describeFault(fault: Fault): string {
  return Object.entries(fault)
    .map(([key, value]) => (key === "kind" ? String(value) : `${key}=${value}`))
    .join(" ");
}
