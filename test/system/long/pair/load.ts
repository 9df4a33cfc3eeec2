// When the machine had too much to do for what takes a time to say anything about the product.
import { readFileSync } from "node:fs";
import type { Spell } from "./evidence.ts";

export interface LoadWatch {
  stop(): void;
}

const EVERY_MS = 250;
// A timer of this process that comes later than that: a node's may as well. Milliseconds.
const LATE_MS = 250;
// Of the time somebody waited for a processor, by the kernel's own account.
const STALLED_SHARE = 0.6;
const PRESSURE = "/proc/pressure/cpu";

/** @param overloaded gets a spell for each stretch */
export function watchLoad(now: () => number, overloaded: Spell[]): LoadWatch {
  let [lastMs, lastStalledMs] = [now(), stalledMs()];
  const timer = setInterval(() => {
    const [atMs, stalled] = [now(), stalledMs()];
    const isLate = atMs - lastMs > EVERY_MS + LATE_MS;
    const isStalled = (stalled - lastStalledMs) / (atMs - lastMs) > STALLED_SHARE;
    if (isLate || isStalled) overloaded.push({ fromMs: lastMs, toMs: atMs });
    [lastMs, lastStalledMs] = [atMs, stalled];
  }, EVERY_MS);
  return { stop: () => clearInterval(timer) };
}

/** For how long, since the machine started, somebody waited for a processor; 0 on a kernel that does not say. */
function stalledMs(): number {
  try {
    const total = /^some .*total=(\d+)/m.exec(readFileSync(PRESSURE, "utf8"))?.[1];
    return Number(total ?? 0) / 1000;
  } catch {
    return 0;
  }
}
