// Files as an administrator has them at hand, given to `setup`: a certificate as Windows exports it, files in home
// directories, and on a terminal a push certificate that needs its password.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isPkcs12 } from "../../src/cli/setup/pkcs12.ts";
import { loadConfig } from "../../src/config/load.ts";
import { loadSecrets } from "../../src/config/secrets.ts";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { createApnsKey } from "../../src/rehearsal/credentials.ts";
import { sitDown } from "../system/typist.ts";

const MAIN = join(import.meta.dir, "..", "..", "src", "main.ts");
const FIXTURES = join(import.meta.dir, "..", "config", "fixtures");
const isRoot = process.getuid?.() === 0;
const openssl = Bun.which("openssl");

let directory: string;
const at = (...parts: string[]) => join(directory, ...parts);
const config = () => at("etc", "inboxbell.yaml");

/** The command, without what names a certificate. */
const command = () => [
  ...[process.execPath, MAIN, "setup", "--config", config(), "--state-directory", at("var")],
  ...["--socket", at("control.sock"), "--registration-url", "push.corp.test"],
  ...["--exchange-url", "bell.corp.test", "--exchange-networks", "10.1.0.0/16"],
  ...["--phone-networks", "10.9.0.0/16", "--app", "com.corp.mail"],
];

async function setup(flags: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  const child = Bun.spawn([...command(), ...flags], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, text: out + err };
}

const listeners = (certificate: string, key: string) => [
  ...["--registration-certificate", certificate, "--registration-key", key],
  ...["--exchange-certificate", certificate, "--exchange-key", key],
];

async function makeApnsKey(): Promise<readonly string[]> {
  const { privateKey } = await createApnsKey(randomBytes);
  writeFileSync(at("AuthKey_ABCDE12345.p8"), privateKey);
  return ["--apns-key", at("AuthKey_ABCDE12345.p8"), "--apns-team-id", "TEAM123456"];
}

function open(parent: string): void {
  directory = mkdtempSync(join(parent, "ib-files-"));
  chmodSync(directory, 0o755);
}
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("setup, given a listener's certificate as PKCS #12", () => {
  beforeEach(() => open(tmpdir()));

  test("is told from one in PEM or DER by its first bytes", async () => {
    const { certificate } = await issue(await createAuthority("Company"), { names: ["a.test"] });
    const der = Buffer.from(certificate.replace(/-----[^-]+-----/g, ""), "base64");
    for (const name of ["push-modern.p12", "push-legacy.p12", "no-key.p12"]) {
      expect([name, isPkcs12(await Bun.file(join(FIXTURES, name)).bytes())]).toEqual([name, true]);
    }
    for (const other of [Buffer.from(certificate), der, Buffer.from([0x30]), Buffer.alloc(0)]) {
      expect(isPkcs12(other)).toBe(false);
    }
  });

  test.skipIf(openssl === null)(
    "names the commands that make PEM of it, by which the next run is good (openssl)",
    async () => {
      const authority = await createAuthority("Company");
      const made = await issue(authority, { names: ["push.corp.test", "bell.corp.test"] });
      writeFileSync(at("made.pem"), made.certificate);
      writeFileSync(at("made.key"), made.key);
      writeFileSync(at("ca.pem"), authority.certificate);
      const pfx = at("Server export.pfx");
      const password = ["-passout", "pass:of-the-export"];
      const exported = ["pkcs12", "-export", "-in", at("made.pem"), "-inkey", at("made.key")];
      const chain = ["-certfile", at("ca.pem"), "-out", pfx, ...password];
      expect(Bun.spawnSync(["openssl", ...exported, ...chain]).exitCode).toBe(0);
      const apns = await makeApnsKey();
      const refused = await setup([...listeners(pfx, pfx), ...apns]);
      expect(refused.code).not.toBe(0);
      expect(refused.text).toContain(`${pfx} is a PKCS #12 file`);
      expect(refused.text).toContain("-legacy");

      const commands = refused.text
        .split("\n")
        .flatMap((line) => /^ {2}((?:mkdir|openssl|ch[a-z]+) .*)$/.exec(line)?.[1] ?? []);
      expect(commands).toHaveLength(6);
      for (const each of commands) {
        // It would ask for the password on a terminal.
        const line = each.replace("openssl pkcs12", "openssl pkcs12 -passin pass:of-the-export");
        expect([each, Bun.spawnSync(["sh", "-c", line]).exitCode]).toEqual([each, 0]);
      }
      const [pem, key] = [at("etc", "Server export.pem"), at("etc", "Server export.key")];
      expect(statSync(key).mode & 0o007).toBe(0);
      const { code, text } = await setup([...listeners(pem, key), ...apns]);
      expect([code, text]).toEqual([0, expect.stringContaining("Next:")]);
      expect(loadConfig(config(), {}).listen.exchange.tls).toEqual({ certificate: pem, key });
    },
  );
});

