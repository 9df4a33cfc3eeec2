// What was answered OK survives a killed process, and is on the disk before the answer: with the compiled binary.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { type Scene, setScene, testBinary, until } from "./helpers.ts";

const strace = Bun.which("strace");

let scene: Scene;
let iphone: Phone;
let android: Phone;

beforeAll(async () => {
  scene = await setScene("crash");
  iphone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
  android = scene.addPhone({ platform: "fcm", mailbox: "ben" });
});
afterAll(() => scene.stop());

describe("an answered notification", () => {
  test("is rung after a kill between the OK and the ring", async () => {
    const first = await scene.up();
    await Promise.all([iphone.enrol(), android.enrol()]);
    // Apple and Google are away, so the answer comes and the ring cannot.
    await scene.apns.stop();
    await scene.fcm.stop();
    for (const phone of [iphone, android]) scene.exchange.mailbox(phone.mailbox).deliver();
    await until(() => scene.exchange.statistics().delivered >= 2, "Exchange has its OK");
    await scene.exchange.idle();
    first.kill("SIGKILL");
    expect((await first.exited).code).toBe("SIGKILL");
    expect([iphone.badge, android.badge]).toEqual([null, null]);
    await scene.apns.start();
    await scene.fcm.start();
    const second = await scene.up();
    await until(() => iphone.badge === 1 && android.badge === 1, "both phones were rung after the restart");
    expect(scene.violations()).toEqual([]);
    expect((await second.stop()).code).toBe(0);
  });

  test("is told to Unsubscribe only after the registration was deleted", async () => {
    const appliance = await scene.up();
    const before = scene.exchange.statistics().ended.unsubscribed;
    scene.exchange.mailbox(android.mailbox).deliver();
    await scene.exchange.idle();
    expect(scene.exchange.statistics().ended.unsubscribed).toBe(before);
    await android.unregister();
    scene.exchange.mailbox(android.mailbox).deliver();
    await until(() => scene.exchange.statistics().ended.unsubscribed > before, "the subscription ended");
    expect((await appliance.stop()).code).toBe(0);
  });
});

/**
 * Runs one notification under strace and says whether the WAL's fsync came between reading the POST and answering.
 * Only calls that matter are traced: writes to sockets, and fsync on the database's WAL.
 */
async function syncedBeforeAnswer(synchronous: "FULL" | "OFF"): Promise<boolean> {
  const trace = join(scene.directory, `trace-${synchronous}`);
  const env = [`INBOXBELL_TEST_SYNCHRONOUS=${synchronous}`];
  const calls = "trace=fsync,fdatasync,recvfrom,read,sendto,write,writev";
  const command = [
    strace ?? "strace",
    "-f",
    "-y",
    "-s",
    "16",
    "-e",
    calls,
    "-o",
    trace,
    "env",
    ...env,
    testBinary,
    "serve",
    "--config",
    scene.props.configFile,
  ];
  const traced = await scene.up(command, { ownGroup: true });
  const delivered = scene.exchange.statistics().delivered;
  const lengthBefore = readFileSync(trace, "utf8").length;
  scene.exchange.mailbox(iphone.mailbox).deliver();
  await until(() => scene.exchange.statistics().delivered > delivered, "Exchange has its OK");
  await scene.exchange.idle();
  await Bun.sleep(200);
  const lines = readFileSync(trace, "utf8").slice(lengthBefore).split("\n");
  // strace holds signals back from itself; the appliance is in its process group.
  process.kill(-traced.pid, "SIGTERM");
  await traced.exited;
  // The listener's socket is the one on which a ClientHello arrives (TLS record 22, version 3.1).
  const hello = lines.find((line) => /\brecvfrom\(/.test(line) && line.includes('"\\26\\3\\1'));
  const socket = /recvfrom\((\d+<socket:\[\d+\]>)/.exec(hello ?? "")?.[1];
  if (socket === undefined) throw new Error(`the trace shows no request:\n${lines.slice(0, 40).join("\n")}`);
  const at = (what: (line: string) => boolean) => lines.flatMap((line, n) => (what(line) ? [n] : []));
  const request = at((line) => line.includes(`recvfrom(${socket}`) && !/= (0|-1)\b/.test(line)).at(-1) ?? 0;
  // Longer than a close_notify (24 bytes): that is the answer.
  const answer =
    at((line) => line.includes(`sendto(${socket}`) && Number(/= (\d+)$/.exec(line)?.[1] ?? 0) > 50).at(-1) ??
    0;
  const synced = at((line) => /\bf(data)?sync\(\d+<[^>]*inboxbell\.db-wal>/.test(line));
  expect(answer).toBeGreaterThan(request);
  return synced.some((sync) => sync > request && sync < answer);
}

describe("the WAL", () => {
  test.skipIf(strace === null)("is synced to the disk before Exchange is answered (strace)", async () => {
    expect(await syncedBeforeAnswer("FULL")).toBe(true);
  });
  test.skipIf(strace === null)(
    "would not be without synchronous=FULL, and the trace shows that (strace)",
    async () => {
      expect(await syncedBeforeAnswer("OFF")).toBe(false);
    },
  );
});
