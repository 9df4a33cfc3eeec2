// The arithmetic behind the benchmark's figures: a wrong quantile would look like a good product.
import { describe, expect, test } from "bun:test";
import { parseMetrics, unitEnvironment } from "./appliance.ts";
import { newestOf, unreadOf } from "./fleet.ts";
import { readOptions } from "./options.ts";
import { type Report, reportText } from "./report.ts";
import { bucketQuantile, median, observations, quantile, shareUpTo, since } from "./statistics.ts";

const TEXT = `# HELP inboxbell_ring_seconds From the last byte.
inboxbell_ring_seconds_bucket{le="0.01",provider="apns"} 50
inboxbell_ring_seconds_bucket{le="0.05",provider="apns"} 98
inboxbell_ring_seconds_bucket{le="+Inf",provider="apns"} 100
inboxbell_ring_seconds_bucket{le="0.01",provider="fcm"} 50
inboxbell_ring_seconds_bucket{le="0.05",provider="fcm"} 100
inboxbell_ring_seconds_bucket{le="+Inf",provider="fcm"} 100
inboxbell_rings_total{app="a \\"b\\"",provider="apns",outcome="accepted"} 7
inboxbell_rings_total{app="c",provider="fcm",outcome="accepted"} 5
`;

describe("figures of the benchmark", () => {
  test("read a histogram of both providers as one", () => {
    const ring = parseMetrics(TEXT).histogram("inboxbell_ring_seconds");
    expect(observations(ring)).toBe(200);
    expect(bucketQuantile(ring, 0.5)).toBeCloseTo(0.01);
    expect(bucketQuantile(ring, 0.99)).toBeCloseTo(0.05);
    // Beyond the last bound nothing is known but the bound.
    expect(bucketQuantile(ring, 1)).toBe(0.05);
    expect(shareUpTo(ring, 0.05)).toBeCloseTo(0.99);
    expect(observations(since(ring, ring))).toBe(0);
  });

  test("sum the samples that carry the labels asked for", () => {
    const metrics = parseMetrics(TEXT);
    expect(metrics.sum("inboxbell_rings_total", { outcome: "accepted" })).toBe(12);
    expect(metrics.sum("inboxbell_rings_total", { app: 'a \\"b\\"' })).toBe(7);
  });

  test("take the middle of an even count between its two middle values", () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(quantile([4, 1, 3, 2], 0.99)).toBe(4);
    expect(() => median([])).toThrow();
  });

  test("know which of all notifications was a phone's newest, and its unread count", () => {
    expect([0, 1, 2].map((phone) => newestOf(phone, 3, 8))).toEqual([6, 7, 5]);
    expect(unreadOf(newestOf(1, 3, 8), 3)).toBe(10 + 1 + 14);
  });

  test("are written into the documentation from a whole run only", () => {
    expect(() => readOptions(["--write", "--quick"])).toThrow("whole run");
    expect(() => readOptions(["--write", "rings"])).toThrow("whole run");
    expect(readOptions(["--write"])).toMatchObject({ write: true, quick: false });
  });

  test("are of a process with the variables of the delivered unit", () => {
    expect(unitEnvironment()).toMatchObject({ BUN_JSC_forceRAMSize: "100663296" });
  });

  test("of a quick run are no verdict on an aim", () => {
    const report: Report = {
      quick: false,
      seconds: 1,
      conditions: {
        at: "2026-01-01T00:00:00.000Z",
        cpu: "a processor",
        cores: 2,
        memoryBytes: 1e9,
        system: "Debian",
        kernel: "6.1",
        fileSystem: "ext4",
        fsyncMs: 1,
        loadBefore: 0,
        versions: {},
      },
      parts: [
        {
          name: "memory",
          title: "Memory",
          method: [],
          rows: [],
          aims: [{ what: "under 150 MB", reached: false, value: "151 MB" }],
          figures: {},
        },
      ],
      leftOut: [],
    };
    expect(reportText(report)).toContain("MISSED   under 150 MB: 151 MB");
    expect(reportText({ ...report, quick: true })).not.toContain("151 MB");
  });
});
