// Outages of everything around the compiled binary: they cost delay and nothing else.
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { binary, run, type Scene, setScene, until } from "../helpers.ts";

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function scene(title: string, options: Parameters<typeof setScene>[1] = {}): Promise<Scene> {
  const made = await setScene(title, options);
  endings.push(() => made.stop());
  return made;
}

async function enrolled(on: Scene, count: number, platform?: "apns" | "fcm"): Promise<Phone[]> {
  const phones = Array.from({ length: count }, (_, n) =>
    on.addPhone({
      platform: platform ?? (n % 2 === 0 ? "apns" : "fcm"),
      mailbox: `box-${n}`,
      tellsInbox: true,
    }),
  );
  for (let at = 0; at < phones.length; at += 8) {
    await Promise.all(phones.slice(at, at + 8).map((phone) => phone.enrol()));
  }
  return phones;
}
function mail(on: Scene, phone: Phone): void {
  on.exchange.mailbox(phone.mailbox).deliver();
}
function wrong(on: Scene, phones: readonly Phone[]): string[] {
  return phones
    .filter((phone) => phone.badge !== on.exchange.unread(phone.mailbox, "inbox"))
    .map((phone) => `${phone.name} shows ${phone.badge}`);
}
const right = (on: Scene, phones: readonly Phone[], limitMs: number) =>
  until(
    () => wrong(on, phones).length === 0,
    () => `every phone is right: ${wrong(on, phones).slice(0, 5).join(", ")}`,
    limitMs,
  );
/** Resident memory of a process, megabytes. */
async function megabytes(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
async function metric(on: Scene, name: string): Promise<number> {
  const text = await (await fetch(`${on.props.urls.admin}/metrics`)).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.split(" ")[1] ?? Number.NaN,
  );
}

describe("while Apple and Google are away", () => {
  test("mail goes on for long, is answered at once, costs no memory, and every phone is right in the end", async () => {
    const on = await scene("away");
    const appliance = await on.up();
    const phones = await enrolled(on, 80);
    for (const phone of phones) mail(on, phone);
    await right(on, phones, 60_000);
    await on.apns.stop();
    await on.fcm.stop();
    const onDisk = () =>
      ["", "-wal"].reduce((sum, suffix) => sum + statSync(`${on.directory}/inboxbell.db${suffix}`).size, 0);
    let halfway = 0;
    let halfwayBytes = 0;
    for (let round = 1; round <= 60; round += 1) {
      for (const phone of phones) mail(on, phone);
      await on.exchange.idle();
      if (round !== 30) continue;
      halfway = await megabytes(appliance.pid);
      halfwayBytes = onDisk();
    }
    expect(await metric(on, "inboxbell_owed")).toBe(phones.length);
    // What is owed is one row a phone: the second half of the outage needs no more than the first.
    expect(await megabytes(appliance.pid)).toBeLessThan(halfway * 1.3);
    expect(onDisk()).toBeLessThan(halfwayBytes * 1.1 + 1_000_000);
    const { failures } = on.exchange.statistics();
    expect(failures).toEqual({});
    const ready = await fetch(`${on.props.urls.admin}/readyz?verbose`);
    expect(ready.status).toBe(200);
    expect(await ready.text()).toContain("paused");
    await on.apns.start();
    await on.fcm.start();
    // Probes go out once a minute at most.
    await right(on, phones, 150_000);
    expect(on.violations()).toEqual([]);
  }, 400_000);
});

describe("a push service that gives trouble in the middle of 500 rings", () => {
  const troubles = [
    ["says GOAWAY before it looked at some of them", { kind: "goaway", processed: "unprocessed" }],
    ["says GOAWAY and answers no more", { kind: "goaway", processed: "unanswered" }],
    ["lowers its streams to one", { kind: "lower-streams", to: 1 }],
    ["cuts the connection", { kind: "abort" }],
    ["stops reading and writing, and keeps the connection", { kind: "freeze" }],
  ] as const;
  for (const [what, trouble] of troubles) {
    test(`${what}: every phone is right`, async () => {
      const on = await scene("trouble");
      await on.up();
      const phones = await enrolled(on, 500, "apns");
      on.apns.misbehave(trouble, { every: 200 });
      for (const phone of phones) mail(on, phone);
      await until(() => on.apns.requests().length >= 250, "half of them were sent", 60_000);
      on.apns.behave();
      await right(on, phones, 60_000);
      expect(on.violations()).toEqual([]);
    }, 180_000);
  }
});

/** A relay in front of a port that can stop carrying bytes without closing anything, as a lost firewall state does. */
async function relayTo(port: number): Promise<{ port: number; silence(on: boolean): void }> {
  const sockets = new Set<Socket>();
  let silent = false;
  const server: Server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      // A connection that was there when the silence began stays silent: its state is lost.
      let dead = false;
      from.on("data", (bytes) => {
        dead ||= silent;
        if (!dead) to.write(bytes);
      });
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        if (!dead) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endings.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    silence(on) {
      silent = on;
    },
  };
}

