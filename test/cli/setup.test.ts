// `setup` without a terminal: flags and piped input; what it writes, and what it never overwrites.
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createPrivateKey, randomBytes, X509Certificate } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { loadSecrets } from "../../src/config/secrets.ts";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { createApnsKey, createServiceAccount } from "../../src/rehearsal/credentials.ts";

const root = join(import.meta.dir, "..", "..");
const isRoot = process.getuid?.() === 0;

let apnsKey: string;
let account: string;
beforeAll(async () => {
  apnsKey = (await createApnsKey(randomBytes)).privateKey;
  account = JSON.stringify((await createServiceAccount(randomBytes, "bell-test")).file);
});

let directory: string;
const at = (...parts: string[]) => join(directory, ...parts);
const config = () => at("etc", "inboxbell.yaml");
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ib-setup-"));
  mkdirSync(at("downloads"));
  // As a browser leaves them: readable by everybody.
  writeFileSync(at("downloads", "AuthKey_ABCDE12345.p8"), apnsKey, { mode: 0o644 });
  writeFileSync(at("downloads", "fcm.json"), account, { mode: 0o644 });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function setup(
  flags: Readonly<Record<string, string | true>>,
  stdin: string | null = null,
  verb = "setup",
): Promise<Ran> {
  const list = Object.entries(flags).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, value],
  );
  const child = Bun.spawn(
    [process.execPath, join(root, "src", "main.ts"), verb, "--config", config(), ...list],
    {
      stdin: stdin === null ? "ignore" : Buffer.from(stdin),
      stdout: "pipe",
      stderr: "pipe",
      timeout: 30_000,
    },
  );
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}

