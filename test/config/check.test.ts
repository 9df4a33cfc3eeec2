// `inboxbell check`: every problem of the configuration and of the files it names, at once.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { createWorkshop, furnish, GOOD, MATERIAL, type Workshop } from "./helpers.ts";

const MAIN = join(import.meta.dir, "..", "..", "src", "main.ts");

let workshop: Workshop;
beforeEach(() => {
  workshop = createWorkshop();
  furnish(workshop);
});
afterEach(() => workshop.remove());

/** Runs the verb on a configuration; paths in what it prints are relative to the workshop. */
async function check(text: string | null, ...options: string[]): Promise<{ code: number; lines: string[] }> {
  if (text !== null) workshop.write("i.yaml", text);
  const child = Bun.spawn(
    [process.execPath, MAIN, "check", "--config", workshop.path("i.yaml"), ...options],
    {
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  const output = await new Response(child.stdout).text();
  const lines = output.replaceAll(`${workshop.directory}/`, "").trimEnd().split("\n");
  return { code: await child.exited, lines };
}

test("a good configuration is called good", async () => {
  expect(await check(GOOD)).toEqual({ code: 0, lines: ["The configuration is good."] });
});

test("problems of the text, of the rules and of the files are told together, in the order of the file", async () => {
  workshop.write("tls/reg.key", MATERIAL.registration.key, 0o644);
  workshop.write("enrolment.secret", "short");
  workshop.write("AuthKey.p8", "hunter2");
  const text = GOOD.replace("fcm.json", "none.json")
    .replace("ring: badge", "rnig: badge")
    .replace("port: 9090", "port: 9443");
  const { code, lines } = await check(text);
  expect(code).toBe(1);
  expect(lines).toEqual([
    "i.yaml:6:87: listen.registration.tls.key: tls/reg.key can be read or changed by other users. Run: chmod 0600 tls/reg.key",
    "i.yaml:8:38: listen.admin.port: the address and port are those of listen.exchange",
    expect.stringMatching(
      /^i\.yaml:13:51: apps\[0\]\.apns\.key\.file: AuthKey\.p8: expected Apple's AuthKey/,
    ),
    "i.yaml:14:29: apps[0].fcm.service_account: none.json cannot be read: there is no such file.",
    'i.yaml:15:5: apps[0].rnig: unknown key; did you mean "ring"?',
    expect.stringMatching(
      /^i\.yaml:17:37: registration_auth\[0\]\.file: enrolment\.secret: expected a secret of at least 16/,
    ),
    "6 problems.",
  ]);
});

describe("a listener's certificate", () => {
  const first = (lines: readonly string[]) => lines[0]!.replace(/^i\.yaml:\d+:\d+: /, "");

  test("that has expired is a problem", async () => {
    workshop.write("tls/ews.pem", MATERIAL.expired.certificate);
    workshop.write("tls/ews.key", MATERIAL.expired.key);
    const { code, lines } = await check(GOOD);
    expect(code).toBe(1);
    expect(first(lines)).toMatch(
      /^listen\.exchange\.tls\.certificate: tls\/ews\.pem: the certificate expired on \d{4}-\d\d-\d\d\.$/,
    );
    expect(lines.at(-1)).toBe("1 problem.");
  });

  test("that expires within a month is a warning", async () => {
    workshop.write("tls/ews.pem", MATERIAL.expiring.certificate);
    workshop.write("tls/ews.key", MATERIAL.expiring.key);
    const { code, lines } = await check(GOOD);
    expect(code).toBe(0);
    expect(first(lines)).toMatch(/tls\/ews\.pem: the certificate expires on \d{4}-\d\d-\d\d \(warning\)$/);
  });

  test("with another certificate's key is a problem", async () => {
    workshop.write("tls/ews.key", MATERIAL.registration.key);
    expect(first((await check(GOOD)).lines)).toBe(
      "listen.exchange.tls.certificate: tls/ews.key is not the key of the first certificate in tls/ews.pem.",
    );
  });

  test("that is something else is a problem, and so is its key", async () => {
    workshop.write("tls/ews.pem", "hunter2");
    workshop.write("tls/ews.key", "hunter2");
    const { lines } = await check(GOOD);
    expect(lines).toHaveLength(3);
    expect(lines.join()).toContain("expected a certificate, or a chain of them, in PEM");
    expect(lines.join()).toContain("expected an unencrypted private key in PEM");
    expect(lines.join()).not.toContain("hunter2");
  });
});

test("a push certificate that has expired is a problem, one that expires within a month a warning", async () => {
  const text = GOOD.replace(/key: \{ file: AuthKey.p8[^}]+\}/, "certificate: { file: push.pem }");
  workshop.write("push.pem", MATERIAL.expired.certificate + MATERIAL.expired.key);
  expect((await check(text)).lines[0]).toContain("push.pem: the certificate expired on");
  workshop.write("push.pem", MATERIAL.expiring.certificate + MATERIAL.expiring.key);
  const { code, lines } = await check(text);
  expect(code).toBe(0);
  expect(lines[0]).toMatch(/push\.pem: the certificate expires on .* \(warning\)$/);
});

test("a password file that is missing is told once, not again for the certificate", async () => {
  workshop.write("push.p12", "0");
  const text = GOOD.replace(
    /key: \{ file: AuthKey.p8[^}]+\}/,
    "certificate: { file: push.p12, password_file: push.password }",
  );
  const { lines } = await check(text);
  expect(lines[0]).toContain("apps[0].apns.certificate.password_file: push.password cannot be read");
  expect(lines).toHaveLength(2);
});

test("a key file that others can read is a problem, one that is not there yet is none", async () => {
  workshop.write("data/keys.json", "{}", 0o644);
  const { lines } = await check(GOOD);
  expect(lines[0]).toContain("keys.file: data/keys.json can be read or changed by other users");
});

test("a directory for the database that is not there yet is a warning", async () => {
  const { code, lines } = await check(GOOD.replace("path: data/", "path: elsewhere/"));
  expect(code).toBe(0);
  expect(lines[0]).toContain("store.path: the directory elsewhere does not exist yet (warning)");
});

test("a configuration that is not there is a problem with its path", async () => {
  expect(await check(null)).toEqual({
    code: 1,
    lines: ["i.yaml:1:1: i.yaml: there is no such file", "1 problem."],
  });
});

test("with --json prints what a script needs", async () => {
  const good = await check(GOOD, "--json");
  expect(good.code).toBe(0);
  expect(JSON.parse(good.lines.join("\n"))).toEqual({ ok: true, problems: [], warnings: [] });
  const bad = await check(GOOD.replace("ring:", "rnig:").replace("[10.1.0.0/16]", "[]"), "--json");
  expect(bad.code).toBe(1);
  expect(JSON.parse(bad.lines.join("\n"))).toEqual({
    ok: false,
    problems: [
      {
        code: "config_invalid",
        file: "i.yaml",
        line: 15,
        column: 5,
        keyPath: "apps[0].rnig",
        message: "unknown key",
        hint: 'did you mean "ring"?',
      },
    ],
    warnings: [expect.objectContaining({ keyPath: "listen.exchange.allow" })],
  });
});
