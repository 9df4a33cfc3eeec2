// What was answered OK survives a killed process, and is on the disk before the answer: with the compiled binary.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApplianceProcess, startProcess } from "../../src/rehearsal/stage/appliance-process.ts";
import { freePorts, makeProps, type Props } from "../../src/rehearsal/stage/props.ts";
import { type Stage, setStage } from "../../src/rehearsal/stage/stage.ts";

const dist = join(import.meta.dir, "..", "..", "dist");
const binary = join(dist, "inboxbell");
const testBinary = join(dist, "inboxbell-test");
const strace = Bun.which("strace");

let directory: string;
let props: Props;
let stage: Stage;
let running: ApplianceProcess | null = null;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-crash-"));
  props = await makeProps(directory, await freePorts(), randomBytes);
  stage = await setStage({ props, phones: 2, rate: 1, random: randomBytes, now: Date.now, tell: () => {} });
});
afterAll(async () => {
  await stage.stop();
  running?.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

async function up(command: readonly [string, ...string[]]): Promise<ApplianceProcess> {
  running = startProcess(command, join(directory, "tmp"));
  await until(
    async () => {
      const answer = await fetch(`${props.urls.admin}/readyz`).catch(() => null);
      return answer?.ok === true;
    },
    `the appliance is ready; it said ${running.lastLines.join("\n")}`,
  );
  return running;
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const limit = performance.now() + 30_000;
  while (!(await holds())) {
    if (performance.now() > limit) throw new Error(`waited in vain until ${what}`);
    await Bun.sleep(20);
  }
}

describe("an answered notification", () => {
  test("is rung after a kill between the OK and the ring", async () => {
    const first = await up([binary, "serve", "--config", props.configFile]);
    await stage.enrolAll();
    const [iphone, android] = stage.phones;
    // Apple and Google are away, so the answer comes and the ring cannot.
    await stage.apns.stop();
    await stage.fcm.stop();
    for (const phone of [iphone!, android!]) stage.exchange.mailbox(phone.mailbox).deliver();
    await until(() => stage.exchange.statistics().delivered >= 2, "Exchange has its OK");
    await stage.exchange.idle();
    first.kill("SIGKILL");
    expect(await first.exited).toBe("SIGKILL");
    expect([iphone!.badge, android!.badge]).toEqual([null, null]);
    await stage.apns.start();
    await stage.fcm.start();
    const second = await up([binary, "serve", "--config", props.configFile]);
    await until(() => iphone!.badge === 1 && android!.badge === 1, "both phones were rung after the restart");
    expect(stage.violations()).toEqual([]);
    expect(await second.stop(20_000)).toBe(0);
  });

  test("is told to Unsubscribe only after the registration was deleted", async () => {
    const process = await up([binary, "serve", "--config", props.configFile]);
    const phone = stage.phones[1]!;
    const before = stage.exchange.statistics().ended.unsubscribed;
    stage.exchange.mailbox(phone.mailbox).deliver();
    await stage.exchange.idle();
    expect(stage.exchange.statistics().ended.unsubscribed).toBe(before);
    await phone.unregister();
    stage.exchange.mailbox(phone.mailbox).deliver();
    await until(() => stage.exchange.statistics().ended.unsubscribed > before, "the subscription ended");
    expect(await process.stop(20_000)).toBe(0);
  });
});

/**
 * Runs one notification under strace and says whether the WAL's fsync came between reading the POST and answering.
 * Only calls that matter are traced: writes to sockets, and fsync on the database's WAL.
 */
async function syncedBeforeAnswer(synchronous: "FULL" | "OFF"): Promise<boolean> {
  const trace = join(directory, `trace-${synchronous}`);
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
    props.configFile,
  ] as const;
  const traced = await up(command as unknown as readonly [string, ...string[]]);
  const phone = stage.phones[0]!;
  const delivered = stage.exchange.statistics().delivered;
  const lengthBefore = readFileSync(trace, "utf8").length;
  stage.exchange.mailbox(phone.mailbox).deliver();
  await until(() => stage.exchange.statistics().delivered > delivered, "Exchange has its OK");
  await stage.exchange.idle();
  await Bun.sleep(200);
  const lines = readFileSync(trace, "utf8").slice(lengthBefore).split("\n");
  // strace holds signals back from itself; the appliance is in its process group.
  process.kill(-(traced.pid ?? 0), "SIGTERM");
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
