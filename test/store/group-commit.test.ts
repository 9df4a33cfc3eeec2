import { describe, expect, test } from "bun:test";
import { commitWaitMs, createGroupCommit } from "../../src/store/group-commit.ts";
import { badge, openTestStore, register } from "./helpers.ts";

describe("the group commit", () => {
  test("serves everything of one moment with one transaction", async () => {
    const batches: number[] = [];
    const f = await openTestStore({ events: { committed: (requests) => batches.push(requests) } });
    await Promise.all(Array.from({ length: 50 }, (_, n) => register(f.store, n + 1, "aa11", f.time.now)));
    expect(batches).toEqual([50]);
    await f.close();
  });

  test("does not let a lone request wait for a timer", () => {
    expect(commitWaitMs(1, 5)).toBe(0);
    expect(commitWaitMs(10, 0.8)).toBeCloseTo(1.6);
    expect(commitWaitMs(10, 500)).toBeLessThanOrEqual(5);
  });

  test("fails only the request that is at fault, and stores nothing of it", async () => {
    const f = await openTestStore();
    const outcomes = await Promise.allSettled([
      register(f.store, 1, "aa11", f.time.now),
      f.store.submit({
        registrationId: "00000000-0000-4000-8000-000000000002",
        decide: () => {
          throw new Error("a defect");
        },
      }),
      register(f.store, 3, "aa13", f.time.now),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((await f.store.counts(f.time.now)).registrations).toEqual([
      { app: "com.example.mail", platform: "apns", count: 2 },
    ]);
    await f.close();
  });

  test("answers nobody before the transaction has returned, and all of them when the disk refuses", () => {
    const log: string[] = [];
    let refuse = false;
    const commits = createGroupCommit({
      transact: (body) => {
        body();
        if (refuse) throw new Error("disk");
        log.push("durable");
      },
      concernsAll: () => true,
      observe: () => {},
      afterBatch: () => log.push("after"),
    });
    const job = (name: string) => ({
      run: () => void log.push(`run ${name}`),
      done: () => void log.push(`done ${name}`),
      failed: () => void log.push(`failed ${name}`),
    });
    commits.add(job("a"));
    commits.add(job("b"));
    commits.flush();
    expect(log).toEqual(["run a", "run b", "durable", "done a", "done b", "after"]);
    log.length = 0;
    refuse = true;
    commits.add(job("c"));
    commits.add(job("d"));
    commits.flush();
    expect(log).toEqual(["run c", "run d", "failed c", "failed d"]);
  });
});

test("news is told after it is durable", async () => {
  const f = await openTestStore();
  await register(f.store, 1, "aa11", f.time.now);
  const told: number[] = [];
  f.store.onDue(() => told.push(1));
  const pending = badge(f.store, 1, 1, f.time.now);
  expect(told).toEqual([]);
  await pending;
  expect(told).toEqual([1]);
  await f.close();
});
