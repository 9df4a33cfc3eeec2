// The status of a node: what is one, and how it looks on a terminal.
import { describe, expect, test } from "bun:test";
import { statusText } from "../../src/cli/status.ts";
import { isNodeStatus, type NodeStatus } from "../../src/ops/status.ts";

const GOOD: NodeStatus = {
  node: "bell-a",
  role: "active",
  version: "1.2.3",
  commit: "0123456789ab",
  uptimeSeconds: 90,
  ready: true,
  checks: [{ name: "database", ok: true, detail: "the last commit succeeded" }],
  listeners: [{ name: "exchange", address: "0.0.0.0", port: 9443, connections: 2 }],
  registrations: [
    { app: "com.example.mail", platform: "apns", count: 3 },
    { app: "com.example.mail", platform: "fcm", count: 4 },
  ],
  subscriptions: { live: 7, silent: 1 },
  owed: 0,
  owedOldestSeconds: null,
  paused: [],
};

describe("a status", () => {
  test("is one with all its fields, and with fields that a newer node adds", () => {
    expect(isNodeStatus(GOOD)).toBe(true);
    expect(isNodeStatus(JSON.parse(JSON.stringify({ ...GOOD, pair: { connected: true } })))).toBe(true);
    expect(isNodeStatus({ ...GOOD, owed: 3, owedOldestSeconds: 1.5 })).toBe(true);
  });

  test("is none without one of them, or with another type in its place", () => {
    for (const key of Object.keys(GOOD) as (keyof NodeStatus)[]) {
      const { [key]: _, ...rest } = GOOD;
      expect([key, isNodeStatus(rest)]).toEqual([key, false]);
      expect([key, isNodeStatus({ ...GOOD, [key]: Symbol("other") })]).toEqual([key, false]);
    }
    for (const other of [null, undefined, "pong", 1, [], {}, { ...GOOD, checks: [null] }]) {
      expect(isNodeStatus(other)).toBe(false);
    }
  });
});

describe("the text of a status", () => {
  const line = (status: NodeStatus, name: string) =>
    statusText(status)
      .split("\n")
      .find((each) => each.trimStart().startsWith(name))
      ?.replace(/ {2,}/g, "  ");

  test("names node, role, version and how long it runs", () => {
    expect(line(GOOD, "node")).toBe("node  bell-a (active), version 1.2.3, up 90 s");
    expect(line({ ...GOOD, uptimeSeconds: 600 }, "node")).toEndWith("up 10 min");
    expect(line({ ...GOOD, uptimeSeconds: 36_000 }, "node")).toEndWith("up 10 h");
    expect(line({ ...GOOD, uptimeSeconds: 864_000 }, "node")).toEndWith("up 10 days");
  });

  test("shows what is served, and says so where there is nothing", () => {
    expect(line(GOOD, "registrations")).toBe(
      "registrations  3 com.example.mail (apns), 4 com.example.mail (fcm)",
    );
    expect(line(GOOD, "subscriptions")).toBe("subscriptions  7 live, 1 silent");
    expect(line(GOOD, "listen exchange")).toBe("listen exchange  0.0.0.0:9443, 2 connections");
    const empty = { ...GOOD, registrations: [], subscriptions: {} };
    expect(line(empty, "registrations")).toBe("registrations  none");
    expect(line(empty, "subscriptions")).toBe("subscriptions  none");
  });

  test("shows what is owed and for how long", () => {
    expect(line(GOOD, "owed")).toBe("owed  nothing");
    expect(line({ ...GOOD, owed: 12, owedOldestSeconds: 300 }, "owed")).toBe(
      "owed  12 rings, the oldest for 5 min",
    );
  });

  test("makes trouble stand out", () => {
    const bad = {
      ...GOOD,
      ready: false,
      checks: [{ name: "database", ok: false, detail: "cannot be written" }],
      paused: [{ app: "com.example.mail", provider: "apns", reason: "configuration" }],
    };
    expect(line(bad, "state")).toBe("state  NOT READY");
    expect(line(bad, "database")).toBe("  database  !!  cannot be written");
    expect(line(bad, "PAUSED")).toBe("PAUSED  com.example.mail on apns: configuration");
    expect(line(GOOD, "PAUSED")).toBeUndefined();
  });
});
