// What the looks make of values that are hard to bring about: pure judgements. That each finding is made by something
// real is shown by the tests beside this one.
import { describe, expect, test } from "bun:test";
import { judgeDisk } from "../../../src/cli/doctor/disk.ts";
import type { Result } from "../../../src/cli/doctor/findings.ts";
import { judgeStatus } from "../../../src/cli/doctor/node.ts";
import { judgePair } from "../../../src/cli/doctor/pair.ts";
import { judgePairAddress } from "../../../src/cli/doctor/pair-address.ts";
import { makeReport, reportText } from "../../../src/cli/doctor/report.ts";
import type { NodeStatus } from "../../../src/ops/status.ts";
import type { PairStatus } from "../../../src/pair/status.ts";
import { complaints, only } from "./helpers.ts";

const DAY_MS = 86_400_000;
const GIB = 1024 ** 3;

describe("of a disk", () => {
  const judged = (change: Partial<Parameters<typeof judgeDisk>[1]>) =>
    judgeDisk("/d", { freeBytes: 50 * GIB, type: 0xef53, name: "ext4", flushMs: [1, 2, 3], ...change });

  test("the file systems that lead to another machine are told, of FUSE those that are known by name", () => {
    const network = (type: number, name: string) => complaints({ results: judged({ type, name }) });
    expect(network(0x6969, "nfs4")).toEqual(["disk_not_local"]);
    expect(network(0xfe534d42, "cifs")).toEqual(["disk_not_local"]);
    expect(network(0x65735546, "fuse.glusterfs")).toEqual(["disk_not_local"]);
    expect(network(0x65735546, "fuse.fuse-overlayfs")).toEqual([]);
    expect(network(0x65735546, "")).toEqual([]);
  });

  test("space is told in a unit that can be read", () => {
    expect(judged({})[0]?.seen).toBe("50 GiB free");
    expect(judged({ freeBytes: 1.5 * GIB })[0]?.seen).toBe("1536 MiB free");
  });
});

describe("of a node's status", () => {
  const status = {
    node: "bell-a",
    role: "active",
    version: "0.0.0-source",
    commit: "source",
    ready: true,
    owed: 1,
    checks: [{ name: "database", ok: true, detail: "the last commit succeeded" }],
    paused: [],
    needsRestart: [],
  } as unknown as NodeStatus;
  const bad = (name: string) => ({ name, ok: false, detail: "no" });
  const judged = (change: Partial<NodeStatus>) => ({ results: judgeStatus({ ...status, ...change }) });

  test("one that works says what it owes", () => {
    expect(judged({}).results.map(({ seen }) => seen)).toEqual(["ready (active), 1 ring owed"]);
  });

  test("what another look tells better is not said twice, and what only the node knows is said", () => {
    expect(complaints(judged({ checks: [bad("providers"), bad("other node")] }))).toEqual([]);
    expect(complaints(judged({ checks: [bad("event loop"), bad("delivery")] }))).toEqual([
      "node_impaired",
      "rings_stalled",
    ]);
    const stopped = judged({ ready: false, checks: [bad("database"), bad("providers")] });
    expect(only(stopped, "node_not_ready").seen).toBe("database: no");
    expect(only(judged({ ready: false }), "node_not_ready").seen).toBe("it says so");
  });
});

