// `inboxbell check`: every problem of the configuration and of the files it names, at once.
import "reflect-metadata";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { X509CertificateGenerator } from "@peculiar/x509";
import { generateKeys, type KeyFile, writeKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
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

describe("a directory that is not there", () => {
  test.each([
    ["path: data/", "path: elsewhere/", "store.path", "database"],
    ["file: data/", "file: elsewhere/", "keys.file", "key file"],
    ["socket: ", "socket: elsewhere/", "control.socket", "control socket"],
  ])("for %s is a problem: nobody makes it", async (from, to, key, what) => {
    const { code, lines } = await check(GOOD.replace(from, to));
    expect(code).toBe(1);
    expect(lines).toEqual([
      expect.stringContaining(
        `${key}: The directory ${workshop.path("elsewhere")} of the ${what} does not exist. Create it and make the service's user its owner.`.replaceAll(
          `${workshop.directory}/`,
          "",
        ),
      ),
      "1 problem.",
    ]);
  });

  const madeBySystemd = ["/run/inboxbell", "/var/lib/inboxbell"];
  test.skipIf(madeBySystemd.some((directory) => existsSync(directory)))(
    "is a warning where systemd makes it, without a place where the option is not in the file",
    async () => {
      const text = GOOD.replace(/^store: .*\n/m, "")
        .replace(/^keys: .*\n/m, "keys: { file: /var/lib/inboxbell/keys.json }\n")
        .replace(/^control: .*\n/m, "");
      const { code, lines } = await check(text);
      expect([code, lines]).toEqual([
        0,
        [
          expect.stringMatching(
            /^i\.yaml:9:15: keys\.file: The directory \/var\/lib\/inboxbell of the key file .* \(warning\)$/,
          ),
          expect.stringMatching(
            /^i\.yaml: store\.path \(default\): The directory \/var\/lib\/inboxbell of the database .* \(warning\)$/,
          ),
          expect.stringMatching(
            /^i\.yaml: control\.socket \(default\): The directory \/run\/inboxbell of the control socket .* \(warning\)$/,
          ),
          "The configuration is good, with 3 warnings.",
        ],
      ]);
      expect(lines[0]).toContain("systemd makes it when it starts the service");
    },
  );
});

test("a configuration that is not there is a problem with its path, named once", async () => {
  expect(await check(null)).toEqual({
    code: 1,
    lines: [
      "i.yaml: there is no such file; run `inboxbell setup`, which writes one, or name another file with --config",
      "1 problem.",
    ],
  });
});

test("problems and warnings are counted apart", async () => {
  const text = GOOD.replace("allow: [10.2.0.0/16]", "allow: []").replace("fcm.json", "none.json");
  expect((await check(text)).lines.at(-1)).toBe("1 problem, 1 warning.");
  const worse = text.replace("allow: [10.1.0.0/16]", "allow: []").replace("ring: badge", "rnig: badge");
  expect((await check(worse)).lines.at(-1)).toBe("2 problems, 2 warnings.");
  const { code, lines } = await check(GOOD.replace("allow: [10.2.0.0/16]", "allow: []"));
  expect([code, lines.at(-1)]).toEqual([0, "The configuration is good, with 1 warning."]);
});

describe("the names of a listener's certificate", () => {
  async function withNames(names: readonly string[], text = GOOD): Promise<string[]> {
    const { certificate, key } = await issue(await createAuthority("Names"), { names });
    workshop.write("tls/reg.pem", certificate);
    workshop.write("tls/reg.key", key);
    const { code, lines } = await check(text);
    expect(code).toBe(0);
    return lines.slice(0, -1);
  }

  test("are compared with the public URL of the listener", async () => {
    expect(await withNames(["other.corp.example", "mail.corp.example"])).toEqual([
      "i.yaml:6:69: listen.registration.tls.certificate: tls/reg.pem: the certificate is for other.corp.example, mail.corp.example, not for push.corp.example of public.registration_url; clients refuse it, unless a load balancer before this node ends TLS (warning)",
    ]);
  });

  test("may have a star for one label, and be addresses", async () => {
    expect(await withNames(["*.corp.example"])).toEqual([]);
    expect(await withNames(["*.example"])).toHaveLength(1);
    const byAddress = GOOD.replace("https://push.corp.example", "https://10.9.8.7:8443");
    expect(await withNames(["10.9.8.7"], byAddress)).toEqual([]);
    expect(await withNames(["10.9.8.8"], byAddress)).toHaveLength(1);
    const byIpv6 = GOOD.replace("https://push.corp.example", "https://[fd00::7]:8443");
    expect(await withNames(["fd00::8"], byIpv6)).toHaveLength(1);
  });

  test("are not taken from the common name", async () => {
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
      "sign",
      "verify",
    ]);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: "CN=push.corp.example",
      notAfter: new Date(Date.now() + 90 * 86_400_000),
      keys,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    });
    const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
    workshop.write("tls/reg.pem", certificate.toString("pem"));
    workshop.write("tls/reg.key", `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`);
    const { code, lines } = await check(GOOD);
    expect([code, lines.slice(0, -1)]).toEqual([
      0,
      [
        expect.stringContaining(
          "tls/reg.pem: the certificate has no subjectAltName, where clients look for its names",
        ),
      ],
    ]);
  });
});

describe("a key file beside a database", () => {
  async function database(keys: KeyFile): Promise<void> {
    const store = createStore({
      path: workshop.path("data/inboxbell.db"),
      keyring: createKeyring(keys),
      now: Date.now,
    });
    await store.start();
    await store.stop();
  }

  test("that was written with it is good, also after a rotation", async () => {
    const keys = generateKeys(0);
    await database(keys);
    writeKeyFile(workshop.path("data/keys.json"), keys);
    expect(await check(GOOD)).toEqual({ code: 0, lines: ["The configuration is good."] });
    const next = generateKeys(1);
    rmSync(workshop.path("data/keys.json"));
    writeKeyFile(workshop.path("data/keys.json"), {
      lookup: keys.lookup,
      keys: [...keys.keys, ...next.keys],
      current: next.current,
    });
    expect(await check(GOOD)).toEqual({ code: 0, lines: ["The configuration is good."] });
  });

  test("that belongs to another one is a problem, and nothing is made or changed by looking", async () => {
    await database(generateKeys(0));
    writeKeyFile(workshop.path("data/keys.json"), generateKeys(0));
    const before = readdirSync(workshop.path("data"));
    expect(await check(GOOD)).toEqual({
      code: 1,
      lines: [
        "i.yaml:10:15: keys.file: The key file data/keys.json does not belong to the database data/inboxbell.db. Restore the key file that was saved with it.",
        "1 problem.",
      ],
    });
    expect(readdirSync(workshop.path("data"))).toEqual(before);
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