function whole(): Record<string, string | true> {
  return {
    "registration-url": "push.corp.test",
    "exchange-url": "https://bell.corp.test",
    "exchange-networks": "10.1.0.0/16, 10.2.3.4",
    "phone-networks": "10.9.0.0/16",
    "make-certificates": true,
    app: "com.corp.mail",
    "apns-key": at("downloads", "AuthKey_ABCDE12345.p8"),
    "apns-team-id": "TEAM123456",
    "fcm-account": at("downloads", "fcm.json"),
    "state-directory": at("var"),
    socket: at("control.sock"),
  };
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("setup without a terminal", () => {
  test("names the flag of every answer that is missing, and writes nothing", async () => {
    const { code, err } = await setup({});
    expect(code).toBe(2);
    for (const flag of [
      "registration-url",
      "exchange-url",
      "make-certificates",
      "app",
      "apns-key",
      "fcm-account",
    ]) {
      expect(err).toContain(`--${flag}`);
    }
    expect(existsSync(at("etc"))).toBe(false);
  });

  test("writes a configuration that check finds clean, and all that it names", async () => {
    const ran = await setup(whole());
    expect([ran.err, ran.code]).toEqual(["", 0]);
    const checked = await setup({ json: true }, null, "check");
    expect(JSON.parse(checked.out)).toEqual({ ok: true, problems: [], warnings: [] });
    const loaded = loadConfig(config(), {});
    expect(loaded.public).toEqual({
      registrationUrl: "https://push.corp.test:8443",
      exchangeUrl: "https://bell.corp.test",
    });
    expect(loaded.listen.exchange.allow).toEqual(["10.1.0.0/16", "10.2.3.4"]);
    expect(loaded.apps[0]!.apns!.credential).toMatchObject({ keyId: "ABCDE12345", teamId: "TEAM123456" });
    expect(loadSecrets(loaded, {}).enrolmentSecrets[0]!.length).toBeGreaterThanOrEqual(32);
    expect(readFileSync(config(), "utf8")).toContain("# What phones and Exchange call this server by.");
    expect(ran.out).toContain("Import-Certificate");
    expect(ran.out).toContain("checked against vendor documentation only");
  });

  test("closes to others what is secret, and prints none of it", async () => {
    const { out, err } = await setup(whole());
    const secrets = [
      "AuthKey_ABCDE12345.p8",
      "fcm-com.corp.mail.json",
      "enrolment.secret",
      "tls/ca.key",
      "tls/registration.key",
      "tls/exchange.key",
    ];
    for (const name of secrets) expect([name, modeOf(at("etc", name))]).toEqual([name, 0o600]);
    expect(modeOf(at("var", "keys.json"))).toBe(0o600);
    expect(modeOf(config())).toBe(0o640);
    expect(modeOf(at("etc"))).toBe(0o750);
    expect(out + err).not.toContain(readFileSync(at("etc", "enrolment.secret"), "utf8").trim());
  });

  test("makes certificates that Windows and phones take: RSA, SHA-256, for the name, for servers, under 825 days", async () => {
    await setup(whole());
    const leaf = new X509Certificate(readFileSync(at("etc", "tls", "exchange.pem")));
    const ca = new X509Certificate(readFileSync(at("etc", "tls", "ca.pem")));
    expect(leaf.checkHost("bell.corp.test", { subject: "never" })).toBe("bell.corp.test");
    expect(leaf.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
    expect(leaf.checkIssued(ca) && leaf.verify(ca.publicKey)).toBe(true);
    expect([leaf.ca, ca.ca]).toEqual([false, true]);
    expect((Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)) / 86_400_000).toBeLessThan(825);
  });

  test("takes a secret from standard input, never from an argument", async () => {
    const { code } = await setup({ ...whole(), "enrolment-secret-file": "-" }, "a-secret-of-our-own-1234\n");
    expect(code).toBe(0);
    expect(readFileSync(at("etc", "enrolment.secret"), "utf8")).toBe("a-secret-of-our-own-1234\n");
  });

  const BAD: readonly (readonly [what: string, flags: () => Record<string, string | true>, words: string])[] =
    [
      ["a URL with a path", () => ({ "exchange-url": "https://bell.corp.test/ews" }), "--exchange-url"],
      ["a network that is none", () => ({ "exchange-networks": "10.1.0.0/99" }), "--exchange-networks"],
      ["a port that is none", () => ({ "exchange-port": "99999" }), "--exchange-port"],
      [
        "a proxy with a password in it",
        () => ({ proxy: "http://u:p@proxy.corp.test:3128" }),
        "egress.proxy_user",
      ],
      ["an environment that Apple has not", () => ({ "apns-environment": "staging" }), "--apns-environment"],
      [
        "a key file that holds something else",
        () => ({ "apns-key": at("downloads", "fcm.json"), "apns-key-id": "ABCDE12345" }),
        "AuthKey_",
      ],
      [
        "google-services.json instead of the account",
        () => ({ "fcm-account": at("downloads", "google-services.json") }),
        "google-services.json",
      ],
      ["a key that is not the certificate's", () => ({ ...otherKey() }), "does not belong"],
      ["a file that is not there", () => ({ "fcm-account": at("nowhere.json") }), "there is no such file"],
    ];
  const otherKey = () => ({
    "registration-certificate": at("downloads", "a.pem"),
    "registration-key": at("downloads", "b.key"),
    "exchange-certificate": at("downloads", "a.pem"),
    "exchange-key": at("downloads", "a.key"),
  });
  for (const [what, flags, words] of BAD) {
    test(`refuses ${what}, says why, and writes nothing`, async () => {
      writeFileSync(
        at("downloads", "google-services.json"),
        JSON.stringify({ project_info: {}, client: [] }),
      );
      const authority = await createAuthority("Company");
      for (const name of ["a", "b"]) {
        const made = await issue(authority, { names: ["push.corp.test"] });
        writeFileSync(at("downloads", `${name}.pem`), made.certificate);
        writeFileSync(at("downloads", `${name}.key`), made.key, { mode: 0o600 });
      }
      const { "make-certificates": made, ...rest } = whole();
      const wrong = flags();
      const given = "registration-key" in wrong ? rest : { ...rest, "make-certificates": made ?? true };
      const { code, err } = await setup({ ...given, ...wrong });
      expect(code).toBeGreaterThan(0);
      expect(err).toContain(words);
      expect(existsSync(at("etc"))).toBe(false);
    });
  }

  test("uses a company's own certificates where they are, and says what clients will have against them", async () => {
    const authority = await createAuthority("Company");
    const made = await issue(authority, { names: ["push.corp.test"], kind: "rsa-2048" });
    writeFileSync(at("downloads", "a.pem"), made.certificate);
    writeFileSync(at("downloads", "a.key"), made.key, { mode: 0o600 });
    const { "make-certificates": _, ...rest } = whole();
    const ran = await setup({
      ...rest,
      "registration-certificate": at("downloads", "a.pem"),
      "registration-key": at("downloads", "a.key"),
      "exchange-certificate": at("downloads", "a.pem"),
      "exchange-key": at("downloads", "a.key"),
    });
    expect(ran.code).toBe(0);
    expect(ran.out).toContain("not for bell.corp.test");
    expect(loadConfig(config(), {}).listen.registration.tls?.certificate).toBe(at("downloads", "a.pem"));
  });
});

describe("setup, run again", () => {
  const names = () => (readdirSync(at("etc"), { recursive: true }) as string[]).sort();
  const contents = () =>
    names().map((name) => (statSync(at("etc", name)).isFile() ? readFileSync(at("etc", name), "utf8") : ""));

  test("with the same answers changes nothing", async () => {
    await setup(whole());
    const before = [names(), contents()];
    const { code, out } = await setup(whole());
    expect(code).toBe(0);
    expect(out).toContain("Nothing had to be changed.");
    expect([names(), contents()]).toEqual(before);
  });

  test("without answers shows what is there", async () => {
    await setup(whole());
    const { code, out } = await setup({});
    expect(code).toBe(0);
    expect(out).toContain("https://bell.corp.test");
  });

  test("refuses to change silently, and tells what it would", async () => {
    await setup(whole());
    const before = contents();
    const { code, err } = await setup({ proxy: "http://proxy.corp.test:3128" });
    expect(code).toBe(1);
    expect(err).toContain("egress.proxy: (not set) -> http://proxy.corp.test:3128");
    expect(err).toContain("setup_exists");
    expect(contents()).toEqual(before);
  });

  test("with --force changes what is asked and that alone, and keeps a copy", async () => {
    await setup(whole());
    const text = readFileSync(config(), "utf8").replace(
      "public:",
      "# A comment of the administrator.\npublic:",
    );
    writeFileSync(config(), text);
    const { code } = await setup({ proxy: "http://proxy.corp.test:3128", force: true });
    expect(code).toBe(0);
    const after = readFileSync(config(), "utf8");
    expect(after).toContain("# A comment of the administrator.");
    expect(after.replace(/egress:\n {2}proxy: .*\n/, "")).toBe(text);
    const copy = names().find((name) => name.endsWith(".old"));
    expect(readFileSync(at("etc", copy!), "utf8")).toBe(text);
    expect(modeOf(at("etc", copy!))).toBe(0o640);
  });

  test("keeps the secret, the keys and a certificate that is still good; a new name gets a new one", async () => {
    await setup(whole());
    const ca = readFileSync(at("etc", "tls", "ca.pem"), "utf8");
    const [secret, keys] = [
      readFileSync(at("etc", "enrolment.secret")),
      readFileSync(at("var", "keys.json")),
    ];
    const registration = readFileSync(at("etc", "tls", "registration.pem"));
    const { code } = await setup({
      "exchange-url": "ring.corp.test",
      "make-certificates": true,
      force: true,
    });
    expect(code).toBe(0);
    expect(readFileSync(at("etc", "tls", "ca.pem"), "utf8")).toBe(ca);
    expect(readFileSync(at("etc", "enrolment.secret"))).toEqual(secret);
    expect(readFileSync(at("var", "keys.json"))).toEqual(keys);
    expect(readFileSync(at("etc", "tls", "registration.pem"))).toEqual(registration);
    const renewed = new X509Certificate(readFileSync(at("etc", "tls", "exchange.pem")));
    expect(renewed.checkHost("ring.corp.test")).toBe("ring.corp.test");
  });

  test("adds a second app beside the first", async () => {
    await setup(whole());
    const { code } = await setup({
      app: "com.corp.second",
      "fcm-account": at("downloads", "fcm.json"),
      force: true,
    });
    expect(code).toBe(0);
    expect(loadConfig(config(), {}).apps.map(({ id }) => id)).toEqual(["com.corp.mail", "com.corp.second"]);
  });

  test("replaces the delivered configuration with its examples, keeping a copy", async () => {
    mkdirSync(at("etc"));
    copyFileSync(join(root, "config", "inboxbell.yaml"), config());
    const { code } = await setup(whole());
    expect(code).toBe(0);
    expect(names().some((name) => name.endsWith(".old"))).toBe(true);
    expect(loadConfig(config(), {}).apps[0]!.id).toBe("com.corp.mail");
  });

  test("closes a secret beside the configuration that others could read", async () => {
    await setup(whole());
    chmodSync(at("etc", "AuthKey_ABCDE12345.p8"), 0o644);
    const { code, out } = await setup(whole());
    expect(code).toBe(0);
    expect(out).toContain("closed");
    expect(modeOf(at("etc", "AuthKey_ABCDE12345.p8"))).toBe(0o600);
  });
});

describe("setup, after a run that was killed", () => {
  const tls = (name: string) => at("etc", "tls", name);
  /** The certificate's key, as its public half. */
  const isPair = (name: string) =>
    new X509Certificate(readFileSync(tls(`${name}.pem`))).checkPrivateKey(
      createPrivateKey(readFileSync(tls(`${name}.key`))),
    );

  test("between a key and its certificate uses the key and asks for no --force", async () => {
    expect((await setup(whole())).code).toBe(0);
    const keys = ["ca", "registration", "exchange"].map((name) => readFileSync(tls(`${name}.key`), "utf8"));
    for (const gone of [tls("ca.pem"), tls("registration.pem"), tls("exchange.pem"), config()]) rmSync(gone);
    const { code, err } = await setup(whole());
    expect([code, err]).toEqual([0, ""]);
    expect(
      ["ca", "registration", "exchange"].map((name) => readFileSync(tls(`${name}.key`), "utf8")),
    ).toEqual(keys);
    expect(["ca", "registration", "exchange"].map(isPair)).toEqual([true, true, true]);
    const authority = new X509Certificate(readFileSync(tls("ca.pem")));
    expect(new X509Certificate(readFileSync(tls("exchange.pem"))).verify(authority.publicKey)).toBe(true);
  });

  test("does not take a certificate for good whose key is another's or missing", async () => {
    expect((await setup(whole())).code).toBe(0);
    rmSync(tls("exchange.key"));
    writeFileSync(tls("registration.key"), readFileSync(tls("ca.key")));
    const { code, err } = await setup({ ...whole(), force: true });
    expect([code, err]).toEqual([0, ""]);
    expect(["registration", "exchange"].map(isPair)).toEqual([true, true]);
  });

  test("removes what that run had begun to write", async () => {
    mkdirSync(at("etc"));
    // No process has this number: it is above the kernel's largest.
    for (const name of ["enrolment.secret.4194999.new", "inboxbell.yaml.4194999.new"])
      writeFileSync(at("etc", name), "half");
    mkdirSync(at("var"));
    writeFileSync(at("var", "keys.json.4194999.new"), "half");
    expect((await setup(whole())).code).toBe(0);
    expect(
      [...readdirSync(at("etc")), ...readdirSync(at("var"))].filter((name) => name.endsWith(".new")),
    ).toEqual([]);
  });
});

describe("setup, in a directory that somebody else may write to", () => {
  test("keeps its copy under a name of its own, never through a symbolic link", async () => {
    expect((await setup(whole())).code).toBe(0);
    const victim = at("victim");
    // The copy's name holds the second; these are all of the next half minute.
    const now = Date.now();
    for (let second = 0; second < 30; second += 1) {
      const stamp = new Date(now + second * 1000).toISOString().replace(/[-:]|\.\d+/g, "");
      symlinkSync(victim, `${config()}.${stamp}.old`);
    }
    expect(
      (await setup({ "registration-url": "ring.corp.test", "make-certificates": true, force: true })).code,
    ).toBe(0);
    expect(existsSync(victim)).toBe(false);
    expect(readdirSync(at("etc")).some((name) => /^inboxbell\.yaml\..*-2\.old$/.test(name))).toBe(true);
  });
});

describe("setup, as to host names", () => {
  test("takes an IPv6 address without brackets", async () => {
    expect((await setup({ ...whole(), "registration-url": "fd00::1" })).code).toBe(0);
    expect(readFileSync(config(), "utf8")).toContain("registration_url: https://[fd00::1]:8443");
  });

  for (const host of ["push.corp.test.", "*.corp.test", "push.corp.test:0"]) {
    test(`refuses ${host}, which no client could use`, async () => {
      const { code, err } = await setup({ ...whole(), "registration-url": host });
      expect([code, err.includes("--registration-url: expected")]).toEqual([1, true]);
      expect(existsSync(config())).toBe(false);
    });
  }
});

describe("setup, for the service's user", () => {
  test("says that there is no such user", async () => {
    const { code, err } = await setup({ ...whole(), user: "nobody-of-this-name" });
    expect(code).toBe(1);
    expect(err).toContain("there is no user nobody-of-this-name");
  });

  test.skipIf(!isRoot)("gives him what he needs, and keeps the authority's key from him (root)", async () => {
    chmodSync(directory, 0o755);
    const { code } = await setup({ ...whole(), user: "nobody" });
    expect(code).toBe(0);
    const { uid } = statSync(at("etc", "enrolment.secret"));
    expect(uid).toBeGreaterThan(0);
    for (const path of [at("etc", "tls", "exchange.key"), at("var"), at("var", "keys.json")]) {
      expect([path, statSync(path).uid]).toEqual([path, uid]);
    }
    // He reads the configuration by his group, and does not write it.
    const { gid } = statSync(at("var"));
    for (const path of [config(), at("etc"), at("etc", "tls")]) {
      expect([path, statSync(path).uid, statSync(path).gid]).toEqual([path, 0, gid]);
    }
    expect(statSync(at("etc", "tls", "ca.key")).uid).toBe(0);
  });

  test.skipIf(!isRoot)("says which certificate he cannot read (root)", async () => {
    const made = await issue(await createAuthority("Company"), {
      names: ["push.corp.test", "bell.corp.test"],
    });
    writeFileSync(at("downloads", "a.pem"), made.certificate);
    writeFileSync(at("downloads", "a.key"), made.key, { mode: 0o600 });
    const { "make-certificates": _, ...rest } = whole();
    const [certificate, key] = [at("downloads", "a.pem"), at("downloads", "a.key")];
    const { out } = await setup({
      ...rest,
      "registration-certificate": certificate,
      "registration-key": key,
      "exchange-certificate": certificate,
      "exchange-key": key,
      user: "nobody",
    });
    expect(out).toContain(`${key} cannot be read by the service's user nobody`);
  });
});
