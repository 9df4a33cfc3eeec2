// Notices that the wall clock was set, by comparing it with the monotonic one: what waits for a time of day would
// otherwise wait for too long, or for hours that nobody meant.

// Milliseconds between looks.
const INTERVAL_MS = 1_000;
// NTP slews by less than this between two looks; a smaller step delays nothing that matters. Milliseconds.
const LEAST_JUMP_MS = 500;

export interface ClockWatch {
  start(): void;
  stop(): void;
}

/**
 * @param now epoch milliseconds
 * @param monotonicNow milliseconds
 * @param jumped told by how many milliseconds the clock was set; negative if back
 */
export function createClockWatch(
  now: () => number,
  monotonicNow: () => number,
  jumped: (deltaMs: number) => void,
): ClockWatch {
  let timer: ReturnType<typeof setInterval> | null = null;
  let offset = 0;
  function look(): void {
    const deltaMs = now() - monotonicNow() - offset;
    if (Math.abs(deltaMs) < LEAST_JUMP_MS) return;
    offset += deltaMs;
    jumped(deltaMs);
  }
  return {
    start() {
      offset = now() - monotonicNow();
      timer = setInterval(look, INTERVAL_MS);
      timer.unref();
    },
    stop() {
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
  };
}