describe("a connection that is half open", () => {
  test("is noticed within seconds when something is owed, and replaced", async () => {
    let relay = { port: 0, silence: (_: boolean) => {} };
    const on = await scene("half", {
      config: (text) => text.replace(/(apns:[\s\S]*?url: https:\/\/127\.0\.0\.1:)(\d+)/, "$1RELAY$2"),
    });
    const text = await Bun.file(on.props.configFile).text();
    const port = Number(/RELAY(\d+)/.exec(text)?.[1]);
    relay = await relayTo(port);
    await Bun.write(on.props.configFile, text.replace(`RELAY${port}`, String(relay.port)));
    await on.up();
    const [phone] = await enrolled(on, 1, "apns");
    mail(on, phone!);
    await right(on, [phone!], 20_000);
    relay.silence(true);
    mail(on, phone!);
    await Bun.sleep(500);
    relay.silence(false);
    const from = performance.now();
    await right(on, [phone!], 20_000);
    expect(performance.now() - from).toBeLessThan(15_000);
    expect(on.violations()).toEqual([]);
  }, 90_000);
});

const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

describe("a clock that is set while the appliance runs", () => {
  test.skipIf(!existsSync(FAKETIME))(
    "neither loses nor delays a ring",
    async () => {
      const on = await scene("clock");
      const file = join(on.directory, "faketime");
      let second = 0;
      const set = (offset: string) => {
        writeFileSync(file, `${offset}\n`);
        // Read anew when its time of change is another one.
        second += 1;
        utimesSync(file, second, second);
      };
      set("+0");
      const appliance = await on.up([binary, "serve", "--config", on.props.configFile], {
        env: {
          LD_PRELOAD: FAKETIME,
          FAKETIME_TIMESTAMP_FILE: file,
          FAKETIME_CACHE_DURATION: "1",
          FAKETIME_DONT_FAKE_MONOTONIC: "1",
          DONT_FAKE_MONOTONIC: "1",
        },
      });
      const phones = await enrolled(on, 8);
      for (const phone of phones) mail(on, phone);
      await right(on, phones, 20_000);
      for (const offset of ["+1200", "-1200", "-86400", "+0"]) {
        // Rings that wait for their next try while the clock is set.
        on.fcm.misbehave(
          {
            kind: "answer",
            status: 503,
            body: JSON.stringify({ error: { code: 503, status: "UNAVAILABLE", message: "busy" } }),
          },
          { next: 2 },
        );
        for (const phone of phones) mail(on, phone);
        await Bun.sleep(300);
        set(offset);
        await until(
          () => appliance.lines.filter((line) => line.includes("The clock was set")).length >= second - 1,
          `the clock's step to ${offset} was noticed`,
        );
        await right(on, phones, 60_000);
      }
      expect(on.violations()).toEqual([]);
      expect((await appliance.stop()).code).toBe(0);
    },
    400_000,
  );
});

const isRoot = process.getuid?.() === 0;

/** An appliance whose database lies on a small disk, and whose reserve is given up and used up as well. */
async function onFullDisk() {
  const disk = join("/tmp", `ib-disk-${process.pid}-${Date.now()}`);
  mkdirSync(disk);
  endings.push(() => rmSync(disk, { recursive: true, force: true }));
  expect((await run(["mount", "-t", "tmpfs", "-o", "size=100m", "inboxbell-test", disk])).code).toBe(0);
  endings.push(() => run(["umount", disk]));
  const on = await scene("disk", {
    timeScale: 60,
    config: (text) => text.replace("path: inboxbell.db", `path: ${disk}/inboxbell.db`),
  });
  const appliance = await on.up();
  const phones = await enrolled(on, 6);
  for (const phone of phones) mail(on, phone);
  await right(on, phones, 20_000);
  const filler = join(disk, "filler");
  const fill = () => run(["sh", "-c", `cat /dev/zero >> ${filler} 2>/dev/null; true`]);
  const said = (words: string) => appliance.lines.some((line) => line.includes(words));
  await fill();
  // The write-ahead log has room left that it does not give back; so many notifications need more.
  for (let round = 0; round < 400 && !said("The reserve file was given up"); round += 1) {
    for (const phone of phones) mail(on, phone);
    await on.exchange.idle();
  }
  expect(said("The reserve file was given up")).toBe(true);
  expect(on.exchange.statistics().failures).toEqual({});
  expect((await fetch(`${on.props.urls.admin}/readyz`)).status).toBe(200);
  await fill();
  for (let round = 0; round < 400 && !said("The database cannot be written"); round += 1) {
    for (const phone of phones) mail(on, phone);
    await Bun.sleep(30);
  }
  expect(said("The database cannot be written")).toBe(true);
  await until(
    async () => (await fetch(`${on.props.urls.admin}/readyz`)).status === 503,
    "the node says that it cannot do its work",
  );
  expect(Object.keys(on.exchange.statistics().failures).join()).toContain("503");
  return { on, appliance, phones, said, makeRoom: () => rmSync(filler) };
}

describe("a disk that is full", () => {
  test.skipIf(!isRoot)(
    "costs the reserve, then answers 503, loses nothing, and is recovered from without a restart",
    async () => {
      const { on, appliance, phones, said, makeRoom } = await onFullDisk();
      makeRoom();
      await right(on, phones, 60_000);
      await until(
        async () => (await fetch(`${on.props.urls.admin}/readyz`)).status === 200,
        "the node is ready again",
      );
      expect(said("The database can be written again")).toBe(true);
      expect(on.violations()).toEqual([]);
      expect((await appliance.stop()).code).toBe(0);
    },
    300_000,
  );

  test.skipIf(!isRoot)(
    "makes nobody say OK to what was not stored: a kill meanwhile loses nothing",
    async () => {
      const { on, appliance, phones, makeRoom } = await onFullDisk();
      appliance.kill("SIGKILL");
      await appliance.exited;
      makeRoom();
      await on.up();
      await right(on, phones, 60_000);
      expect(on.violations()).toEqual([]);
    },
    300_000,
  );
});
