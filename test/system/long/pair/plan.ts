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
  | { readonly kind: "disk_lost"; readonly who: Who; readonly stallMs: number };

export type FaultKind = Fault["kind"];

export interface Step {
  readonly fault: Fault;
  /** Until both nodes wait for each other again, not only until they hold the same. */
  readonly waitsForProtection: boolean;
  /** Quiet time under load before the fault, milliseconds. */
  readonly beforeMs: number;
}

/** Every fault once, with durations drawn from the seed. */
export function deck(random: Random): readonly Fault[] {
  // Longer than `takeover_after` of 3 s.
  const long = () => random.between(3_500, 5_500);
  const minutes = () => random.pick([-1, 1]) * random.between(120, 900);
  const whos: readonly Who[] = ["active", "passive"];
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
      const waitsForProtection = fault.kind === "disk_lost" || random.fraction() < 0.15;
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
];

/** A fault in words, for the timeline. */
export function describeFault(fault: Fault): string {
  return Object.entries(fault)
    .map(([key, value]) => (key === "kind" ? String(value) : `${key}=${value}`))
    .join(" ");
}
