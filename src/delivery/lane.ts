// The standing of one queue (an app on a platform): running, or paused with slow probes. Pure: values in, values out.
import type { Platform } from "../store/types.ts";
import { countAnswer, emptyShare, isSuspicious, type Share } from "./bad-share.ts";
import type { Verdict } from "./outcome.ts";
import { retryDelayMs } from "./retry.ts";

/** Why a queue is paused. */
export type PauseWhy = "configuration" | "unreachable" | "quota" | "bad_tokens";

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
}

/** What becomes of the ring whose answer it was. */
export type RingFate =
  | { readonly kind: "done"; readonly outcome: string }
  | { readonly kind: "dead"; readonly outcome: string; readonly ends: boolean }
  | { readonly kind: "again"; readonly outcome: string; readonly delayMs: number; readonly counts: boolean };

export function newLane(monotonicNow: number): LaneState {
  return { pause: null, share: emptyShare(monotonicNow) };
}

// Google's default wait after 429, and Apple's shortest interval between provider tokens, milliseconds.
const QUOTA_MS = 60_000;
const AUTH_HOLD_MS = 20 * 60_000;

/**
 * What an answer means for its queue and its ring.
 * @param attempt how often this ring was tried before
 * @param now monotonic milliseconds
 * @param random from 0 up to but not including 1
 */
export function judge(
  platform: Platform,
  state: LaneState,
  verdict: Verdict,
  attempt: number,
  now: number,
  random: number,
): { readonly state: LaneState; readonly fate: RingFate } {
  const delay = (
    cause: Parameters<typeof retryDelayMs>[1],
    tries: number,
    retryAfterMs: number | null = null,
  ) => retryDelayMs(platform, cause, tries, retryAfterMs, random);
  const paused = (why: PauseWhy, reason: string, waitMs: number | null): LaneState => {
    const probes = state.pause === null ? 0 : state.pause.probes + 1;
    const probeAt = now + (waitMs ?? delay("probe", probes) ?? 0);
    return { ...state, pause: { why, reason, probeAt, probes } };
  };
  const again = (outcome: string, delayMs: number, counts: boolean): RingFate => ({
    kind: "again",
    outcome,
    delayMs,
    counts,
  });
  const running = { ...state, pause: null };

  switch (verdict.kind) {
    case "accepted":
      return {
        state: { pause: null, share: countAnswer(state.share, false, now) },
        fate: { kind: "done", outcome: "accepted" },
      };
    case "token_dead":
    case "token_bad": {
      const share = countAnswer(state.share, true, now);
      if (isSuspicious(share)) {
        // Many at once: the likelier cause is the configuration, so nobody is judged by it.
        return {
          state: { ...paused("bad_tokens", "bad_tokens", null), share },
          fate: again(verdict.reason, delay("suspect", attempt) ?? 0, false),
        };
      }
      return {
        state: { ...running, share },
        fate: { kind: "dead", outcome: verdict.reason, ends: verdict.kind === "token_dead" },
      };
    }
    case "token_doubtful": {
      const delayMs = delay("doubtful", attempt);
      return {
        state: running,
        fate:
          delayMs === null ? { kind: "done", outcome: verdict.reason } : again(verdict.reason, delayMs, true),
      };
    }
    case "configuration":
      return {
        state: paused("configuration", verdict.reason, null),
        // One phone with a foreign token can cause it: the next probe shall try another phone.
        fate: again(
          verdict.reason,
          verdict.personal ? (delay("suspect", attempt) ?? 0) : 0,
          verdict.personal,
        ),
      };
    case "auth_hold":
      return {
        state: paused("configuration", verdict.reason, AUTH_HOLD_MS),
        fate: again(verdict.reason, 0, false),
      };
    case "project_quota":
      return {
        state: paused("quota", verdict.reason, delay("quota", 0, verdict.retryAfterMs ?? QUOTA_MS)),
        fate: again(verdict.reason, 0, false),
      };
    case "unreachable": {
      const probes = state.pause === null ? 0 : state.pause.probes + 1;
      return {
        state: paused("unreachable", verdict.reason, delay("unreachable", probes, verdict.retryAfterMs)),
        fate: again(verdict.reason, 0, false),
      };
    }
    case "our_bug":
      return { state: running, fate: { kind: "done", outcome: verdict.reason } };
    case "device_slow":
      return {
        state: running,
        fate: again(verdict.reason, delay("device", attempt, verdict.retryAfterMs) ?? 0, true),
      };
    case "transient":
      // A probe that met trouble proves nothing about what the queue waits for.
      return {
        state: state.pause === null ? state : paused(state.pause.why, state.pause.reason, null),
        fate: again(verdict.reason, delay("transient", attempt, verdict.retryAfterMs) ?? 0, true),
      };
  }
}
