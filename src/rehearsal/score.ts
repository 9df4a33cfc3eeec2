// Keeps the score of a rehearsal: notifications, rings, and how long each took. No I/O.
import type { Push } from "./phone/push.ts";

/** A line for the person who watches. */
export type Happening =
  | { readonly kind: "notification"; readonly mailbox: string; readonly what: string }
  | {
      readonly kind: "ring";
      readonly phone: string;
      readonly mailbox: string;
      readonly provider: "APNs" | "FCM";
      readonly push: Push;
      readonly latencyMs: number | null;
    };

export interface Score {
  /** A POST with events has left Exchange. `sentAtMs` is monotonic. */
  posted(mailbox: string, what: string, sentAtMs: number): void;
  /** A provider accepted a push for this phone. `nowMs` is monotonic. */
  rang(phone: string, mailbox: string, provider: "APNs" | "FCM", push: Push, nowMs: number): void;
  readonly notifications: number;
  readonly rings: number;
  /** Milliseconds, in order of arrival. */
  readonly latenciesMs: readonly number[];
}

// As many samples as a long rehearsal needs for its percentiles.
const KEPT_SAMPLES = 100_000;

/** @param tell is handed each happening as it comes */
export function createScore(tell: (happening: Happening) => void): Score {
  // Mailbox to when the oldest notification left that no ring has answered yet.
  const open = new Map<string, number>();
  const latencies: number[] = [];
  let notifications = 0;
  let rings = 0;
  return {
    posted(mailbox, what, sentAtMs) {
      notifications += 1;
      if (!open.has(mailbox)) open.set(mailbox, sentAtMs);
      tell({ kind: "notification", mailbox, what });
    },
    rang(phone, mailbox, provider, push, nowMs) {
      rings += 1;
      const since = open.get(mailbox);
      const latencyMs = since === undefined ? null : nowMs - since;
      if (latencyMs !== null && latencies.length < KEPT_SAMPLES) latencies.push(latencyMs);
      open.delete(mailbox);
      tell({ kind: "ring", phone, mailbox, provider, push, latencyMs });
    },
    get notifications() {
      return notifications;
    },
    get rings() {
      return rings;
    },
    latenciesMs: latencies,
  };
}
