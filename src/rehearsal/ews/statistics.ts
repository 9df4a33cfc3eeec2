// What the simulated Exchange saw: counts, latencies of its POSTs, and rules that the listener broke.
import type { AnswerRule, Verdict } from "./answer.ts";
import type { EndReason, PostInfo } from "./subscription.ts";

/** A rule that the listener broke, once. */
export interface ExchangeViolation {
  readonly rule: AnswerRule;
  /** What happened, without any id. */
  readonly detail: string;
  /** Grave: it endangers the Exchange server itself. */
  readonly grave: boolean;
  /** Epoch milliseconds. */
  readonly at: number;
}

export interface ExchangeStatistics {
  /** POSTs sent, retries included. */
  readonly posts: number;
  /** Answered OK or Unsubscribe. */
  readonly delivered: number;
  readonly heartbeats: number;
  readonly errorNotifications: number;
  readonly retries: number;
  /** Failed tries, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** Answers thrown away on request. */
  readonly lostAnswers: number;
  /** Ended subscriptions, by reason. */
  readonly ended: Readonly<Record<EndReason, number>>;
  /** From before connecting until the answer was read, milliseconds, sorted; the newest 100 000. */
  readonly latenciesMs: readonly number[];
  readonly violations: readonly ExchangeViolation[];
}

const KEPT_LATENCIES = 100_000;
const KEPT_VIOLATIONS = 1000;

export interface StatisticsRecorder {
  post(info: PostInfo): void;
  verdict(info: PostInfo, verdict: Verdict): void;
  end(reason: EndReason): void;
  lostAnswer(): void;
  snapshot(): ExchangeStatistics;
}

/** @param now epoch milliseconds */
export function createStatistics(now: () => number): StatisticsRecorder {
  let posts = 0;
  let delivered = 0;
  let heartbeats = 0;
  let errorNotifications = 0;
  let retries = 0;
  let lostAnswers = 0;
  const failures: Record<string, number> = {};
  const ended: Record<EndReason, number> = { unsubscribed: 0, dropped: 0, forgotten: 0, failed: 0 };
  const latencies: number[] = [];
  const violations: ExchangeViolation[] = [];
  return {
    post(info) {
      posts++;
      if (info.attempt > 0) retries++;
      else if (info.kind === "status") heartbeats++;
      else if (info.kind === "error") errorNotifications++;
    },
    verdict(info, verdict) {
      if (verdict.kind === "ok" || verdict.kind === "unsubscribe") {
        delivered++;
        latencies[(delivered - 1) % KEPT_LATENCIES] = performance.now() - info.sentAtMs;
      } else if (verdict.kind === "failed") {
        failures[verdict.why] = (failures[verdict.why] ?? 0) + 1;
      }
      if (verdict.broke !== undefined && violations.length < KEPT_VIOLATIONS) {
        const detail =
          verdict.kind === "failed" ? verdict.why : `answer ${verdict.kind} after ${verdict.broke}`;
        violations.push({ rule: verdict.broke, detail, grave: verdict.broke === "challenge", at: now() });
      }
    },
    end(reason) {
      ended[reason]++;
    },
    lostAnswer() {
      lostAnswers++;
    },
    snapshot: () => ({
      posts,
      delivered,
      heartbeats,
      errorNotifications,
      retries,
      lostAnswers,
      failures: { ...failures },
      ended: { ...ended },
      latenciesMs: [...latencies].sort((a, b) => a - b),
      violations: [...violations],
    }),
  };
}
