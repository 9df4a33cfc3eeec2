// How late the event loop is: the difference between when a timer should have fired and when it did.

// Milliseconds between looks: often enough to notice a pause within a second, too seldom to cost anything.
const INTERVAL_MS = 500;

export interface LoopLag {
  start(): void;
  stop(): void;
  /** The last lag seen, seconds. */
  readonly seconds: number;
}

/**
 * @param monotonicNow milliseconds
 * @param observe told each lag in seconds
 */
export function createLoopLag(monotonicNow: () => number, observe: (seconds: number) => void): LoopLag {
  let timer: ReturnType<typeof setInterval> | null = null;
  let last = 0;
  return {
    start() {
      let expected = monotonicNow() + INTERVAL_MS;
      timer = setInterval(() => {
        const now = monotonicNow();
        last = Math.max(0, now - expected) / 1000;
        expected = now + INTERVAL_MS;
        observe(last);
      }, INTERVAL_MS);
      timer.unref();
    },
    stop() {
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
    get seconds() {
      return last;
    },
  };
}
