// What the journal and the metrics say about rings and pauses: single rings at debug level, what an administrator
// has to know once and in plain words. No token, no id but a keyed hash.
import type { Keyring } from "../keys/types.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import { createQuietLog } from "../ops/quiet-log.ts";
import type { DueNews, Queue, Ring } from "../store/types.ts";
import { hintFor, reasonLabel, stallHint } from "./hints.ts";
import type { Pause } from "./lane.ts";
import type { Verdict } from "./outcome.ts";

export interface RingLogOptions {
  readonly keyring: Pick<Keyring, "logId">;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "rings" | "ringSeconds" | "providerPaused" | "deliveryStalled">;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
}

export interface RingLog {
  /** A ring got its verdict. */
  rang(ring: Ring, verdict: Verdict, origin: DueNews["origin"]): void;
  /** A queue's pause changed, or not. */
  pauseChanged(queue: Queue, before: Pause | null, after: Pause | null): void;
  /** A queue is no more, and its pause with it. */
  pauseGone(queue: Queue, pause: Pause): void;
  /** No ring of a queue was accepted for `forMs`: its connections are made anew. */
  renewed(queue: Queue, forMs: number): void;
  /** That did not help. */
  stalled(queue: Queue, forMs: number): void;
  stallEnded(queue: Queue): void;
  /** A queue has another sender, or none any more. */
  senderReplaced(queue: Queue, by: "new" | "none"): void;
  /** The store could not be asked. */
  storeFailed(error: unknown): void;
  /** A sender broke its promise not to reject. */
  defect(error: unknown): void;
}

// A kind of line is written once in this time, milliseconds.
const QUIET_MS = 60_000;
// One phone's bad token is nothing; the same for each phone is a mistake that is easily made.
const TOKEN_HINT = "Should it happen to each phone: check apns.environment (sandbox or production).";
// A queue that pauses and runs in turns says so once in this time, milliseconds.
const PAUSE_QUIET_MS = 600_000;

export function createRingLog(options: RingLogOptions): RingLog {
  const { keyring, log, metrics, monotonicNow } = options;
  const quiet = createQuietLog(QUIET_MS, monotonicNow);
  const pauses = createQuietLog(PAUSE_QUIET_MS, monotonicNow);

  function tell(ring: Ring, verdict: Verdict, origin: DueNews["origin"]): void {
    const fields = {
      ...(origin === null ? {} : { correlationId: origin.correlationId }),
      registration: keyring.logId(ring.registrationId),
      app: ring.app,
      provider: ring.platform,
      reason: ring.reason,
      attempt: ring.attempt + 1,
      outcome: "reason" in verdict ? verdict.reason : verdict.kind,
    };
    switch (verdict.kind) {
      case "accepted":
        log.debug(fields, "Rang.");
        return;
      case "our_bug":
        quiet.say(`bug ${ring.app} ${ring.platform} ${verdict.reason}`, (suppressed) =>
          log.error(
            { ...fields, suppressed },
            "The provider refused a ring as malformed; it was given up. Please report this.",
          ),
        );
        return;
      case "token_dead":
        log.info(fields, "The app is gone from the phone, says the provider; its subscriptions end.");
        return;
      case "token_bad":
        log.warn(
          fields,
          `The provider does not know this token; the phone is not rung until it registers again. ${TOKEN_HINT}`,
        );
        return;
      case "configuration":
      case "auth_hold":
      case "unreachable":
      case "project_quota":
      case "transient":
      case "device_slow":
      case "token_doubtful":
        quiet.say(`${ring.app} ${ring.platform} ${verdict.reason}`, (suppressed) =>
          log.warn({ ...fields, suppressed }, "A ring did not get through; it is tried again."),
        );
    }
  }

  return {
    rang(ring, verdict, origin) {
      metrics.rings.inc({ app: ring.app, provider: ring.platform, outcome: verdict.kind });
      if (verdict.kind === "accepted" && origin !== null && origin.receivedAtMs !== null) {
        const seconds = (monotonicNow() - origin.receivedAtMs) / 1000;
        metrics.ringSeconds.observe({ provider: ring.platform }, seconds);
      }
      tell(ring, verdict, origin);
    },

    pauseChanged(queue, before, after) {
      if (before === after || (before?.why === after?.why && before?.reason === after?.reason)) return;
      const labels = labelsOf(queue);
      if (before !== null) metrics.providerPaused.set({ ...labels, reason: label(before) }, 0);
      if (after !== null) metrics.providerPaused.set({ ...labels, reason: label(after) }, 1);
      const name = `${queue.app} ${queue.platform}`;
      if (after === null) {
        pauses.say(`${name} runs`, (suppressed) =>
          log.info({ ...labels, suppressed }, "Ringing again: the provider takes this app's rings."),
        );
        return;
      }
      pauses.say(`${name} ${after.why} ${after.reason}`, (suppressed) =>
        log.error(
          { ...labels, reason: after.reason, why: after.why, suppressed },
          `Paused this app's rings; they stay owed. ${hintFor(after)}`,
        ),
      );
    },

    pauseGone(queue, pause) {
      metrics.providerPaused.set({ ...labelsOf(queue), reason: label(pause) }, 0);
    },

    renewed(queue, forMs) {
      log.warn(
        { ...labelsOf(queue), seconds: forMs / 1000 },
        "Rings are due and none was accepted; the connections to the provider are made anew.",
      );
    },

    stalled(queue, forMs) {
      metrics.deliveryStalled.set(labelsOf(queue), 1);
      log.error(
        { ...labelsOf(queue), seconds: forMs / 1000 },
        `Rings are due and none was accepted, not even over new connections; they stay owed. ${stallHint(queue.platform)}`,
      );
    },

    stallEnded(queue) {
      metrics.deliveryStalled.set(labelsOf(queue), 0);
      log.info(labelsOf(queue), "Rings get through again.");
    },

    senderReplaced(queue, by) {
      log.info(
        labelsOf(queue),
        by === "new"
          ? "This app's rings go out with the configuration that was loaded."
          : "Nothing is configured any more to ring this app with.",
      );
    },

    storeFailed(error) {
      quiet.say("store", (suppressed) =>
        log.error({ reason: textOf(error), suppressed }, "The database could not be asked for what is owed."),
      );
    },

    defect(error) {
      quiet.say("defect", (suppressed) =>
        log.error(
          { reason: textOf(error), suppressed },
          "A ring failed in a way that should not be possible; it is tried again. Please report this.",
        ),
      );
    },
  };
}

// Known words only, so that no provider can invent time series.
function label(pause: Pause): string {
  return pause.why === "configuration" ? reasonLabel(pause.reason) : pause.why;
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function labelsOf({ app, platform }: Queue): { app: string; provider: string } {
  return { app, provider: platform };
}
