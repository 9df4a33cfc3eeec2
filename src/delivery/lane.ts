// The standing of one queue (an app on a platform): running, or paused with slow probes; and what an answer means
// for its ring. Pure: values in, values out.
import type { Platform } from "../store/types.ts";
import { countAnswer, emptyShare, isProven, isSuspicious, mayJudge, type Share } from "./bad-share.ts";
import type { Verdict } from "./outcome.ts";
import { type RetryCause, retryDelayMs } from "./retry.ts";

/**
 * Why a queue is paused. `trouble`: the provider is reached, but answers ring after ring with trouble of its own.
 * `bad_tokens`: so many tokens are refused that the configuration is the likelier cause. `no_credential`: rings are
 * owed, and nothing is configured to send them with.
 */
export type PauseWhy = "configuration" | "unreachable" | "trouble" | "quota" | "bad_tokens" | "no_credential";

export interface Pause {
  readonly why: PauseWhy;
  /** The provider's word, or the failure's. */
  readonly reason: string;
  /** Monotonic milliseconds: when the next probe goes out. */
  readonly probeAt: number;
  /** Probes that failed so far. */
  readonly probes: number;
}

export interface LaneState {
  readonly pause: Pause | null;
  readonly share: Share;
  /** Rings that may be in flight at once: grows with what is accepted, shrinks with trouble. */
  readonly window: number;
  /** Rings in a row that met trouble of the provider. */
  readonly troubles: number;
}

/** What becomes of the ring whose answer it was. */
export type RingFate =
  | { readonly kind: "done"; readonly outcome: string }
  | { readonly kind: "dead"; readonly outcome: string; readonly ends: boolean }
  | { readonly kind: "again"; readonly outcome: string; readonly delayMs: number; readonly counts: boolean };

/** One answer, and what is needed to judge it. */
export interface Answer {
  readonly platform: Platform;
  readonly verdict: Verdict;
  /** How often this ring was tried before. */
  readonly attempt: number;
  /** Whether the ring was a paused queue's probe. */
  readonly probe: boolean;
  /** Monotonic milliseconds. */
  readonly now: number;
  /** From 0 up to but not including 1. */
  readonly random: number;
}

// Rings in flight: at most what four connections of 100 streams carry. A queue begins small, also after an
// outage, and one more goes out for each that is accepted: that doubles with every round trip.
export const WINDOW = { start: 32, afterPause: 8, least: 8, most: 400 } as const;
// So many rings in a row with trouble are an outage: going through everything that is owed would only add to it.
const TROUBLES_TO_PAUSE = 20;
// Apple's shortest interval between provider tokens, milliseconds.
const AUTH_HOLD_MS = 20 * 60_000;

export function newLane(monotonicNow: number): LaneState {
  return { pause: null, share: emptyShare(monotonicNow), window: WINDOW.start, troubles: 0 };
}

/** What an answer means for its queue and its ring. */
export function judge(
  state: LaneState,
  answer: Answer,
): { readonly state: LaneState; readonly fate: RingFate } {
  const { verdict, now } = answer;
  switch (verdict.kind) {
    case "accepted": {
      const next = works({ ...state, share: countAnswer(state.share, false, now), troubles: 0 }, answer);
      return { state: grown(next), fate: { kind: "done", outcome: "accepted" } };
    }
    case "token_dead":
    case "token_bad": {
      const counted = { ...state, share: countAnswer(state.share, true, now), troubles: 0 };
      if (isSuspicious(counted.share)) {
        // Many at once: the likelier cause is the configuration, so nobody is judged by it.
        return {
          state: paused(counted, answer, "bad_tokens", verdict.reason, probeWait(state, answer)),
          fate: again(verdict.reason, wait(answer, "suspect", answer.attempt), false),
        };
      }
      const fate: RingFate = mayJudge(counted.share, answer.attempt)
        ? { kind: "dead", outcome: verdict.reason, ends: verdict.kind === "token_dead" }
        : again(verdict.reason, wait(answer, "suspect", answer.attempt), true);
      return { state: works(counted, answer), fate };
    }
    case "token_doubtful": {
      const delayMs = retryDelayMs(answer.platform, "doubtful", answer.attempt, null, answer.random);
      const fate: RingFate =
        delayMs === null ? { kind: "done", outcome: verdict.reason } : again(verdict.reason, delayMs, true);
      return { state: works(state, answer), fate };
    }
    case "our_bug":
      return { state: works(state, answer), fate: { kind: "done", outcome: verdict.reason } };
    case "device_slow": {
      const delayMs = wait(answer, "device", answer.attempt, verdict.retryAfterMs);
      return { state: works(state, answer), fate: again(verdict.reason, delayMs, true) };
    }
    case "configuration": {
      const delayMs = probeWait(state, answer);
      return {
        state: paused(state, answer, "configuration", verdict.reason, delayMs),
        fate: verdict.personal ? blamed(state, answer, verdict.reason) : again(verdict.reason, 0, false),
      };
    }
    case "auth_hold":
      return {
        state: paused(state, answer, "configuration", verdict.reason, AUTH_HOLD_MS),
        fate: again(verdict.reason, 0, false),
      };
    case "project_quota": {
      const delayMs = wait(answer, "quota", probesOf(state, answer), verdict.retryAfterMs);
      return {
        state: paused(state, answer, "quota", verdict.reason, delayMs),
        fate: again(verdict.reason, 0, false),
      };
    }
    case "unreachable": {
      const delayMs = wait(answer, "unreachable", probesOf(state, answer), verdict.retryAfterMs);
      return {
        state: paused(state, answer, "unreachable", verdict.reason, delayMs),
        fate: again(verdict.reason, 0, false),
      };
    }
    case "transient": {
      const slower = {
        ...state,
        troubles: state.troubles + 1,
        window: Math.max(WINDOW.least, Math.floor(state.window / 2)),
      };
      const delayMs = wait(answer, "trouble_probe", probesOf(state, answer), verdict.retryAfterMs);
      const ownMs = wait(answer, "transient", answer.attempt, verdict.retryAfterMs);
      // A probe's ring is not to blame for an outage: it waits for the next probe, and its tries are not counted.
      const isProbe = state.pause !== null && answer.probe;
      const fate = again(verdict.reason, isProbe ? delayMs : ownMs, !isProbe);
      if (state.pause === null && slower.troubles < TROUBLES_TO_PAUSE) return { state: slower, fate };
      // A probe that met trouble proves nothing about what the queue waits for.
      const why = state.pause?.why ?? "trouble";
      const reason = state.pause?.reason ?? verdict.reason;
      return { state: paused(slower, answer, why, reason, delayMs), fate };
    }
  }
}

