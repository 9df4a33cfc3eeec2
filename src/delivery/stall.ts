// When a queue stands still: rings are due, the provider is believed to be reachable, and none gets through. Pure.
//
// The rule. Time counts while something is due and no pause explains why it is not rung: a paused queue has its own
// alarm, except one that is paused for trouble, which may well be a connection that is of no use any more. Whatever
// the provider says about a phone (accepted, dead token, too many) shows that rings get through, and time begins
// anew. After one such time the connections are made anew; after another one without an accepted ring it is an
// alarm, and they go on being made anew. The alarm ends with the first accepted ring, or when nothing is owed.
import type { Pause } from "./lane.ts";
import type { VerdictKind } from "./outcome.ts";

export interface StallState {
  /** Since when time counts, monotonic milliseconds; null while it does not. */
  readonly since: number | null;
  readonly step: "watching" | "renewed" | "stalled";
}

export const WATCHING: StallState = { since: null, step: "watching" };

/** What a look at a queue saw. */
export interface Sight {
  readonly pause: Pause | null;
  /** A ring is due, or on its way. */
  readonly due: boolean;
  /** A ring is owed, be it due or waiting for its next try. */
  readonly owed: boolean;
  /** Monotonic milliseconds. */
  readonly now: number;
  readonly stalledAfterMs: number;
}

/** What is to be done: take all connections out of use, and perhaps raise or end the alarm. */
export interface StallStep {
  readonly state: StallState;
  readonly renew: boolean;
  readonly alarm: "raise" | "end" | null;
}

/** Judges a queue after a look at it. */
export function lookAtQueue(state: StallState, sight: Sight): StallStep {
  const { now } = sight;
  if (!sight.owed) return calm(state);
  if (isExplained(sight.pause)) return { state: rest(state), renew: false, alarm: null };
  if (state.since === null) {
    return { state: sight.due ? { ...state, since: now } : state, renew: false, alarm: null };
  }
  // A ring that waits for its next try is not due, but nothing got through for it either.
  if (now - state.since < sight.stalledAfterMs) return { state, renew: false, alarm: null };
  switch (state.step) {
    case "watching":
      return { state: { since: now, step: "renewed" }, renew: true, alarm: null };
    case "renewed":
      return { state: { since: now, step: "stalled" }, renew: true, alarm: "raise" };
    case "stalled":
      return { state: { since: now, step: "stalled" }, renew: true, alarm: null };
  }
}

/** Judges a queue after an answer of its provider. */
export function hearAnswer(state: StallState, kind: VerdictKind): StallStep {
  switch (kind) {
    case "accepted":
      return calm(state);
    case "token_dead":
    case "token_bad":
    case "token_doubtful":
    case "our_bug":
    case "device_slow":
      return { state: rest(state), renew: false, alarm: null };
    case "configuration":
    case "auth_hold":
    case "project_quota":
    case "transient":
    case "unreachable":
      return { state, renew: false, alarm: null };
  }
}

function isExplained(pause: Pause | null): boolean {
  return pause !== null && pause.why !== "trouble";
}

function calm({ step }: StallState): StallStep {
  return { state: WATCHING, renew: false, alarm: step === "stalled" ? "end" : null };
}

/** Time does not count; an alarm stays. */
function rest({ step }: StallState): StallState {
  return { since: null, step: step === "stalled" ? "stalled" : "watching" };
}
