// `rehearse` as a person runs it: how it ends, what it leaves behind, and what it says when something is wrong.
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";

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

const RING = /(APNs|FCM) +mailbox-\d+ +phone-\d+ +mail +badge \d+ +[\d.]+ ms/;

test("shows each notification and each ring line by line, and ends in order on Ctrl-C", async () => {
  const rehearsal = run("rehearse", "--phones", "6");
  await rehearsal.said(/v1\/discovery[\s\S]*openapi.json[\s\S]*readyz[\s\S]*\/metrics/);
  await rehearsal.said(/Exchange +mailbox-\d+ +phone-\d+ +inbox +Created \+ NewMail \+ Modified +unread \d+/);
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
  const [heading, file] = await rehearsal.said(/[\s\S]*serve --config (\S+)[\s\S]*\/metrics\n/);
  expect(heading).toMatch(/^ +APNs +https:\/\/127\.0\.0\.1:\d+$/m);
  expect(heading).toMatch(/^ +FCM +https:\/\/127\.0\.0\.1:\d+$/m);
  // One address a line, and nothing that a shell would take for a pattern.
  const addresses = heading.split("\n").map((line) => line.match(/https?:\/\//g)?.length ?? 0);
  expect(Math.max(...addresses)).toBe(1);
  for (const line of heading.split("\n")) if (line.includes("?")) expect(line).toMatch(/ "\S+\?\S+"$/);
  expect(heading.indexOf("Once it runs:")).toBeLessThan(heading.indexOf("/v1/discovery"));
  expect(processesUsing(rehearsal.temporary)).toEqual([]);
  const check = run("check", "--config", file!);
  expect(await check.ended()).toBe(0);
  const appliance = run("serve", "--config", file!);
  await rehearsal.said(RING);
  // A phone by hand, with a token that the simulators know.
  const directory = dirname(file!);
  const [, url] = /discovery +(https:\S+)\/v1\/discovery/.exec(heading)!;
  for (const [platform, provider] of [
    ["apns", "APNs"],
    ["fcm", "FCM"],
  ] as const) {
    const token = new RegExp(`^ +${provider} +((?!https)\\S+)$`, "m").exec(heading)![1];
    const secret = Buffer.alloc(24, provider).toString("base64url");
    const path = `${url}/v1/registrations/${crypto.randomUUID()}`;
    const send = (method: string, where: string, bearer: string, body?: unknown) =>
      fetch(where, {
        method,
        headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        tls: { ca: readFileSync(join(directory, "ca.pem"), "utf8") },
      });
    const enrolment = readFileSync(join(directory, "enrolment.secret"), "utf8").trim();
    const body = {
      app: "com.example.mail",
      platform,
      token,
      secret,
      revision: 1,
      folders: [{ kind: "inbox" }],
    };
    expect((await send("PUT", path, enrolment, body)).status).toBe(201);
    expect((await send("POST", `${path}/ring`, secret)).status).toBe(202);
    await rehearsal.said(new RegExp(`${provider} +by hand +test`));
  }
  rehearsal.child.kill("SIGINT");
  expect(await rehearsal.ended()).toBe(0);
  appliance.child.kill("SIGTERM");
  expect(await appliance.ended()).toBe(0);
}, 30_000);

test("starts the simulators alone, and waits on while the appliance is not as the phones need it", async () => {
  const rehearsal = run("rehearse", "--simulators-only", "--phones", "2");
  const [, file] = await rehearsal.said(/serve --config (\S+)/);
  const directory = dirname(file!);
  // A certificate of an authority that the phones do not know.
  const [certificate, key] = ["tls/reg.pem", "tls/reg.key"].map((name) => join(directory, name)) as [
    string,
    string,
  ];
  const right = [readFileSync(certificate, "utf8"), readFileSync(key, "utf8")] as const;
  const foreign = await issue(await createAuthority("Another"), { names: ["127.0.0.1"] });
  writeFileSync(certificate, foreign.certificate);
  writeFileSync(key, foreign.key);
  let appliance = run("serve", "--config", file!);
  await rehearsal.said(/do not trust the certificate there \([A-Z_]+\); those in \S+\/tls are signed by/);
  appliance.child.kill("SIGTERM");
  await appliance.ended();
  writeFileSync(certificate, right[0]);
  writeFileSync(key, right[1]);
  // Another enrolment secret.
  const secret = join(directory, "enrolment.secret");
  const rightSecret = readFileSync(secret, "utf8");
  writeFileSync(secret, "another-secret-of-the-right-length\n");
  appliance = run("serve", "--config", file!);
  await rehearsal.said(
    new RegExp(`refused \\(401\\); its enrolment secret must be that of ${directory}/enrolment.secret`),
  );
  appliance.child.kill("SIGTERM");
  await appliance.ended();
  writeFileSync(secret, rightSecret);
  appliance = run("serve", "--config", file!);
  await rehearsal.said(RING);
  expect(rehearsal.text()).not.toContain("last lines");
  rehearsal.child.kill("SIGINT");
  expect(await rehearsal.ended()).toBe(0);
  appliance.child.kill("SIGTERM");
  expect(await appliance.ended()).toBe(0);
}, 60_000);

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
