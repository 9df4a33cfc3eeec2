// `inboxbell check` by root, of files that root can read and the service cannot: their modes, and the places that the
// delivered unit hides. The service's user is nobody here, and the directory none of the hidden ones.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, renameSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { changed, createWorkshop, furnish, GOOD, MATERIAL, type Workshop } from "./helpers.ts";

const MAIN = join(import.meta.dir, "..", "..", "src", "main.ts");
const PLACE = "/var/lib";
const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
const has = (program: string) => Bun.which(program) !== null;

interface Problem {
  readonly code: string;
  readonly keyPath: string;
  readonly message: string;
  readonly hint?: string;
}
interface Report {
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

let workshop: Workshop;

async function check(text: string, env: Readonly<Record<string, string>> = {}): Promise<Report> {
  workshop.write("i.yaml", text, 0o644);
  const command = [process.execPath, MAIN, "check", "--json", "--config", workshop.path("i.yaml")];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit", env: { ...process.env, ...env } });
  return JSON.parse(await new Response(child.stdout).text()) as Report;
}

/** What the hints say is run, as an administrator would. */
function obey(problems: readonly Problem[]): void {
  for (const { hint = "", message } of problems) {
    const [, command = "false"] = /^run (.*)$/.exec(hint) ?? /Run: (.*)$/.exec(message) ?? [];
    expect([command, Bun.spawnSync(["sh", "-c", command]).exitCode]).toEqual([command, 0]);
  }
}

/** Asks the kernel. */
function canServiceRead(path: string, groups = "65534"): boolean {
  const who = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, `--groups=${groups}`];
  return Bun.spawnSync(["setpriv", ...who, "test", "-r", path]).exitCode === 0;
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe.skipIf(!isRoot || !has("setpriv"))("check, run by root for a service of another user (root)", () => {
  beforeEach(() => {
    workshop = createWorkshop(PLACE);
    furnish(workshop);
    chmodSync(workshop.directory, 0o755);
    chmodSync(workshop.path("tls"), 0o755);
    chownSync(workshop.path("data"), NOBODY, NOBODY);
  });
  afterEach(() => workshop.remove());

  test("tells of each file that he cannot read, and the commands that it tells make it good and keep it closed", async () => {
    workshop.write(
      "push.p12",
      await Bun.file(join(import.meta.dir, "fixtures", "push-modern.p12"))
        .bytes()
        .then(Buffer.from),
    );
    workshop.write("push.password", "fixture\n");
    workshop.write("proxy.password", "of the proxy\n");
    workshop.write("ca.pem", MATERIAL.ca);
    workshop.write("tls/reg.pem", MATERIAL.registration.certificate);
    const second = `  - id: com.example.other
    apns: { environment: sandbox, certificate: { file: push.p12, password_file: push.password } }
registration_auth:`;
    const egress =
      "egress: { proxy: http://proxy.corp.example:3128, proxy_user: { name: bell, password_file: proxy.password }, ca_file: ca.pem }";
    const text = `${changed("registration_auth:", second)}${egress}\n`;
    const { problems, ok } = await check(text);
    expect(ok).toBe(false);
    expect(problems.map(({ code, keyPath }) => [code, keyPath])).toEqual(
      [
        "listen.registration.tls.certificate",
        "listen.registration.tls.key",
        "listen.exchange.tls.key",
        "apps[0].apns.key.file",
        "apps[0].fcm.service_account",
        "apps[1].apns.certificate.file",
        "apps[1].apns.certificate.password_file",
        "registration_auth[0].file",
        "egress.proxy_user.password_file",
        "egress.ca_file",
      ].map((keyPath) => ["service_denied", keyPath]),
    );
    const key = workshop.path("AuthKey.p8");
    expect(canServiceRead(key)).toBe(false);
    const told = problems.find(({ keyPath }) => keyPath === "apps[0].apns.key.file");
    expect(told?.message).toBe(
      `${key} cannot be read by the service's user nobody: ${key} is root:root, mode 0600`,
    );
    expect(told?.hint).toBe(`run chgrp nogroup ${key} && chmod 0640 ${key}`);
    obey(problems);
    expect(await check(text)).toEqual({ ok: true, problems: [], warnings: [] });
    for (const name of ["AuthKey.p8", "fcm.json", "tls/reg.key", "push.p12", "proxy.password"]) {
      const path = workshop.path(name);
      expect([name, canServiceRead(path), modeOf(path)]).toEqual([name, true, 0o640]);
    }
  });

  test("tells the same of the configuration itself and of the key file", async () => {
    workshop.write("data/keys.json", "{}");
    for (const name of ["tls/reg.key", "tls/ews.key", "AuthKey.p8", "fcm.json", "enrolment.secret"]) {
      chownSync(workshop.path(name), NOBODY, NOBODY);
    }
    workshop.write("i.yaml", GOOD, 0o600);
    const child = Bun.spawn([process.execPath, MAIN, "check", "--config", workshop.path("i.yaml")], {
      stdout: "pipe",
    });
    const out = await new Response(child.stdout).text();
    const [keys, config] = [workshop.path("data/keys.json"), workshop.path("i.yaml")];
    expect(out).toContain(`run chown nobody: ${keys} && chmod 0600 ${keys}`);
    expect(out).toContain(`${config}: ${config} cannot be read by the service's user nobody`);
  });

  test("closes a file that everybody can read by a command that leaves it to the service", async () => {
    workshop.write("AuthKey.p8", MATERIAL.apnsKey, 0o644);
    const before = await check(GOOD);
    const open = before.problems.filter(({ code }) => code === "secret_exposed");
    const key = workshop.path("AuthKey.p8");
    expect(open.map(({ message }) => message)).toEqual([
      `${key} can be read or changed by other users. Run: chgrp nogroup ${key} && chmod 0640 ${key}`,
    ]);
    obey(before.problems);
    expect([canServiceRead(key), modeOf(key)]).toEqual([true, 0o640]);
    expect((await check(GOOD)).ok).toBe(true);
  });

  test("names the directory that is in the way, also where a link leads", async () => {
    mkdirSync(workshop.path("live"), { mode: 0o700 });
    renameSync(workshop.path("tls/ews.key"), workshop.path("live/ews.key"));
    chownSync(workshop.path("live/ews.key"), 0, NOBODY);
    symlinkSync("../live/ews.key", workshop.path("tls/ews.key"));
    const { problems } = await check(GOOD);
    const hint = problems.find(({ keyPath }) => keyPath === "listen.exchange.tls.key")?.hint;
    const directory = workshop.path("live");
    expect(hint).toBe(`run chgrp nogroup ${directory} && chmod g+x ${directory}`);
    obey(problems);
    expect(canServiceRead(workshop.path("tls/ews.key"))).toBe(true);
    expect((await check(GOOD)).ok).toBe(true);
  });

  test("of a file that a group shares, has him join it and takes it from nobody", async () => {
    const shared = Number(Bun.spawnSync(["getent", "group", "daemon"]).stdout.toString().split(":")[2]);
    const key = workshop.path("tls/reg.key");
    chownSync(key, 0, shared);
    chmodSync(key, 0o640);
    const { problems } = await check(GOOD);
    const hint = problems.find(({ keyPath }) => keyPath === "listen.registration.tls.key")?.hint;
    expect(hint).toBe("run usermod -a -G daemon nobody");
    expect(canServiceRead(key, String(shared))).toBe(true);
  });

  test.skipIf(!has("setfacl"))("knows what an access list grants (setfacl)", async () => {
    const key = workshop.path("AuthKey.p8");
    expect(Bun.spawnSync(["setfacl", "-m", "u:nobody:r", key]).exitCode).toBe(0);
    const { problems } = await check(GOOD);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.map(({ keyPath }) => keyPath)).not.toContain("apps[0].apns.key.file");
  });

  test("leaves systemd's credentials, which root alone may read, to systemd", async () => {
    mkdirSync(workshop.path("handed"), { mode: 0o700 });
    renameSync(workshop.path("AuthKey.p8"), workshop.path("handed/apns"));
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the configuration
    const text = changed("file: AuthKey.p8", 'file: "${CREDENTIALS_DIRECTORY}/apns"');
    const { problems } = await check(text, { CREDENTIALS_DIRECTORY: workshop.path("handed") });
    expect(problems.map(({ keyPath }) => keyPath)).not.toContain("apps[0].apns.key.file");
  });
});

