// How late the event loop is, measured by blocking it.
import { expect, test } from "bun:test";
import { createLoopLag } from "../../src/ops/loop-lag.ts";

async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > limit) throw new Error("waited in vain");
    await Bun.sleep(5);
  }
}

test("a blocked loop is seen, in seconds, and forgotten when it runs again", async () => {
  const seen: number[] = [];
  const lag = createLoopLag(
    () => performance.now(),
    (seconds) => void seen.push(seconds),
  );
  expect(lag.seconds).toBe(0);
  lag.start();
  try {
    await Bun.sleep(0);
    Bun.sleepSync(1_200);
    await until(() => seen.length >= 1);
    // The timer was due after half a second, so the rest of the block is how late it was.
    expect(seen[0]).toBeGreaterThan(0.5);
    expect(seen[0]).toBeLessThan(5);
    await until(() => seen.length >= 3);
    expect(lag.seconds).toBeLessThan(0.4);
  } finally {
    lag.stop();
  }
  const count = seen.length;
  await Bun.sleep(700);
  expect(seen).toHaveLength(count);
});

test("a clock that stands still is never a negative lag", async () => {
  const seen: number[] = [];
  const lag = createLoopLag(
    () => 42,
    (seconds) => void seen.push(seconds),
  );
  lag.start();
  await until(() => seen.length >= 1);
  lag.stop();
  expect(seen[0]).toBe(0);
});
