// From nothing to a node with which nothing is wrong, by the binary alone: setup without a terminal, check, serve, doctor.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ApnsSimulator, createApnsSimulator } from "../../src/rehearsal/apns/simulator.ts";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { createApnsKey, createServiceAccount } from "../../src/rehearsal/credentials.ts";
import { createFcmSimulator, type FcmSimulator } from "../../src/rehearsal/fcm/simulator.ts";
import { freePorts } from "../../src/rehearsal/stage/props.ts";
import { binary, freshDirectory, type Running, run, start, untilReady } from "./helpers.ts";

const APP = "com.corp.mail";
const directory = freshDirectory("setup");
const at = (...parts: string[]) => join(directory.path, ...parts);
const config = at("etc", "inboxbell.yaml");
const temporary = at("tmp");
let apns: ApnsSimulator;
let fcm: FcmSimulator;
let flags: readonly string[];
let adminUrl: string;
let node: Running | null = null;

const verb = (...args: readonly string[]) => run([binary, ...args, "--config", config], { temporary });

beforeAll(async () => {
  mkdirSync(temporary, { mode: 0o700 });
  mkdirSync(at("downloads"));
  const authority = await createAuthority("Simulated providers");
  const tls = await issue(authority, { names: ["127.0.0.1", "localhost"] });
  const key = await createApnsKey(randomBytes, { keyId: "ABCDE12345", teamId: "TEAM123456" });
  const account = await createServiceAccount(randomBytes, "bell-test");
  writeFileSync(at("downloads", "AuthKey_ABCDE12345.p8"), key.privateKey);
  writeFileSync(at("downloads", "fcm.json"), JSON.stringify(account.file));
  writeFileSync(at("downloads", "providers.pem"), authority.certificate);
  apns = createApnsSimulator({ tls, keys: [{ ...key, topics: [APP] }] });
  fcm = createFcmSimulator({
    tls,
    projectId: "bell-test",
    account: { clientEmail: account.file.client_email, publicKey: account.publicKey },
    random: randomBytes,
  });
  const loopback = (url: string) => url.replace("localhost", "127.0.0.1");
  const [apnsAt, fcmAt] = [await apns.start(), await fcm.start()];
  const ports = await freePorts();
  adminUrl = `http://127.0.0.1:${ports.admin}`;
  flags = [
    ...["--registration-url", "127.0.0.1", "--registration-port", String(ports.registration)],
    ...["--exchange-url", "127.0.0.1", "--exchange-port", String(ports.exchange)],
    ...["--admin-port", String(ports.admin), "--make-certificates"],
    ...["--phone-networks", "127.0.0.0/8", "--exchange-networks", "127.0.0.0/8"],
    ...["--app", APP, "--apns-key", at("downloads", "AuthKey_ABCDE12345.p8"), "--apns-team-id", "TEAM123456"],
    ...["--apns-url", loopback(apnsAt.url), "--fcm-account", at("downloads", "fcm.json")],
    ...["--fcm-url", loopback(fcmAt.url), "--fcm-token-url", loopback(fcmAt.tokenUrl)],
    ...["--egress-ca", at("downloads", "providers.pem"), "--enrolment-secret-file", "-"],
    ...["--state-directory", at("var"), "--socket", at("control.sock")],
  ];
});
afterAll(async () => {
  await node?.stop();
  await Promise.all([apns.stop(), fcm.stop()]);
  directory.remove();
});

describe("the binary", () => {
  test("writes by setup, without a terminal, a configuration that check finds clean", async () => {
    const child = Bun.spawn([binary, "setup", "--config", config, ...flags], {
      stdin: Buffer.from("an-enrolment-secret-of-ours\n"),
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, BUN_TMPDIR: temporary },
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect([await child.exited, err]).toEqual([0, ""]);
    expect(out).toContain("Next:");
    expect(out).not.toContain("an-enrolment-secret-of-ours");
    const checked = await verb("check", "--json");
    expect(JSON.parse(checked.out)).toEqual({ ok: true, problems: [], warnings: [] });
  });

  test("finds by doctor nothing wrong with the node that serves it", async () => {
    node = start([binary, "serve", "--config", config], { temporary });
    await untilReady(node, adminUrl);
    const { code, out, err } = await verb("doctor", "--json");
    const report = JSON.parse(out) as {
      ok: boolean;
      warnings: number;
      results: { code: string; seen: string }[];
    };
    expect(report.results.filter((each) => each.code !== "ok")).toEqual([]);
    expect([code, err, report.ok, report.warnings]).toEqual([0, "", true, 0]);
    expect(fcm.violations()).toEqual([]);
  });

  test("prints the same for people, and the script for an Exchange server", async () => {
    const text = await verb("doctor");
    expect(text.out).toMatch(/\d+ looks: 0 failures, 0 warnings\.\n$/);
    const script = await verb("doctor", "--exchange");
    expect([script.code, script.out.split("\n")[0]]).toEqual([
      0,
      "# Checked against vendor documentation only.",
    ]);
  });

  test("writes a support bundle without the enrolment secret", async () => {
    const bundle = at("support.tar.gz");
    const log = at("log.txt");
    writeFileSync(log, node?.lines.join("\n") ?? "");
    const { code } = await verb("doctor", "--bundle", bundle, "--log", log);
    expect([code, statSync(bundle).mode & 0o777]).toEqual([0, 0o600]);
    const files = await new Bun.Archive(readFileSync(bundle)).files();
    const texts = await Promise.all([...files.values()].map((each) => each.text()));
    expect(texts.join("\n")).toContain("Ready.");
    expect(texts.join("\n")).not.toContain("an-enrolment-secret-of-ours");
  });

  const faketime = Bun.which("faketime");
  test.skipIf(faketime === null)(
    "finds by doctor that the clock is an hour slow, and ends with 1 (faketime)",
    async () => {
      const { code, out } = await run(
        ["faketime", "-f", "-1h", binary, "doctor", "--json", "--config", config],
        { temporary },
      );
      const codes = (JSON.parse(out) as { results: { code: string }[] }).results.map((each) => each.code);
      expect(codes).toContain("clock_wrong");
      expect(code).toBe(1);
    },
  );

  test("finds by doctor, once the node has stopped, that it does, and that its database is whole", async () => {
    await node?.stop();
    const { code, out } = await verb("doctor", "--json");
    const { results } = JSON.parse(out) as { results: { hop: string; code: string; seen: string }[] };
    expect(results.map((each) => each.code)).toContain("node_not_running");
    expect(results.find(({ hop }) => hop === "database")?.seen).toStartWith("whole; schema");
    expect(code).toBe(1);
    expect(existsSync(at("var", "inboxbell.db"))).toBe(true);
  });
});
