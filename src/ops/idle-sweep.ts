// Lets registrations fall idle, once an hour, and what is left of ended ones go, once a day; but never by a clock that
// was just set, nor soon after a start: a wrong date must not forget every phone.
import type { Logger } from "./log.ts";

// Registrations fall idle by the day, so once an hour is soon enough. Milliseconds.
const EVERY_MS = 3_600_000;
// What is left of ended registrations goes after a year, so once a day is soon enough. In hours.
const SPENT_EVERY = 24;
// After the clock was set forward, and after a start, before which it may have been: long enough for somebody to
// read the warning, or for NTP, to set it right. Milliseconds.
const HOLD_MS = 24 * 3_600_000;
// A smaller step ends no registration that had not fallen idle today anyway. Milliseconds.
const LARGE_JUMP_MS = 3_600_000;

export interface IdleSweepOptions {
  /** Removes what fell idle; says how many. */
  readonly sweep: () => Promise<number>;
  /** Removes what is left of registrations that ended long ago; says how many. */
  readonly removeSpent: () => Promise<number>;
  /** Removes rows of databases before a restore that are of no use any more; says how many. */
  readonly removeFormer: () => Promise<number>;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
}

export interface IdleSweep {
  start(): void;
  stop(): void;
  /** The wall clock was set by so many milliseconds. */
  clockJumped(deltaMs: number): void;
}

export function createIdleSweep(options: IdleSweepOptions): IdleSweep {
  const { sweep, removeSpent, removeFormer, log, monotonicNow } = options;
  let timer: ReturnType<typeof setInterval> | null = null;
  let runs = 0;
  let heldUntil = Number.NEGATIVE_INFINITY;

  async function run(): Promise<void> {
    if (monotonicNow() < heldUntil) return;
    try {
      const count = await sweep();
      if (count > 0) log.info({ count }, "Registrations fell idle: their apps did not renew them.");
    } catch (error) {
      log.warn({ reason: String(error) }, "Idle registrations could not be removed.");
    }
    runs += 1;
    if (runs % SPENT_EVERY !== 1) return;
    try {
      const count = await removeSpent();
      if (count > 0) log.info({ count }, "What was left of registrations that ended long ago was removed.");
    } catch (error) {
      log.warn({ reason: String(error) }, "What is left of ended registrations could not be removed.");
    }
    try {
      const count = await removeFormer();
      if (count > 0)
        log.info({ count }, "Rows from before a restore that are of no use any more were removed.");
    } catch (error) {
      log.warn({ reason: String(error) }, "Rows from before a restore could not be removed.");
    }
  }

  return {
    start() {
      // A machine may start with a clock that is years ahead: every phone would be forgotten before NTP is heard.
      heldUntil = monotonicNow() + HOLD_MS;
      timer = setInterval(run, EVERY_MS);
      timer.unref();
    },
    stop() {
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
    clockJumped(deltaMs) {
      if (deltaMs >= LARGE_JUMP_MS) heldUntil = monotonicNow() + HOLD_MS;
    },
  };
}