describe("of a pair's status", () => {
  const link = { up: true, why: null, detail: null, certificateExpiresAt: 90 * DAY_MS };
  const status = {
    paired: true,
    here: { name: "bell-a", role: "active" },
    peer: { name: "bell-b" },
    peerAddress: "b.corp.test:7443",
    link,
    protected: true,
    lagRows: 0,
    clockSkewMs: -40,
    alarms: [],
  } as unknown as PairStatus;
  const judged = (change: Partial<PairStatus>) => ({ results: judgePair({ ...status, ...change }, 0) });
  const down = (why: string) =>
    only(judged({ link: { ...link, up: false, why, detail: "ENOTFOUND" } }), "pair_disconnected");

  test("a single node has nothing to say, a pair without fault nothing but good", () => {
    expect(judged({ paired: false }).results).toEqual([]);
    expect(complaints(judged({}))).toEqual([]);
  });

  test("each way in which a link can be down comes with something to do", () => {
    const ways = ["refused", "silent", "unreachable", "rejected", "closed", "starting"];
    const said = ways.map((why) => down(why));
    expect(new Set(said.map(({ seen }) => seen)).size).toBe(ways.length);
    expect(new Set(said.map(({ remedy }) => remedy)).size).toBe(ways.length);
    expect(said.every(({ seen }) => seen.includes("b.corp.test:7443"))).toBe(true);
    // Of a newer version.
    expect(down("tired")).toMatchObject({
      seen: "ENOTFOUND",
      remedy: expect.stringContaining("the other node"),
    });
  });

  test("a link that is down says nothing of the clocks any more", () => {
    const apart = { clockSkewMs: 90_000 };
    expect(only(judged(apart), "pair_clocks_apart").seen).toBe("this clock is 90 s slow");
    const codes = complaints(judged({ ...apart, link: { ...link, up: false, why: "refused" } }));
    expect(codes).toEqual(["pair_disconnected"]);
  });

  test("an alarm comes with what to do about it, and not where another look tells the same", () => {
    const alarmed = judged({ alarms: ["alone", "clock_skew", "epoch_unwritable", "frozen"] });
    expect(complaints(alarmed)).toEqual(["pair_alarm"]);
    expect(alarmed.results.filter(({ code }) => code === "pair_alarm").map(({ seen }) => seen)).toEqual([
      "epoch_unwritable",
      "frozen",
    ]);
    expect(only(alarmed, "pair_alarm").remedy).toContain("who owns the directory");
  });

  test("the link's certificate is told of when it should have renewed itself", () => {
    const expires = (days: number) =>
      complaints(judged({ link: { ...link, certificateExpiresAt: days * DAY_MS } }));
    expect([expires(20), expires(10), expires(-1)]).toEqual([
      [],
      ["certificate_expires_soon"],
      ["certificate_expired"],
    ]);
  });
});

describe("the report", () => {
  const result: Result = {
    hop: "configuration",
    level: "failure",
    code: "config_problem",
    subject: "apps[0].apns.key.file",
    seen: `/etc/inboxbell/${"long".repeat(30)} cannot be read by this user, or is no file at all`,
    remedy: "Do one thing, and then another one, and look again whether that was of any use to anybody.",
  };
  const report = (results: readonly Result[], config: unknown = {}) =>
    makeReport("/etc/inboxbell/inboxbell.yaml", { results, config: config as null }, 0);

  test("keeps to the width of a terminal, but for what is one word", () => {
    const lines = reportText(report([result]), 80).split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([expect.stringContaining("longlong")]);
    expect(lines[0]).toBe("FAIL  configuration  apps[0].apns.key.file:");
    expect(
      lines.filter((line) => line.startsWith(" ")).every((line) => line.startsWith(" ".repeat(21))),
    ).toBe(true);
  });

  test("is a line for each look where nobody reads it on a terminal", () => {
    expect(reportText(report([result])).split("\n")).toHaveLength(4);
  });

  test("ends with what is wrong by name, and says if not everything was looked at", () => {
    expect(
      reportText(report([result, result]))
        .split("\n")
        .at(-1),
    ).toBe("2 looks: 2 failures (config_problem), 0 warnings.");
    expect(reportText(report([], null)).split("\n").slice(-2)).toEqual([
      "0 looks: 0 failures, 0 warnings.",
      "All other hops are looked at once the configuration can be read.",
    ]);
  });
});

describe("of the other node's address", () => {
  test("is judged by where this node listens", () => {
    const judged = (listen: string, address: string) =>
      judgePairAddress(
        { peer: { host: "bell-b", port: 7443 }, listen: { address: listen, port: 7443 } },
        [address],
        ["10.0.0.5", "fd00::5"],
      ).map(({ code }) => code);
    expect(judged("0.0.0.0", "127.0.1.1")).toEqual(["pair_self"]);
    expect(judged("::", "fd00:0:0::5")).toEqual(["pair_self"]);
    expect(judged("0.0.0.0", "10.0.0.6")).toEqual([]);
    // A tunnel, or another listener of this machine.
    expect(judged("10.0.0.5", "127.0.0.1")).toEqual([]);
    expect(judged("10.0.0.5", "10.0.0.5")).toEqual(["pair_self"]);
  });
});
