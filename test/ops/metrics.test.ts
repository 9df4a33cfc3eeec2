// The metrics as Prometheus reads them: names, types and labels of the contract, in well-formed text.
import { describe, expect, test } from "bun:test";
import { createAdminHandler } from "../../src/ops/admin.ts";
import { createMetrics } from "../../src/ops/metrics.ts";

const BUILD = { version: "1.2.3", commit: "0123456789ab" };

// Name, type and labels that dashboards and alarms rely on.
const CONTRACT: readonly (readonly [string, string, readonly string[]])[] = [
  ["notifications_total", "counter", ["result"]],
  ["answers_total", "counter", ["status"]],
  ["rings_total", "counter", ["app", "provider", "outcome"]],
  ["ring_seconds", "histogram", ["provider"]],
  ["owed", "gauge", []],
  ["owed_oldest_seconds", "gauge", []],
  ["registrations", "gauge", ["app", "platform"]],
  ["subscriptions", "gauge", ["state"]],
  ["commit_seconds", "histogram", []],
  ["commit_rows", "histogram", []],
  ["provider_paused", "gauge", ["app", "provider", "reason"]],
  ["credential_expiry_seconds", "gauge", ["name"]],
  ["pair_role", "gauge", []],
  ["event_loop_lag_seconds", "gauge", []],
  ["build_info", "gauge", ["version", "commit"]],
];

// Prometheus text format 0.0.4.
const SAMPLE =
  /^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\"n])*",?)*\})? (-?[0-9.]+(e[+-]?\d+)?|[+-]Inf|NaN)$/;

/** A value for every label, so that each metric has a sample. */
async function filled(): Promise<string> {
  const metrics = createMetrics(BUILD);
  metrics.notifications.inc({ result: "accepted" });
  metrics.answers.inc({ status: 200 });
  metrics.rings.inc({ app: "com.example.mail", provider: "apns", outcome: "accepted" });
  metrics.ringSeconds.observe({ provider: "fcm" }, 0.02);
  metrics.registrations.set({ app: 'a"b\\c\nd', platform: "apns" }, 1);
  metrics.subscriptions.set({ state: "live" }, 2);
  metrics.commitSeconds.observe(0.001);
  metrics.commitRows.observe(3);
  metrics.providerPaused.set({ app: "a", provider: "apns", reason: "other" }, 1);
  metrics.credentialExpirySeconds.set({ name: "exchange" }, -5);
  metrics.eventLoopLagSeconds.set(0.25);
  return metrics.registry.metrics();
}

describe("the text of the metrics", () => {
  test.each(CONTRACT)("has %s, a %s, with its labels", async (name, type, labels) => {
    const text = await filled();
    expect(text).toContain(`# TYPE inboxbell_${name} ${type}\n`);
    expect(text).toMatch(new RegExp(`^# HELP inboxbell_${name} \\S.*\\.$`, "m"));
    const suffix = type === "histogram" ? "_count" : "";
    const sample = text.split("\n").find((line) => new RegExp(`^inboxbell_${name}${suffix}[{ ]`).test(line))!;
    const names = [...sample.matchAll(/([a-z_]+)="/g)].map((match) => match[1]!);
    expect(names.sort()).toEqual([...labels].sort());
  });

  test("is well-formed, each name with help and type before its samples, and all with the same prefix", async () => {
    const typed = new Set<string>();
    for (const line of (await filled()).split("\n")) {
      if (line === "") continue;
      const comment = /^# (HELP|TYPE) (\S+) \S/.exec(line);
      if (comment !== null) {
        if (comment[1] === "TYPE") typed.add(comment[2]!);
        continue;
      }
      expect(line).toMatch(SAMPLE);
      const name = /^[a-zA-Z0-9_:]+/.exec(line)![0];
      expect(name).toStartWith("inboxbell_");
      expect(typed.has(name) || typed.has(name.replace(/_(bucket|sum|count)$/, ""))).toBe(true);
    }
  });

  test("tells the build and, of a single node, that it is the active one", async () => {
    const text = await createMetrics(BUILD).registry.metrics();
    expect(text).toContain('inboxbell_build_info{version="1.2.3",commit="0123456789ab"} 1\n');
    expect(text).toContain("inboxbell_pair_role 1\n");
  });

  test("tells the process's memory, which an administrator wants to watch", async () => {
    const text = await createMetrics(BUILD).registry.metrics();
    const resident = /^inboxbell_process_resident_memory_bytes (\S+)$/m.exec(text);
    expect(Number(resident![1])).toBeGreaterThan(1_000_000);
  });
});

test("two appliances in one process do not share their metrics", async () => {
  const [one, other] = [createMetrics(BUILD), createMetrics(BUILD)];
  one.owed.set(7);
  expect(await one.registry.metrics()).toContain("inboxbell_owed 7\n");
  expect(await other.registry.metrics()).toContain("inboxbell_owed 0\n");
});

describe("the admin listener", () => {
  const ask = async (method: string, path: string, refresh = async () => {}) =>
    createAdminHandler(createMetrics(BUILD), refresh)({ method, path });

  test("answers /metrics with the type that Prometheus asks for, brought up to date first", async () => {
    let refreshed = 0;
    for (const method of ["GET", "HEAD"]) {
      const answer = await ask(method, "/metrics", async () => {
        refreshed += 1;
      });
      expect(answer.status).toBe(200);
      expect(answer.headers["Content-Type"]).toStartWith("text/plain; version=0.0.4");
      expect(answer.headers["Cache-Control"]).toBe("no-store");
      expect(answer.body).toContain("inboxbell_build_info");
    }
    expect(refreshed).toBe(2);
  });

  test("answers /metrics also while the database cannot be counted", async () => {
    const answer = await ask("GET", "/metrics", () => Promise.reject(new Error("disk")));
    expect([answer.status, answer.body]).toEqual([200, expect.stringContaining("inboxbell_build_info")]);
  });

  test("refuses other methods and other paths", async () => {
    expect((await ask("POST", "/metrics")).status).toBe(405);
    for (const path of ["/", "/metrics/", "/api/v1/registrations", "/debug"]) {
      expect((await ask("GET", path)).status).toBe(404);
    }
  });
});
