// The unit's limits as systemd and the kernel have them, and how long a stop takes: next to nothing when
// there is nothing to do, as long as a ring on its way takes, and never longer than the unit's comments say.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import type { Misbehaviour } from "../../../src/rehearsal/provider/misbehaviour.ts";
import { until } from "../helpers.ts";
import { bootWithPackages, type Installed, setUp } from "./installed.ts";
import { canBoot } from "./machine.ts";
import { canPackage } from "./packages.ts";

const LONG_MS = 120_000;
const BUILD_MS = 600_000;
// What nobody notices on a busy machine: no ring is waited for.
const QUICK_MS = 5_000;
// As long as a ring on its way takes here, and as long as one may take (see TimeoutStopSec= in the unit).
const RING_MS = 4_000;
const DRAIN_MS = 10_000;
const STOP_LIMIT_MS = 30_000;

let node: Installed;
let phone: Phone;

/** Stops the service as an administrator does. @returns how long that took, milliseconds */
async function stopped(): Promise<number> {
  const { machine, unit } = node;
  const from = performance.now();
  await machine.must("systemctl", "stop", "inboxbell");
  const tookMs = performance.now() - from;
  // Neither killed nor failed: systemd saw it end by itself, in order.
  const ended = [await unit("ActiveState"), await unit("Result"), await unit("ExecMainStatus")];
  expect(ended).toEqual(["inactive", "success", "0"]);
  return tookMs;
}

/** Has a ring be on its way, which Apple answers late or never. */
async function ringOnItsWay(answer: Misbehaviour): Promise<void> {
  const { scene } = node;
  scene.apns.misbehave(answer);
  scene.exchange.mailbox(phone.mailbox).deliver();
  // New mail goes out at once after Exchange has its OK.
  await scene.exchange.idle();
  await Bun.sleep(500);
}

describe.skipIf(!canBoot || !canPackage || process.arch !== "x64")(
  "the unit on a booted Debian (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    beforeAll(async () => {
      node = await bootWithPackages("stop");
      await node.machine.must("dpkg", "-i", "/root/1.deb");
      await setUp(node);
      await node.machine.must("systemctl", "enable", "--now", "inboxbell");
      phone = node.scene.addPhone({ platform: "apns", mailbox: "anna" });
      await phone.enrol();
    }, BUILD_MS);
    afterAll(async () => await node?.stop(), LONG_MS);

    test("limits memory, swap, threads, files and core dumps, and the process stays far below", async () => {
      const { shell, unit } = node;
      const wanted = {
        MemoryMax: String(2 ** 30),
        MemorySwapMax: "0",
        TasksMax: "128",
        LimitNOFILE: "65536",
        LimitNOFILESoft: "65536",
        LimitCORE: "0",
      };
      for (const [property, value] of Object.entries(wanted)) {
        expect([property, await unit(property)]).toEqual([property, value]);
      }
      const limits = await shell(`cat /proc/${await unit("MainPID")}/limits`);
      // Where the machine itself has less, systemd gives what there is.
      const most = Number((await shell("grep 'Max open files' /proc/1/limits")).split(/ {2,}/)[2]);
      const files = Math.min(65_536, most);
      expect(limits).toMatch(new RegExp(`^Max open files +${files} +${files} `, "m"));
      expect(limits).toMatch(/^Max core file size +0 +0 /m);
      // Far from the others with one phone. (Whether the kernel has controllers of memory and threads in a container
      // depends on the machine outside.)
      const seen = await shell(`cat /proc/${await unit("MainPID")}/status`);
      expect(Number(/^VmRSS:\s+(\d+) kB$/m.exec(seen)?.[1])).toBeLessThan(512 * 1024);
      expect(Number(/^Threads:\s+(\d+)$/m.exec(seen)?.[1])).toBeLessThan(64);
    }, 60_000);

    test("ends in order and at once when it is stopped with nothing to do", async () => {
      expect(await stopped()).toBeLessThan(QUICK_MS);
      await node.machine.must("systemctl", "start", "inboxbell");
    }, 60_000);

    test("lets a ring on its way end when it is stopped", async () => {
      const { scene } = node;
      await ringOnItsWay({ kind: "delay", ms: RING_MS });
      const tookMs = await stopped();
      expect(tookMs).toBeGreaterThan(RING_MS / 2);
      expect(tookMs).toBeLessThan(DRAIN_MS);
      expect(phone.badge).toBe(1);
      const sent = scene.apns.requests().length;
      await node.machine.must("systemctl", "start", "inboxbell");
      // It was noted: nothing is owed any more.
      await Bun.sleep(2_000);
      expect(scene.apns.requests().length).toBe(sent);
    }, 60_000);

    test(
      "is not waited for longer than 10 s when Apple does not answer, and rings after the next start",
      async () => {
        const { scene } = node;
        await ringOnItsWay({ kind: "lose-answer" });
        const tookMs = await stopped();
        expect(tookMs).toBeGreaterThan(DRAIN_MS - 1_000);
        expect(tookMs).toBeLessThan(DRAIN_MS + QUICK_MS);
        expect(tookMs).toBeLessThan(STOP_LIMIT_MS);
        const sent = scene.apns.requests().length;
        await node.machine.must("systemctl", "start", "inboxbell");
        await until(() => scene.apns.requests().length === sent + 1, "it is rung again");
        expect(phone.badge).toBe(2);
      },
      LONG_MS,
    );

    test("has broken no rule of Exchange, Apple or Google on all of these ways", () => {
      expect(node.scene.violations()).toEqual([]);
    });
  },
);
