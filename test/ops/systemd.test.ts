// What the service manager is told, over a real datagram socket; and what comes of a socket that is none.
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "../../src/ops/log.ts";
import { socketAddress } from "../../src/ops/notify-socket.ts";
import type { SelfCheckResult } from "../../src/ops/self-check.ts";
import {
  conditionOf,
  createServiceManager,
  type ServiceManager,
  watchdogIntervalMs,
} from "../../src/ops/systemd.ts";
import { canReceive, type NotifyReceiver, receiveAt } from "./notify-receiver.ts";

const GOOD: SelfCheckResult = { ok: true, parts: [] };
const BAD: SelfCheckResult = { ok: false, parts: [{ name: "commit", ok: false, detail: "hangs" }] };
const PID = 4711;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

function recorder(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const note = (level: string) => (fields: object, message: string) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  const log: Logger = {
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
    child: () => log,
  };
  return { log, lines };
}

interface Scene {
  readonly receiver: NotifyReceiver;
  readonly manager: ServiceManager;
  readonly lines: readonly string[];
}

async function scene(
  options: { readonly abstract?: boolean; readonly watchdogMs?: number } = {},
): Promise<Scene> {
  const directory = mkdtempSync(join(tmpdir(), "ib-notify-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const socket = options.abstract ? `@inboxbell-test-${crypto.randomUUID()}` : join(directory, "notify");
  const receiver = await receiveAt(socket);
  cleanups.push(() => receiver.stop());
  const watchdog =
    options.watchdogMs === undefined ? {} : { WATCHDOG_USEC: String(options.watchdogMs * 1000) };
  const { log, lines } = recorder();
  const manager = createServiceManager({ env: { NOTIFY_SOCKET: socket, ...watchdog }, log, pid: PID });
  cleanups.push(() => manager.stopping());
  return { receiver, manager, lines };
}

const node = { condition: () => "Role active, ready", selfCheck: async () => GOOD };

describe.skipIf(!canReceive)("the service manager (needs python3)", () => {
  for (const abstract of [false, true]) {
    test(`is told on ${abstract ? "an abstract" : "a path's"} socket that the node is ready, and how it is`, async () => {
      const { receiver, manager, lines } = await scene({ abstract });
      manager.ready(node);
      expect(await receiver.next("READY=1")).toBe("READY=1\nSTATUS=Role active, ready");
      manager.stopping();
      expect(await receiver.next("STOPPING=1")).toStartWith("STOPPING=1\nSTATUS=Stopping");
      expect(lines).toEqual([]);
    });
  }

  test("is told of a reload with the time of its clock, and of its end", async () => {
    const { receiver, manager } = await scene();
    manager.ready(node);
    await receiver.next("READY=1");
    const ended = manager.reloading();
    const begun = await receiver.next("RELOADING=1");
    const [, microseconds] = /\nMONOTONIC_USEC=(\d+)$/.exec(begun) ?? [];
    const clock = Bun.spawnSync(["python3", "-c", "import time; print(time.monotonic_ns() // 1000)"]);
    const difference = Number(clock.stdout.toString()) - Number(microseconds);
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(10_000_000);
    ended();
    expect(await receiver.next("READY=1")).toBe("READY=1");
  });

  test("is not told that a node is ready because a reload ends while it still starts", async () => {
    const { receiver, manager } = await scene();
    manager.reloading()();
    manager.ready(node);
    await receiver.next("READY=1");
    expect(receiver.datagrams).toHaveLength(1);
  });

  test("gets its watchdog fed twice in its time, by self-checks that succeed", async () => {
    const { receiver, manager } = await scene({ watchdogMs: 200 });
    let checks = 0;
    manager.ready({
      ...node,
      async selfCheck() {
        checks += 1;
        return GOOD;
      },
    });
    const begun = performance.now();
    for (let fed = 0; fed < 5; fed += 1) await receiver.next("WATCHDOG=1");
    const tookMs = performance.now() - begun;
    expect(checks).toBeGreaterThanOrEqual(5);
    // The first at once, then one each 100 ms.
    expect(tookMs).toBeGreaterThan(350);
    expect(tookMs).toBeLessThan(5_000);
  });

  test("gets nothing from a node whose self-check fails, and is fed again as soon as it recovers", async () => {
    const { receiver, manager, lines } = await scene({ watchdogMs: 60_000 });
    let checks = 0;
    manager.ready({
      ...node,
      async selfCheck() {
        checks += 1;
        return checks < 3 ? BAD : GOOD;
      },
    });
    await receiver.next("WATCHDOG=1");
    expect(checks).toBe(3);
    expect(lines.map((line) => line.split(" ")[0])).toEqual(["error", "info"]);
    expect(lines[0]).toContain("commit: hangs");
  });

  test("gets nothing from a node whose self-check never ends", async () => {
    const { receiver, manager } = await scene({ watchdogMs: 50 });
    manager.ready({ ...node, selfCheck: () => new Promise(() => {}) });
    await receiver.next("READY=1");
    await Bun.sleep(200);
    expect(receiver.datagrams).toHaveLength(1);
  });
});

describe("a node without a service manager", () => {
  test("does nothing about it, and says nothing", () => {
    const { log, lines } = recorder();
    const manager = createServiceManager({ env: {}, log, pid: PID });
    manager.ready(node);
    manager.reloading()();
    manager.stopping();
    expect(lines).toEqual([]);
  });

  test("works with a socket that nobody listens on, and says so once", async () => {
    const { log, lines } = recorder();
    const manager = createServiceManager({ env: { NOTIFY_SOCKET: "/nonexistent/notify" }, log, pid: PID });
    cleanups.push(() => manager.stopping());
    manager.ready(node);
    manager.reloading()();
    const limit = performance.now() + 20_000;
    while (lines.length === 0 && performance.now() < limit) await Bun.sleep(50);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toStartWith("warn ");
  });

  test("works with an address that is none of a Unix socket, and says so", () => {
    const { log, lines } = recorder();
    createServiceManager({ env: { NOTIFY_SOCKET: "vsock:2:1234" }, log, pid: PID }).ready(node);
    expect(lines).toHaveLength(1);
  });
});

describe("the address of the socket", () => {
  test("is a path with its final zero byte, or an abstract name without", () => {
    expect(Buffer.from(socketAddress("/run/n") ?? []).toString("latin1")).toBe("\x01\0/run/n\0");
    expect(Buffer.from(socketAddress("@n") ?? []).toString("latin1")).toBe("\x01\0\0n");
    expect(socketAddress("relative")).toBeNull();
    expect(socketAddress(`/${"x".repeat(108)}`)).toBeNull();
  });
});

describe("the watchdog's interval", () => {
  test("is half of what the manager waits, if the manager means this process", () => {
    expect(watchdogIntervalMs({ WATCHDOG_USEC: "60000000" }, PID)).toBe(30_000);
    expect(watchdogIntervalMs({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: String(PID) }, PID)).toBe(30_000);
    expect(watchdogIntervalMs({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "1" }, PID)).toBeNull();
    for (const useless of [{}, { WATCHDOG_USEC: "" }, { WATCHDOG_USEC: "0" }, { WATCHDOG_USEC: "soon" }]) {
      expect(watchdogIntervalMs(useless, PID)).toBeNull();
    }
  });
});

describe("the line about the node", () => {
  const check = (name: string, ok: boolean, essential: boolean) => ({
    name,
    essential,
    look: () => ({ ok, detail: "of no use" }),
  });

  test("has the role, whether it is ready, and what is not as it should be", () => {
    expect(conditionOf("active", [check("store", true, true)])).toBe("Role active, ready");
    expect(conditionOf("passive", [check("providers", false, false)])).toBe(
      "Role passive, ready; providers: of no use",
    );
    expect(conditionOf("active", [check("store", false, true)])).toBe(
      "Role active, not ready; store: of no use",
    );
  });

  test.skipIf(!canReceive)("stays one line whatever stands in it (needs python3)", async () => {
    const { receiver, manager } = await scene();
    manager.ready({ ...node, condition: () => "one\nREADY=0\n  two" });
    expect(await receiver.next("READY=1")).toBe("READY=1\nSTATUS=one; READY=0; two");
  });
});
