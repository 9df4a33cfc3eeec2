// Follows the store's commits for metrics, logs and readiness: failing since when, and how often it is said.
import type { BellError } from "../errors.ts";
import type { Check } from "./health.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";

// A disk that stays full fails every commit; one line in this time tells the same, milliseconds.
const REPEAT_MS = 60_000;

export interface StoreWatch {
  readonly committed: (requests: number, durationMs: number) => void;
  readonly failed: (error: BellError, reserveGivenUp: boolean) => void;
  readonly unreadable: (error: BellError) => void;
  readonly recovered: () => void;
  readonly check: Check;
}

/** @param now epoch milliseconds */
export function createStoreWatch(log: Logger, metrics: Metrics, now: () => number): StoreWatch {
  let failingSince: number | null = null;
  let lastCode = "";
  let saidAt = Number.NEGATIVE_INFINITY;
  let unreadableSaidAt = Number.NEGATIVE_INFINITY;
  return {
    committed(requests, durationMs) {
      metrics.commitSeconds.observe(durationMs / 1000);
      metrics.commitRows.observe(requests);
    },
    failed(error, reserveGivenUp) {
      failingSince ??= now();
      lastCode = error.code;
      if (reserveGivenUp) {
        log.error(
          { code: error.code },
          "The disk of the database is full. The reserve file was given up: make room now, there is no second reserve.",
        );
      } else if (now() - saidAt > REPEAT_MS) {
        saidAt = now();
        log.error(
          { code: error.code, reason: error.message },
          "The database cannot be written; Exchange is told to try again.",
        );
      }
    },
    unreadable(error) {
      if (now() - unreadableSaidAt <= REPEAT_MS) return;
      unreadableSaidAt = now();
      log.error(
        { code: error.code, reason: error.message },
        "A stored token cannot be opened; its phone is not rung.",
      );
    },
    recovered() {
      log.warn(
        { failedForMs: failingSince === null ? 0 : now() - failingSince },
        "The database can be written again.",
      );
      failingSince = null;
      saidAt = Number.NEGATIVE_INFINITY;
    },
    check: {
      name: "database",
      essential: true,
      look: () =>
        failingSince === null
          ? { ok: true, detail: "the last commit succeeded" }
          : { ok: false, detail: `cannot be written (${lastCode})` },
    },
  };
}