describe.skipIf(!isRoot)("check, of a place that the delivered unit hides (root)", () => {
  let elsewhere: Workshop;
  beforeEach(() => {
    workshop = createWorkshop(PLACE);
    elsewhere = createWorkshop("/tmp");
    furnish(workshop);
    furnish(elsewhere);
  });
  afterEach(() => {
    workshop.remove();
    elsewhere.remove();
  });

  test("warns, says which setting hides it, and how to come by a copy", async () => {
    const [key, copy] = [elsewhere.path("AuthKey.p8"), workshop.path("AuthKey.p8")];
    const report = await check(changed("file: AuthKey.p8", `file: ${key}`));
    expect([report.ok, report.problems]).toEqual([true, []]);
    expect(report.warnings.map(({ code, message, hint }) => [code, message, hint])).toEqual([
      [
        "service_hidden",
        `${key} is below /tmp, which is empty for the service (PrivateTmp=yes in the delivered unit)`,
        `name a copy instead: install -o root -g inboxbell -m 0640 ${key} ${copy}`,
      ],
    ]);
  });

  test("warns of a link that leads there, and of a database", async () => {
    symlinkSync(elsewhere.path("tls"), workshop.path("linked"));
    const text = changed("certificate: tls/ews.pem", "certificate: linked/ews.pem")
      .replace("key: tls/ews.key", "key: tls/../linked/ews.key")
      .replace("store: { path: data/", `store: { path: ${elsewhere.path("data")}/`);
    const { warnings } = await check(text);
    expect(warnings.map(({ code, keyPath }) => `${code} ${keyPath}`)).toContain("service_hidden store.path");
    const told = warnings.map(({ keyPath }) => keyPath);
    expect(told).toContain("listen.exchange.tls.certificate");
    expect(told).toContain("listen.exchange.tls.key");
  });
});
