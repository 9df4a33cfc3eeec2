// The service as an administrator lives with it: the package installed on a Debian that systemd has booted, set up
// without a terminal among simulators, started, reloaded, renewed, hung, upgraded, backed up, purged and restored.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { askNode } from "../../../src/ops/control.ts";
import { createAuthority, issue } from "../../../src/rehearsal/certificates.ts";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { readSight } from "../doctor-report.ts";
import { type Scene, setScene, testBinary, until } from "../helpers.ts";
import { CONFIG, setupAnswers, TLS } from "./installed.ts";
import { bootMachine, canBoot, type Machine } from "./machine.ts";
import { allPackages, canPackage, laterPackages, packageFile } from "./packages.ts";

const DROP_INS = "/etc/systemd/system/inboxbell.service.d";
// What the design asks for, in tenths as systemd-analyze takes it.
const MOST_EXPOSED = "13";
const LONG_MS = 120_000;
const BUILD_MS = 600_000;
const isX64 = process.arch === "x64";

let scene: Scene;
let machine: Machine;
let iphone: Phone;
let android: Phone;

const unit = async (property: string) =>
  machine.must("systemctl", "show", "--property", property, "--value", "inboxbell");
const shell = (script: string) => machine.must("sh", "-ec", script);
const journal = () => machine.must("journalctl", "--no-pager", "--output=cat", "--unit=inboxbell");
/** Asks systemd for something of the unit; what went wrong there is in the journal. */
async function systemctl(...words: readonly string[]): Promise<void> {
  const { code, err } = await machine.run(["systemctl", ...words, "inboxbell"], LONG_MS);
  if (code === 0) return;
  throw new Error(
    `systemctl ${words.join(" ")} ended with ${code}: ${err}\n${(await journal()).slice(-3000)}`,
  );
}
/** Adds a drop-in, which `shell("rm …")` takes away again, and restarts the service. */
async function restartWith(name: string, text: string | null): Promise<void> {
  mkdirSync(join(machine.root, DROP_INS), { recursive: true });
  if (text !== null) writeFileSync(join(machine.root, DROP_INS, name), text);
  await shell("systemctl daemon-reload");
  await systemctl("restart");
}
async function withoutDropIns(): Promise<void> {
  await shell(`rm -rf ${DROP_INS}; systemctl daemon-reload; systemctl reset-failed inboxbell`);
  await systemctl("restart");
}
/** Delivers a message and waits for the phone to show the new count. */
async function rings(phone: Phone): Promise<void> {
  const before = phone.badge ?? 0;
  scene.exchange.mailbox(phone.mailbox).deliver();
  await until(
    () => phone.badge === before + 1,
    () => `${phone.name} shows ${before + 1}; it shows ${phone.badge}`,
  );
}

const BY_ITS_USER = ["runuser", "-u", "inboxbell", "--"];
const BY_NOBODY = ["runuser", "-u", "nobody", "--"];

/** What belongs to a person, opens something, or identifies either: nothing of it may leave the machine. */
function personal(): readonly string[] {
  const { apnsKey, serviceAccount, enrolmentSecret } = scene.props;
  const phones = [iphone, android].flatMap((phone) => [
    ...[phone.token, phone.registrationId, phone.mailbox],
    scene.callbackUrl(phone).split("/").at(-1) ?? "",
  ]);
  const { client_email, private_key, private_key_id } = serviceAccount.file;
  const lines = [apnsKey.privateKey, private_key].flatMap((key) => key.split("\n"));
  const keyFile = readFileSync(join(machine.root, "var/lib/inboxbell/keys.json"), "utf8");
  const keys = [...keyFile.matchAll(/"([A-Za-z0-9+/_-]{40,}={0,2})"/g)].map(([, key = ""]) => key);
  const secrets = [enrolmentSecret, apnsKey.keyId, apnsKey.teamId, client_email, private_key_id, ...keys];
  return [...phones, ...secrets, ...lines.filter((line) => line.length > 20 && !line.startsWith("-----"))];
}

