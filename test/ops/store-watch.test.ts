// What becomes known of the database's commits: measured, told once, and shown in readiness while it lasts.
import { beforeEach, expect, test } from "bun:test";
import { BellError } from "../../src/errors.ts";
import { createLogger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { createStoreWatch, type StoreWatch } from "../../src/ops/store-watch.ts";

const FULL = new BellError("store_unavailable", "The database /x/y.db cannot be written (SQLITE_FULL).");

let now: number;
let lines: string[];
let metrics: ReturnType<typeof createMetrics>;
let watch: StoreWatch;

beforeEach(() => {
  now = 1_000_000;
  lines = [];
  metrics = createMetrics({ version: "0", commit: "0" });
  watch = createStoreWatch(
    createLogger("debug", "json", (line) => void lines.push(line)),
    metrics,
    () => now,
  );
});

const levels = () => lines.map((line) => (JSON.parse(line) as { level: string }).level);

test("a commit is measured in seconds and in requests, and not told", async () => {
  watch.committed(12, 3.5);
  const text = await metrics.registry.metrics();
  expect(text).toContain("inboxbell_commit_seconds_sum 0.0035\n");
  expect(text).toContain("inboxbell_commit_rows_sum 12\n");
  expect(lines).toEqual([]);
  expect(watch.check.look()).toEqual({ ok: true, detail: "the last commit succeeded" });
});

test("failing commits make the node unready, and are told once in a minute", () => {
  for (let n = 0; n < 50; n++) watch.failed(FULL, false);
  expect(levels()).toEqual(["error"]);
  expect(lines[0]).toContain("SQLITE_FULL");
  expect(watch.check.essential).toBe(true);
  expect(watch.check.look()).toEqual({ ok: false, detail: "cannot be written (store_unavailable)" });
  now += 60_001;
  watch.failed(FULL, false);
  expect(lines).toHaveLength(2);
});

test("the reserve that was given up is told at once, since there is no second one", () => {
  watch.failed(FULL, false);
  watch.failed(FULL, true);
  expect(levels()).toEqual(["error", "error"]);
  expect(lines[1]).toContain("no second reserve");
});

test("recovery is told with how long it took, and the next failure at once", () => {
  watch.failed(FULL, false);
  now += 12_000;
  watch.recovered();
  expect(JSON.parse(lines[1]!)).toMatchObject({ level: "warn", failedForMs: 12_000 });
  expect(watch.check.look().ok).toBe(true);
  watch.failed(FULL, false);
  expect(levels()).toEqual(["error", "warn", "error"]);
});

test("tokens that cannot be opened are told once in a minute and leave the node ready", () => {
  const error = new BellError("key_unknown", "sealed with the key 0011aabb");
  for (let n = 0; n < 50; n++) watch.unreadable(error);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("0011aabb");
  expect(watch.check.look().ok).toBe(true);
  now += 60_001;
  watch.unreadable(error);
  expect(lines).toHaveLength(2);
});
