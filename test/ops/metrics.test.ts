// The metrics as Prometheus reads them: names, types and labels of the contract, in well-formed text.
import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { parse } from "yaml";
import { KINDS_OF_PAUSE } from "../../src/delivery/hints.ts";
import type { VerdictKind } from "../../src/delivery/outcome.ts";
import type { RefusalReason } from "../../src/net/refusals.ts";
import { createAdminHandler } from "../../src/ops/admin.ts";
import type { NotificationResult } from "../../src/ops/metrics.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { ALERT_RULES, labelNote } from "../../src/ops/metrics-notes.ts";
import type { FolderState } from "../../src/store/types.ts";

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
  ["pair_connected", "gauge", []],
  ["pair_protected", "gauge", []],
  ["pair_lag_rows", "gauge", []],
  ["takeovers_total", "counter", []],
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
  metrics.pairConnected.set(1);
  metrics.pairProtected.set(0);
  metrics.pairLagRows.set(3);
  metrics.takeovers.inc();
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

  test("tells of the process what is true of it, and nothing of the runtime's insides", async () => {
    const { registry } = createMetrics(BUILD);
    const read = async () => {
      const text = await registry.metrics();
      const values = [...text.matchAll(/^inboxbell_((?:process|nodejs)_\S+) (\S+)$/gm)];
      return Object.fromEntries(values.map(([, name, value]) => [name, Number(value)])) as Record<
        string,
        number
      >;
    };
    const before = await read();
    expect(Object.keys(before).sort()).toEqual([
      "process_cpu_seconds_total",
      "process_open_fds",
      "process_resident_memory_bytes",
      "process_start_time_seconds",
    ]);
    expect(before.process_resident_memory_bytes).toBeGreaterThan(10_000_000);
    expect(before.process_start_time_seconds).toBeCloseTo(Date.now() / 1000 - process.uptime(), 0);
    const files = Array.from({ length: 20 }, () => openSync("/dev/null", "r"));
    const until = performance.now() + 60;
    while (performance.now() < until);
    const after = await read();
    for (const file of files) closeSync(file);
    expect(after.process_open_fds! - before.process_open_fds!).toBe(20);
    const worked = after.process_cpu_seconds_total! - before.process_cpu_seconds_total!;
    expect(worked).toBeGreaterThan(0.005);
    expect(worked).toBeLessThan(5);
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

describe("the notes on the metrics", () => {
  interface Described {
    readonly name: string;
    readonly labelNames: readonly string[];
  }
  const described = createMetrics(BUILD).registry.getMetricsAsArray() as unknown as readonly Described[];

  test("tell the values of every label", () => {
    for (const { name, labelNames } of described) {
      for (const label of labelNames) {
        const note = labelNote(name.replace("inboxbell_", ""), label);
        expect([name, label, note]).toEqual([name, label, expect.any(String)]);
      }
    }
  });

  test("name each value that the code knows", () => {
    // Types, so that a new value does not compile before it is here.
    const results: Record<NotificationResult, true> = {
      accepted: true,
      heartbeat: true,
      duplicate: true,
      unknown: true,
      malformed: true,
      refused: true,
    };
    const outcomes: Record<VerdictKind, true> = {
      accepted: true,
      token_dead: true,
      token_bad: true,
      token_doubtful: true,
      configuration: true,
      auth_hold: true,
      our_bug: true,
      device_slow: true,
      project_quota: true,
      transient: true,
      unreachable: true,
    };
    const refusals: Record<RefusalReason, true> = {
      connections: true,
      address_connections: true,
      allow: true,
      proxy_protocol: true,
      rate: true,
      handshake: true,
      handshake_time: true,
      headers_time: true,
      body_time: true,
      answer_time: true,
      write_time: true,
      malformed: true,
      oversize: true,
      memory: true,
    };
    const states: Record<FolderState, true> = {
      expected: true,
      live: true,
      silent: true,
      failed: true,
      ended: true,
    };
    const noted: readonly (readonly [string, string, readonly string[]])[] = [
      ["notifications_total", "result", Object.keys(results)],
      ["rings_total", "outcome", Object.keys(outcomes)],
      ["connections_refused_total", "why", Object.keys(refusals)],
      ["subscriptions", "state", Object.keys(states)],
      ["provider_paused", "reason", KINDS_OF_PAUSE.map(([why]) => why)],
    ];
    for (const [metric, label, values] of noted) {
      const note = labelNote(metric, label) ?? "";
      expect([metric, values.filter((value) => !note.includes(`\`${value}\``))]).toEqual([metric, []]);
    }
  });

  test("have alerts that are YAML and ask for metrics and labels that there are", () => {
    interface Rule {
      readonly alert: string;
      readonly expr: string;
      readonly annotations: { readonly summary: string };
    }
    const { groups } = parse(ALERT_RULES) as {
      readonly groups: readonly { readonly rules: readonly Rule[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    expect(rules).toHaveLength(7);
    for (const { alert, expr, annotations } of rules) {
      const names = expr.match(/inboxbell_[a-z_]+/g) ?? [];
      expect([alert, names.length > 0]).toEqual([alert, true]);
      const metrics = described.filter(({ name }) => names.some((each) => each === name));
      expect([alert, metrics.map(({ name }) => name).sort()]).toEqual([alert, [...new Set(names)].sort()]);
      const labels = metrics.flatMap(({ labelNames }) => labelNames);
      const used = [...annotations.summary.matchAll(/\$labels\.([a-z_]+)/g)].map((match) => match[1]!);
      expect([alert, used.filter((label) => !labels.includes(label))]).toEqual([alert, []]);
    }
  });
});