/** The certificate that a new connection is served; rejects where there is none. */
function served(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
    let answer = "";
    socket.on("secureConnect", () => {
      socket.write("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    });
    socket.on("data", (bytes: Buffer) => {
      answer += bytes.toString("latin1");
    });
    const certificate = () => socket.getPeerX509Certificate()?.fingerprint256 ?? "none";
    let shown = "";
    socket.on("secureConnect", () => {
      shown = certificate();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      if (answer.startsWith("HTTP/1.1 200 ")) resolve(shown);
      else reject(new Error(`answered ${JSON.stringify(answer)}`));
    });
  });
}

describe.skipIf(!canBoot || !canPackage || !isX64)(
  "the service on a booted Debian (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    beforeAll(async () => {
      const [first, later] = [await allPackages(), await laterPackages()];
      // Ten times as fast, so that Exchange tries again after three seconds instead of thirty.
      scene = await setScene("systemd", { timeScale: 10 });
      machine = await bootMachine();
      const home = join(machine.root, "root");
      copyFileSync(packageFile(first, "_amd64.deb"), join(home, "1.deb"));
      copyFileSync(packageFile(later, "_amd64.deb"), join(home, "2.deb"));
      copyFileSync(testBinary, join(machine.root, "usr/local/bin/inboxbell-test"));
      cpSync(scene.directory, join(home, "props"), { recursive: true });
    }, BUILD_MS);
    afterAll(async () => {
      await scene?.stop();
      await machine?.stop();
    }, LONG_MS);

    test("is installed, and neither enabled nor started before it is configured", async () => {
      expect(await machine.must("dpkg", "-i", "/root/1.deb")).toContain("inboxbell setup");
      expect((await machine.run(["systemctl", "is-enabled", "inboxbell"])).out.trim()).toBe("disabled");
      expect((await machine.run(["systemctl", "is-active", "inboxbell"])).out.trim()).toBe("inactive");
      const modes = await shell(
        "stat -c '%a %U %G' /etc/inboxbell /etc/inboxbell/inboxbell.yaml /var/lib/inboxbell",
      );
      expect(modes).toBe("750 root inboxbell\n640 root inboxbell\n700 inboxbell inboxbell");
    }, 60_000);

    test("is set up without a terminal, and enabled and started by the two commands that follow", async () => {
      // Certificates are the administrator's own: where the service's group can read them.
      await shell(
        `install -d -m 0750 -g inboxbell ${TLS}; install -m 0640 -g inboxbell /root/props/tls/* ${TLS}/`,
      );
      await machine.must("inboxbell", "setup", "--no-input", ...setupAnswers(scene));
      expect(await machine.must("inboxbell", "check")).not.toContain("problem");
      await systemctl("enable", "--now");
      expect(await unit("ActiveState")).toBe("active");
      expect(await unit("StatusText")).toBe("Role active, ready");
      expect(await unit("User")).toBe("inboxbell");
    }, 60_000);

    test("is hardened to an exposure of 1.3 or better, and compiles its code all the same", async () => {
      const { code, out } = await machine.run([
        "systemd-analyze",
        "security",
        `--threshold=${MOST_EXPOSED}`,
        "--no-pager",
        "inboxbell",
      ]);
      expect([code, out.trim().split("\n").at(-1)]).toEqual([0, expect.stringContaining("Overall exposure")]);
      // Memory that is writable and executable is what the runtime's compiler works in.
      expect(await shell(`grep -c rwxp /proc/${await unit("MainPID")}/maps`)).not.toBe("0");
    }, 60_000);

    test("may write to a few directories, and execute nothing from them but its own SQLite library", async () => {
      const pid = await unit("MainPID");
      const attempt = async (path: string) => {
        const script = `cp /usr/bin/true ${path}/program && ${path}/program; code=$?; rm -f ${path}/program; exit $code`;
        const { code, err } = await machine.run(["nsenter", "-t", pid, "-m", "sh", "-c", script]);
        if (code === 0) return "executed";
        return err.includes("Read-only file system")
          ? "read-only"
          : /: (.*)\n$/.exec(err)?.[1]?.split(": ").at(-1);
      };
      const inside = [
        "/etc/inboxbell",
        "/var/lib/inboxbell",
        "/run/inboxbell",
        "/tmp",
        "/var/tmp",
        "/dev/shm",
      ];
      for (const path of inside) expect([path, await attempt(path)]).toEqual([path, "Permission denied"]);
      for (const path of ["/usr/bin", "/etc", "/var/lib", "/opt"]) {
        expect([path, await attempt(path)]).toEqual([path, "read-only"]);
      }
      expect(await attempt("/run/inboxbell/native")).toBe("executed");
    }, 60_000);

    test("rings a phone that registers and whose mailbox gets mail", async () => {
      iphone = scene.addPhone({ platform: "apns", mailbox: "anna" });
      android = scene.addPhone({ platform: "fcm", mailbox: "ben" });
      await iphone.enrol();
      await android.enrol();
      await rings(iphone);
      await rings(android);
    }, 60_000);

    test("has nothing wrong with it for doctor, run by root or by its own user", async () => {
      for (const as of [[], BY_ITS_USER]) {
        const { code, out, err } = await machine.run([...as, "inboxbell", "doctor", "--json"]);
        const sight = readSight(code, out);
        expect([as, sight.results.filter((each) => each.code !== "ok"), err]).toEqual([as, [], ""]);
        expect([as, sight.exitCode]).toEqual([as, 0]);
      }
      const script = await machine.must("inboxbell", "doctor", "--exchange");
      expect(script).toContain(`$url  = '${scene.props.urls.exchange}'`);
    }, 60_000);

    test("tells by doctor, run by anybody else, no more than that he may not look", async () => {
      const { code, out } = await machine.run([...BY_NOBODY, "inboxbell", "doctor", "--json"]);
      const sight = readSight(code, out);
      expect([sight.codes, sight.exitCode]).toEqual([["config_problem"], 1]);
      expect(sight.only("config_problem").remedy).toContain("as root");
    }, 60_000);

    test("has a support bundle that names no phone, no mailbox and no secret", async () => {
      const files = { "/root/support.tar.gz": [], "/tmp/support.tar.gz": BY_ITS_USER };
      for (const [path, as] of Object.entries(files)) {
        const said = await machine.must(...as, "inboxbell", "doctor", "--bundle", path);
        expect(said.includes("no log in it")).toBe(as.length > 0);
        expect(await shell(`stat -c %a ${path}`)).toBe("600");
        const archive = await new Bun.Archive(readFileSync(join(machine.live, path))).files();
        const texts = await Promise.all([...archive.values()].map((each) => each.text()));
        const all = texts.join("\n");
        expect(all).toContain('"ready": true');
        // Only root and the group of the journal may read what the service said.
        if (as.length === 0) expect(all).toContain("A phone was registered.");
        expect(personal().filter((text) => all.includes(text))).toEqual([]);
      }
    }, 60_000);

    test("reloads a good file, and refuses a bad one: the command fails, the log says why, and it goes on", async () => {
      const pid = await unit("MainPID");
      await shell(`cp -a ${CONFIG} /root/good.yaml; echo 'nonsense: 1' >> ${CONFIG}`);
      const bad = await machine.run(["systemctl", "reload", "inboxbell"]);
      expect(bad.code).not.toBe(0);
      expect(await journal()).toContain(
        "The configuration was not reloaded; the node goes on with the former one.",
      );
      expect([await unit("ActiveState"), await unit("MainPID")]).toEqual(["active", pid]);
      await rings(iphone);
      await shell(`cat /root/good.yaml > ${CONFIG}`);
      await systemctl("reload");
      expect([await unit("ActiveState"), await unit("MainPID")]).toEqual(["active", pid]);
      // SIGHUP is told as a reload, too, and ends as one.
      await machine.must("systemctl", "kill", "--kill-whom=main", "--signal=HUP", "inboxbell");
      await until(async () => (await journal()).includes('"cause":"SIGHUP"'), "SIGHUP was heard");
      await until(async () => (await unit("SubState")) === "running", "the unit runs again");
    }, 60_000);

    test("takes over renewed certificates under load without a failed request", async () => {
      const { ports } = scene.props;
      const file = (name: string) => join(machine.root, TLS, name);
      const names = { pem: "ews.pem", key: "ews.key" };
      const [pem, key] = [readFileSync(file(names.pem), "utf8"), readFileSync(file(names.key), "utf8")];
      const renewed = await issue(await createAuthority("Renewal"), { names: ["localhost", "127.0.0.1"] });
      const of = (text: string) => new X509Certificate(text).fingerprint256;
      const seen: string[] = [];
      const failures: string[] = [];
      let loading = true;
      const load = Array.from({ length: 4 }, async () => {
        while (loading) {
          await served(ports.exchange).then(
            (fingerprint) => seen.push(fingerprint),
            (error: unknown) => failures.push(String(error)),
          );
        }
      });
      const renew = async (certificate: string, privateKey: string) => {
        writeFileSync(file(names.key), privateKey);
        writeFileSync(file(names.pem), certificate);
        await systemctl("reload");
        await until(() => seen.at(-1) === of(certificate), "the renewed certificate is served");
      };
      await until(() => seen.length > 20, "the load runs");
      await renew(renewed.certificate, renewed.key);
      await renew(pem, key);
      loading = false;
      await Promise.all(load);
      expect(failures).toEqual([]);
      expect(seen.length).toBeGreaterThan(50);
      expect(new Set(seen)).toEqual(new Set([of(pem), of(renewed.certificate)]));
      await rings(iphone);
    }, 60_000);

    test("starts with a /run from which nothing may be executed", async () => {
      await machine.must("mount", "-o", "remount,noexec", "/run");
      expect(await machine.must("findmnt", "-no", "OPTIONS", "/run")).toContain("noexec");
      await systemctl("restart");
      await rings(iphone);
      await machine.must("mount", "-o", "remount,exec", "/run");
    }, 60_000);

    test("listens on ports below 1024 with the drop-in for it", async () => {
      const low = 943;
      await shell(`sed -i 's/port: ${scene.props.ports.registration}/port: ${low}/' ${CONFIG}`);
      const refused = await machine.run(["systemctl", "restart", "inboxbell"]);
      expect(refused.code).not.toBe(0);
      await shell(
        `mkdir -p ${DROP_INS}; cp /usr/share/inboxbell/drop-ins/ports-below-1024.conf ${DROP_INS}/`,
      );
      await restartWith("ports-below-1024.conf", null);
      expect(await served(low)).toMatch(/^[0-9A-F:]+$/);
      await shell(`cat /root/good.yaml > ${CONFIG}`);
      await withoutDropIns();
    }, 60_000);

    test("works with the stricter drop-in, told by systemd-notify, and without compiled code", async () => {
      await shell(`mkdir -p ${DROP_INS}; cp /usr/share/inboxbell/drop-ins/stricter.conf ${DROP_INS}/`);
      await restartWith("stricter.conf", null);
      expect(await unit("StatusText")).toBe("Role active, ready");
      expect(
        (await machine.run(["grep", "-c", "rwxp", `/proc/${await unit("MainPID")}/maps`])).out.trim(),
      ).toBe("0");
      await rings(iphone);
      await withoutDropIns();
    }, 60_000);

    test(
      "takes its keys from a credential, plain or encrypted",
      async () => {
        await shell(
          `install -d -m 0700 /etc/inboxbell/credentials
         cp /var/lib/inboxbell/keys.json /etc/inboxbell/credentials/keys.json
         systemd-creds encrypt --with-key=host --name=keys /var/lib/inboxbell/keys.json /etc/inboxbell/credentials/keys.cred
         mv /var/lib/inboxbell/keys.json /root/keys.json
         sed -i 's|file: /var/lib/inboxbell/keys.json|file: "\${CREDENTIALS_DIRECTORY}/keys"|' ${CONFIG}
         grep -q CREDENTIALS_DIRECTORY ${CONFIG} || printf 'keys: { file: "\${CREDENTIALS_DIRECTORY}/keys" }\\n' >> ${CONFIG}`,
        );
        for (const line of [
          "LoadCredential=keys:/etc/inboxbell/credentials/keys.json",
          "LoadCredentialEncrypted=keys:/etc/inboxbell/credentials/keys.cred",
        ]) {
          await restartWith("credentials.conf", `[Service]\n${line}\n`);
          await rings(iphone);
        }
        await shell(
          `mv /root/keys.json /var/lib/inboxbell/keys.json
         cat /root/good.yaml > ${CONFIG}
         rm -r /etc/inboxbell/credentials`,
        );
        await withoutDropIns();
      },
      LONG_MS,
    );

    test(
      "is killed by the watchdog when it hangs, starts again, and rings what came meanwhile",
      async () => {
        await restartWith(
          "hang.conf",
          `[Service]\nExecStart=\nExecStart=/usr/local/bin/inboxbell-test serve --config ${CONFIG}\nWatchdogSec=4s\nRestartSec=1s\n`,
        );
        const restarts = Number(await unit("NRestarts"));
        const pid = await unit("MainPID");
        // Longer than the watchdog waits: the self-check feeds it.
        await Bun.sleep(6_000);
        expect([Number(await unit("NRestarts")), await unit("MainPID")]).toEqual([restarts, pid]);
        await askNode(join(machine.live, "run/inboxbell/control.sock"), "block", { input: { ms: 100_000 } });
        await Bun.sleep(500);
        const before = iphone.badge ?? 0;
        scene.exchange.mailbox(iphone.mailbox).deliver();
        await until(
          async () => Number(await unit("NRestarts")) === restarts + 1,
          "the watchdog ended it",
          30_000,
        );
        await until(async () => (await unit("ActiveState")) === "active", "it runs again");
        expect(await journal()).toContain("Watchdog timeout (limit 4s)!");
        // Exchange tries again by itself.
        await until(() => iphone.badge === before + 1, "what came meanwhile is rung", 60_000);
        await withoutDropIns();
      },
      LONG_MS,
    );

    test("is upgraded: the new version runs, with its data, and a changed configuration stays", async () => {
      const pid = await unit("MainPID");
      await machine.must("dpkg", "-i", "/root/2.deb");
      expect(await shell("dpkg -s inboxbell | grep ^Version:")).toEndWith("-2");
      expect(await unit("ActiveState")).toBe("active");
      expect(await unit("MainPID")).not.toBe(pid);
      expect(await shell(`cmp ${CONFIG} /root/good.yaml && echo same`)).toBe("same");
      await rings(iphone);
    }, 60_000);

    test("leaves a service stopped by an upgrade that was stopped before", async () => {
      await systemctl("stop");
      await machine.must("dpkg", "-i", "/root/2.deb");
      expect((await machine.run(["systemctl", "is-active", "inboxbell"])).out.trim()).toBe("inactive");
      await systemctl("start");
    }, 60_000);

    test("is backed up, removed with everything kept, and purged with everything gone", async () => {
      await shell("umask 077; echo 'a passphrase of the test' > /root/passphrase");
      await machine.must("inboxbell", "backup", "/root/node.bell", "--passphrase-file", "/root/passphrase");
      await machine.must("cp", "-a", "/etc/inboxbell", "/root/etc");
      await machine.must("dpkg", "-r", "inboxbell");
      expect((await machine.run(["systemctl", "is-active", "inboxbell"])).out.trim()).toBe("inactive");
      expect(await shell(`test -e ${CONFIG} && test -e /var/lib/inboxbell/inboxbell.db && echo kept`)).toBe(
        "kept",
      );
      await machine.must("dpkg", "-P", "inboxbell");
      expect(await shell("ls -d /etc/inboxbell /var/lib/inboxbell /run/inboxbell 2>/dev/null || true")).toBe(
        "",
      );
      expect(
        await shell(
          "find / -xdev -path /root -prune -o -iname '*inboxbell*' -print | grep -v -e /usr/local -e /var/log || true",
        ),
      ).toBe("");
    }, 60_000);

    test("is restored from the backup, and rings the phone that registered before", async () => {
      await machine.must("dpkg", "-i", "/root/2.deb");
      await shell("cp -a /root/etc/. /etc/inboxbell/");
      await machine.must("inboxbell", "restore", "/root/node.bell", "--passphrase-file", "/root/passphrase");
      await systemctl("start");
      await rings(iphone);
    }, 60_000);

    test("has broken no rule of Exchange, Apple or Google on all of these ways", () => {
      expect(scene.violations()).toEqual([]);
    });
  },
);
