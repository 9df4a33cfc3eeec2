// Timers as a dependency, so that a test can advance the clock instead of waiting.

export interface Timer {
  cancel(): void;
}

export interface Timers {
  /** Calls `run` once after `delayMs` milliseconds, unless cancelled. */
  after(delayMs: number, run: () => void): Timer;
}

// The longest delay that setTimeout takes without wrapping around to "at once", milliseconds.
const LONGEST_MS = 2_147_483_647;

/** The runtime's own timers. */
export const realTimers: Timers = {
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(Math.max(0, delayMs), LONGEST_MS));
    return { cancel: () => clearTimeout(handle) };
  },
};
