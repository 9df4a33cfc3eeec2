// The simulated Exchange's time: every wait of it goes through here, so that minutes can pass in milliseconds
// and everything that is still waiting can be stopped in one place.

/** Simulated time. All waits are given in simulated milliseconds. */
export interface Clock {
  /** Simulated milliseconds since the clock was made. */
  now(): number;
  /** Calls `run` once after `ms`; the returned function calls it off. */
  after(ms: number, run: () => void): () => void;
  /** Calls off everything and accepts nothing more. */
  stop(): void;
}

/**
 * A clock that runs on real timers, `timeScale` times faster than the wall clock: with 1200 a minute lasts 50 ms.
 */
export function createScaledClock(timeScale: number): Clock {
  const startedAt = performance.now();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let stopped = false;
  return {
    now: () => (performance.now() - startedAt) * timeScale,
    after(ms, run) {
      if (stopped) return () => {};
      const timer = setTimeout(() => {
        timers.delete(timer);
        run();
      }, ms / timeScale);
      timers.add(timer);
      return () => {
        clearTimeout(timer);
        timers.delete(timer);
      };
    },
    stop() {
      stopped = true;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

/** A clock that stands still until it is advanced. */
export interface ManualClock extends Clock {
  /** Lets `ms` pass and runs what falls due, in order. */
  advance(ms: number): void;
  /** How many waits are outstanding. */
  waiting(): number;
}

/** For tests: time passes only by `advance`. */
export function createManualClock(): ManualClock {
  let now = 0;
  let stopped = false;
  let waits: { readonly at: number; readonly run: () => void }[] = [];
  return {
    now: () => now,
    after(ms, run) {
      if (stopped) return () => {};
      const wait = { at: now + ms, run };
      waits.push(wait);
      return () => {
        waits = waits.filter((other) => other !== wait);
      };
    },
    stop() {
      stopped = true;
      waits = [];
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = waits.filter((wait) => wait.at <= end).sort((a, b) => a.at - b.at)[0];
        if (due === undefined) break;
        waits = waits.filter((wait) => wait !== due);
        now = due.at;
        due.run();
      }
      now = end;
    },
    waiting: () => waits.length,
  };
}