describe("setup on a terminal", () => {
  beforeEach(() => open(tmpdir()));

  for (const name of ["push-modern.p12", "push-legacy.p12"]) {
    test(`asks for the password of ${name}, and for it again when it is another's`, async () => {
      copyFileSync(join(FIXTURES, name), at("push.p12"));
      writeFileSync(at("wrong.password"), "another\n");
      writeFileSync(at("push.password"), "fixture\n");
      const typist = sitDown([...command(), "--make-certificates"], { temporary: directory });
      try {
        for (const [question, typed] of [
          ["Apple's token key", ""],
          ["Or a push certificate", at("push.p12")],
          ["File with its password", at("wrong.password")],
          ["File with its password", at("push.password")],
          ["Apple's environment", "sandbox"],
          ["Google service account", ""],
          ["secret that phones enrol with", ""],
          ["HTTP proxy", ""],
        ] as const) {
          await typist.sees(question);
          typist.type(`${typed}\r`);
        }
        expect(await typist.ended()).toBe(0);
        expect(typist.screen()).not.toContain("fixture");
        const loaded = loadConfig(config(), {});
        const { apns } = loadSecrets(loaded, {}).apps.get("com.corp.mail") ?? {};
        expect(apns).toMatchObject({ type: "p12", passphrase: "fixture" });
        expect(statSync(at("etc", "push-com.corp.mail.password")).mode & 0o777).toBe(0o600);
      } finally {
        typist.close();
      }
    }, 30_000);
  }
});

describe.skipIf(!isRoot)("setup, given a certificate that stays where it is (root)", () => {
  // None of the directories that the delivered unit hides.
  beforeEach(() => open("/var/lib"));

  async function certificateIn(place: string): Promise<readonly [certificate: string, key: string]> {
    const made = await issue(await createAuthority("Company"), {
      names: ["push.corp.test", "bell.corp.test"],
    });
    mkdirSync(place, { recursive: true });
    const [certificate, key] = [join(place, "a.pem"), join(place, "a.key")];
    writeFileSync(certificate, made.certificate, { mode: 0o644 });
    writeFileSync(key, made.key, { mode: 0o600 });
    return [certificate, key];
  }

  test("says how its user comes to read the key, and ends well once he does", async () => {
    const [certificate, key] = await certificateIn(at("own"));
    const flags = [...listeners(certificate, key), ...(await makeApnsKey()), "--user", "nobody"];
    const first = await setup(flags);
    const remedy = `chgrp nogroup ${key} && chmod 0640 ${key}`;
    expect(first.code).toBe(1);
    expect(first.text).toContain(`Note: ${key} cannot be read by the service's user nobody`);
    expect(first.text).toContain(`run ${remedy}\n`);
    expect(Bun.spawnSync(["sh", "-c", remedy]).exitCode).toBe(0);
    expect((await setup(flags)).code).toBe(0);
  });

  test("says at once, where it is asked for, that the delivered unit hides it", async () => {
    const elsewhere = mkdtempSync("/tmp/ib-files-");
    const [certificate, key] = await certificateIn(elsewhere);
    const given = command();
    const typist = sitDown([...given, "--apns-key", "unused"], { temporary: directory });
    try {
      await typist.sees("Make a private authority");
      typist.type("n\r");
      await typist.sees("Certificate chain for phones");
      typist.type(`${certificate}\r`);
      await typist.sees("Its private key");
      expect(typist.screen()).toContain(`${certificate} is below /tmp, which is empty for the service`);
      typist.type(`${key}\r`);
      await typist.sees("Certificate chain for Exchange");
      expect(typist.screen()).toContain(`install -o root -g inboxbell -m 0640 ${key} ${at("etc", "a.key")}`);
      typist.type("\u0003");
      expect(await typist.ended()).toBe(1);
    } finally {
      typist.close();
      rmSync(elsewhere, { recursive: true });
    }
  }, 30_000);
});
