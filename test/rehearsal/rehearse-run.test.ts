// `rehearse` as a person runs it: how it ends, what it leaves behind, and what it says when something is wrong.
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const main = join(import.meta.dir, "..", "..", "src", "main.ts");
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0).reverse()) stop();
});

/** Starts the program; `temporary` is the only place where it may leave anything. */
function run(...args: string[]) {
  const temporary = mkdtempSync(join(tmpdir(), "rehearse-test-"));
  const child = Bun.spawn([process.execPath, main, ...args], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, TMPDIR: temporary },
  });
  let out = "";
  const waiting = new Set<() => void>();
  const read = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) {
      out += Buffer.from(chunk).toString();
      for (const wake of waiting) wake();
    }
  };
  const finished = Promise.all([read(child.stdout), read(child.stderr)]);
  stops.push(() => {
    child.kill("SIGKILL");
    rmSync(temporary, { recursive: true, force: true });
  });
  return {
    child,
    temporary,
    left: () => readdirSync(temporary),
    text: () => out,
    async said(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const match = pattern.exec(out);
        if (match !== null) return match;
        if (child.exitCode !== null) throw new Error(`it ended without saying ${pattern}:\n${out}`);
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.add(resolve);
        await Promise.race([promise, child.exited]);
        waiting.delete(resolve);
      }
    },
    async ended(): Promise<number> {
      await finished;
      return child.exited;
    },
  };
}

/** Process ids of programs whose command line names this directory. */
function processesUsing(directory: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(directory);
    } catch {
      return false;
    }
  });
}

const RING = /(APNs|FCM) +phone-\d+ +mail +badge \d+ +[\d.]+ ms/;

test("shows each notification and each ring line by line, and ends in order on Ctrl-C", async () => {
  const rehearsal = run("rehearse", "--phones", "6");
  await rehearsal.said(/v1\/discovery[\s\S]*openapi.json[\s\S]*readyz[\s\S]*\/metrics/);
  await rehearsal.said(/Exchange +mailbox-\d+ +inbox +Created \+ NewMail \+ Modified +unread \d+/);
  await rehearsal.said(RING);
  const [directory] = rehearsal.left();
  expect(statSync(join(rehearsal.temporary, directory!)).mode & 0o777).toBe(0o700);
  rehearsal.child.kill("SIGINT");
  expect(await rehearsal.ended()).toBe(0);
  expect(rehearsal.text()).toContain("Nothing was lost.");
  expect([rehearsal.left(), processesUsing(rehearsal.temporary)]).toEqual([[], []]);
}, 30_000);

test("ends at once on a second Ctrl-C, leaving neither keys nor the appliance behind", async () => {
  const rehearsal = run("rehearse", "--phones", "6", "--rate", "50");
  await rehearsal.said(RING);
  const [appliance] = processesUsing(rehearsal.temporary);
  // A stopped appliance cannot end in order, so only the second signal ends this.
  process.kill(Number(appliance), "SIGSTOP");
  rehearsal.child.kill("SIGINT");
  await Bun.sleep(200);
  expect(rehearsal.child.exitCode).toBeNull();
  rehearsal.child.kill("SIGINT");
  expect(await rehearsal.ended()).toBe(130);
  for (let look = 0; look < 200 && processesUsing(rehearsal.temporary).length > 0; look++)
    await Bun.sleep(10);
  expect([rehearsal.left(), processesUsing(rehearsal.temporary)]).toEqual([[], []]);
}, 30_000);

test("says that the appliance died, and ends with 1", async () => {
  const rehearsal = run("rehearse", "--phones", "4", "--plain");
  await rehearsal.said(RING);
  const [appliance] = processesUsing(rehearsal.temporary);
  process.kill(Number(appliance), "SIGKILL");
  expect(await rehearsal.ended()).toBe(1);
  expect(rehearsal.text()).toContain("The appliance ended during the rehearsal (SIGKILL)");
  expect(rehearsal.text()).toContain("NOT good");
  expect(rehearsal.left()).toEqual([]);
}, 30_000);

test("keeps its directory when asked to, and makes up the same values for the same seed", async () => {
  const ids: string[][] = [];
  for (const _ of [1, 2]) {
    const rehearsal = run("rehearse", "--for", "1s", "--phones", "4", "--keep", "--seed", "one", "--json");
    expect(await rehearsal.ended()).toBe(0);
    const [directory] = rehearsal.left();
    const kept = join(rehearsal.temporary, directory!);
    expect(existsSync(join(kept, "inboxbell.db"))).toBe(true);
    ids.push([readFileSync(join(kept, "enrolment.secret"), "utf8")]);
  }
  expect(ids[0]).toEqual(ids[1]!);
}, 30_000);

test("starts the simulators alone, and rings once somebody starts an appliance with its configuration", async () => {
  const rehearsal = run("rehearse", "--simulators-only", "--phones", "4");
  const [, file] = await rehearsal.said(/serve --config (\S+)/);
  await rehearsal.said(/APNs +https:\/\/127\.0\.0\.1:\d+ +FCM +https:\/\/127\.0\.0\.1:\d+/);
  expect(processesUsing(rehearsal.temporary)).toEqual([]);
  const check = run("check", "--config", file!);
  expect(await check.ended()).toBe(0);
  const appliance = run("serve", "--config", file!);
  await rehearsal.said(RING);
  rehearsal.child.kill("SIGINT");
  expect(await rehearsal.ended()).toBe(0);
  appliance.child.kill("SIGTERM");
  expect(await appliance.ended()).toBe(0);
}, 30_000);

test("waits for an appliance until Ctrl-C", async () => {
  const rehearsal = run("rehearse", "--simulators-only");
  await rehearsal.said(/serve --config/);
  rehearsal.child.kill("SIGINT");
  expect(await rehearsal.ended()).toBe(0);
  expect(rehearsal.left()).toEqual([]);
}, 30_000);

test.each([
  ["--for", "soon"],
  ["--for", "10ms"],
  ["--phones", "0"],
  ["--phones", "many"],
  ["--rate", "-1"],
])("refuses %s %s with exit code 2", async (option, value) => {
  const rehearsal = run("rehearse", option, value);
  expect(await rehearsal.ended()).toBe(2);
  expect(rehearsal.text()).toContain(`${option} ${value}`);
  expect(rehearsal.left()).toEqual([]);
});