/**
 * What becomes of a ring that was sent with a credential which was replaced before the answer came. The answer says
 * nothing about the new one, and no phone is judged by the old one, which may have been the wrong one.
 */
export function judgeReplaced(answer: Answer): RingFate {
  const { verdict } = answer;
  switch (verdict.kind) {
    case "accepted":
      return { kind: "done", outcome: "accepted" };
    case "our_bug":
      return { kind: "done", outcome: verdict.reason };
    case "device_slow":
      return again(verdict.reason, wait(answer, "device", answer.attempt, verdict.retryAfterMs), true);
    case "token_dead":
    case "token_bad":
    case "token_doubtful":
    case "configuration":
    case "auth_hold":
    case "project_quota":
    case "unreachable":
    case "transient":
      return again(verdict.reason, 0, false);
  }
}

/** The standing of a queue whose credential was replaced: a pause ends with the next probe, which is due now. */
export function withNewCredential(state: LaneState, now: number): LaneState {
  const { pause } = state;
  return {
    pause: pause === null ? null : { ...pause, probeAt: now, probes: 0 },
    // What the old credential met does not count, except for the suspicion that is still to be disproved.
    share: pause?.why === "bad_tokens" ? state.share : emptyShare(now),
    window: Math.min(state.window, WINDOW.start),
    troubles: 0,
  };
}

/** A pause whose next probe is due now. */
export function probingNow(state: LaneState, now: number): LaneState {
  return state.pause === null ? state : { ...state, pause: { ...state.pause, probeAt: now } };
}

/** A refusal that one phone with a foreign token can cause as well as a wrong configuration. */
function blamed(state: LaneState, answer: Answer, reason: string): RingFate {
  // Others of this app were rung lately, and this one stopped them: it is the phone.
  const isPersonal = state.pause === null && isProven(state.share);
  return isPersonal
    ? again(reason, wait(answer, "foreign", answer.attempt), true)
    : again(reason, wait(answer, "suspect", 0), false);
}

function again(outcome: string, delayMs: number, counts: boolean): RingFate {
  return { kind: "again", outcome, delayMs, counts };
}

// For the causes without a budget: there is always a wait.
function wait(answer: Answer, cause: RetryCause, tries: number, retryAfterMs: number | null = null): number {
  return retryDelayMs(answer.platform, cause, tries, retryAfterMs, answer.random) ?? 0;
}

function probeWait(state: LaneState, answer: Answer): number {
  const probes = probesOf(state, answer);
  return probes === 0 ? wait(answer, "first_probe", 0) : wait(answer, "probe", probes - 1);
}

function probesOf(state: LaneState, { probe }: Answer): number {
  return state.pause !== null && probe ? state.pause.probes + 1 : 0;
}

/** Pauses. What was in flight when the pause began says nothing new and does not put the probe off. */
function paused(state: LaneState, answer: Answer, why: PauseWhy, reason: string, delayMs: number): LaneState {
  if (state.pause !== null && !answer.probe) return state;
  const probes = probesOf(state, answer);
  return {
    ...state,
    pause: { why, reason, probeAt: answer.now + delayMs, probes },
    window: WINDOW.afterPause,
  };
}

/**
 * The provider dealt with a ring as such, so credential and connection work: that ends a pause. A quota and a
 * suspicion are not disproved by rings that were under way already, only by a probe.
 */
function works(state: LaneState, { probe, verdict, now }: Answer): LaneState {
  const { pause } = state;
  if (pause === null) return state;
  switch (pause.why) {
    case "configuration":
    case "unreachable":
    case "trouble":
      return { ...state, pause: null, troubles: 0 };
    case "quota":
      return probe ? { ...state, pause: null } : state;
    case "no_credential":
      return state;
    case "bad_tokens":
      // The suspicion begins anew, or the old answers would bring it back at once.
      return probe && verdict.kind === "accepted" ? { ...state, pause: null, share: emptyShare(now) } : state;
  }
}

function grown(state: LaneState): LaneState {
  return state.pause === null && state.window < WINDOW.most ? { ...state, window: state.window + 1 } : state;
}
