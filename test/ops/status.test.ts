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
  certificates: [{ name: "exchange", expiresInSeconds: 90 * 86_400 }],
  registrations: [
    { app: "com.example.mail", platform: "apns", count: 3 },
    { app: "com.example.mail", platform: "fcm", count: 4 },
  ],
  notRung: 0,
  subscriptions: { live: 7, silent: 1 },
  exchange: { notifications: 345, heardSecondsAgo: 12.4 },
  owed: 0,
  owedOldestSeconds: null,
  rings: [
    { provider: "apns", triedSecondsAgo: 3, acceptedSecondsAgo: 3 },
    { provider: "fcm", triedSecondsAgo: null, acceptedSecondsAgo: null },
  ],
  paused: [],
  needsRestart: [],
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
      paused: [
        {
          app: "com.example.mail",
          provider: "apns",
          reason: "InvalidProviderToken",
          hint: "Check apns.key.",
          seconds: 600,
        },
      ],
    };
    expect(line(bad, "state")).toBe("state  NOT READY");
    expect(line(bad, "database")).toBe("  database  !!  cannot be written");
    expect(line(bad, "PAUSED")).toBe("PAUSED  com.example.mail on apns for 10 min: InvalidProviderToken");
    expect(line(bad, "Check")).toBe("  Check apns.key.");
    expect(line(GOOD, "PAUSED")).toBeUndefined();
  });

  test("says when Exchange was heard and how much came of it", () => {
    expect(line(GOOD, "Exchange")).toBe("Exchange  last heard 12 s ago, 345 notifications since the start");
    const deaf = { ...GOOD, exchange: { notifications: 0, heardSecondsAgo: null } };
    expect(line(deaf, "Exchange")).toBe(
      "Exchange  not heard since the start, 0 notifications since the start",
    );
  });

  test("says of each provider when it accepted a ring, and of the phones how many get none", () => {
    expect(line(GOOD, "rings")).toBe("rings  apns last accepted 3 s ago, fcm not tried yet");
    const refused = { provider: "apns", triedSecondsAgo: 240, acceptedSecondsAgo: null };
    expect(line({ ...GOOD, rings: [refused] }, "rings")).toBe(
      "rings  apns none accepted, last tried 4 min ago",
    );
    expect(line({ ...GOOD, notRung: 2 }, "registrations")).toEndWith(
      "; 2 not rung until renewed: the provider refused the token",
    );
  });

  test("says how long certificates are good, and which keys wait for a restart", () => {
    expect(line(GOOD, "certificates")).toBe("certificates  exchange for another 90 days");
    const expired = { ...GOOD, certificates: [{ name: "exchange", expiresInSeconds: -7200 }] };
    expect(line(expired, "certificates")).toBe("certificates  exchange EXPIRED 2 h ago");
    expect(line(GOOD, "RESTART")).toBeUndefined();
    expect(line({ ...GOOD, needsRestart: ["store.path", "node"] }, "RESTART")).toBe(
      "RESTART  needs a restart: store.path, node",
    );
  });

  test("stays one screen of 24 lines also in trouble", () => {
    const pause = { app: "a", provider: "apns", reason: "r", hint: "h", seconds: 1 };
    const checks = Array.from({ length: 5 }, (_, n) => ({ name: `check ${n}`, ok: false, detail: "bad" }));
    const listeners = ["registration", "exchange", "admin"].map((name) => ({
      name,
      address: "::",
      port: 1,
      connections: 0,
    }));
    const bad = { ...GOOD, checks, listeners, paused: [pause, pause], needsRestart: ["node"] };
    expect(statusText(bad).split("\n").length).toBeLessThan(24);
  });
});
