// The shell commands of the documents that take a package or systemd, typed as they are written into a booted Debian, in
// the order in which an administrator lives through them: certificates, installation, drop-ins, upgrade, the recovery
// site. Those of the tarball are typed by tarball.test.ts, all others by repository/docs-commands.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parse } from "yaml";
import packageJson from "../../../package.json" with { type: "json" };
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { APP } from "../../../src/rehearsal/stage/props.ts";
import { freshDirectory, until } from "../helpers.ts";
import { bootWithPackages, CONFIG, type Installed } from "./installed.ts";
import { canBoot } from "./machine.ts";
import { allPackages, canPackage, laterPackages, missing, packageFile, tool } from "./packages.ts";
import { fence, standInForSudo, typedPages } from "./typed-pages.ts";

const LONG_MS = 120_000;
const BUILD_MS = 600_000;
const isX64 = process.arch === "x64";
// The password of the .pfx and the passphrase of the backup.
const PASSWORD = "a password of the documents";
const BACKUP = "bell-2026-01-15.backup";
const COPIES = "/mnt/copies";
/** Sections that other tests type: tarball.test.ts and docs-commands-pair.test.ts. */
const ELSEWHERE = [
  "docs/high-availability.md, Joining two nodes",
  "docs/install.md, Without a package",
  "docs/upgrade.md, A pair",
];

const canUnpackRpm = missing("rpm2cpio", "cpio").length === 0;

describe.skipIf(!canBoot || !canPackage || !canUnpackRpm || !isX64)(
  "commands of the documents on a booted Debian (needs root, x86-64, debootstrap, systemd-nspawn, rpmbuild and cpio)",
  () => {
    let installed: Installed;
    let phone: Phone;
    let first: string;
    let later: string;
    const { next, replace, useless, left, ...pages } = typedPages();
    const verify = next("docs/install.md, Verify what you downloaded");

    const machineFile = (path: string) => join(installed.machine.root, path);
    const type = (directory: string, ...blocks: readonly string[]) =>
      pages.type(installed.machine, directory, ...blocks);
    async function rings(): Promise<void> {
      const before = phone.badge ?? 0;
      installed.scene.exchange.mailbox(phone.mailbox).deliver();
      await until(
        () => phone.badge === before + 1,
        () => `the phone shows ${before + 1}; it shows ${phone.badge}`,
      );
    }

    /** What an administrator answers to `setup`. */
    function answers(): string {
      const { props } = installed.scene;
      const [app] = parse(readFileSync(props.configFile, "utf8")).apps;
      const [certificate, key] = ["bell.pem", "bell.key"].map((name) => `/etc/inboxbell/tls/${name}`);
      return [
        ...["--registration-url", props.urls.registration, "--exchange-url", props.urls.exchange],
        ...["--registration-address", "127.0.0.1", "--registration-port", props.ports.registration],
        ...["--exchange-address", "127.0.0.1", "--exchange-port", props.ports.exchange],
        ...["--admin-port", props.ports.admin],
        ...["--registration-certificate", certificate, "--registration-key", key],
        ...["--exchange-certificate", certificate, "--exchange-key", key],
        ...["--phone-networks", "127.0.0.0/8", "--exchange-networks", "127.0.0.0/8"],
        ...["--app", APP, "--apns-key", "/root/props/AuthKey.p8", "--apns-url", app.apns.url],
        ...["--apns-key-id", props.apnsKey.keyId, "--apns-team-id", props.apnsKey.teamId],
        ...["--enrolment-secret-file", "/root/props/enrolment.secret", "--egress-ca", "/root/props/ca.pem"],
      ].join(" ");
    }

    beforeAll(async () => {
      [first, later] = [await allPackages(), await laterPackages()];
      installed = await bootWithPackages("docs");
      // What is asked at a terminal, which nobody sits at. Nothing else differs from the pages.
      replace([
        ["sudo inboxbell setup", `sudo inboxbell setup --no-input ${answers()}`],
        ["-in bell.pfx", "-in bell.pfx -passin file:/root/password"],
      ]);
      const write = (path: string, text: string) => writeFileSync(machineFile(path), text, { mode: 0o600 });
      standInForSudo(installed.machine);
      write("root/password", `${PASSWORD}\n`);
      write("root/bell.passphrase", `${PASSWORD}\n`);
      for (const name of ["windows", "request", "downloads", "newer", "tarball"]) {
        mkdirSync(machineFile(`root/${name}`));
      }
      mkdirSync(machineFile(COPIES));
      const keep = (from: string, end: string, to: string) => {
        const file = packageFile(from, end);
        copyFileSync(file, machineFile(join("root", to, basename(file))));
      };
      keep(first, "_amd64.deb", "downloads");
      keep(later, "_amd64.deb", "newer");
      keep(first, "-linux-x64.tar.gz", "tarball");
      phone = installed.scene.addPhone({ platform: "apns", mailbox: "anna" });
    }, BUILD_MS);
    afterAll(() => installed?.stop(), LONG_MS);

    describe("install.md, Certificates", () => {
      const section = "docs/install.md, Certificates";
      const certificates = (path: string) =>
        installed.shell(`grep -c 'BEGIN CERTIFICATE' ${path}; openssl x509 -in ${path} -noout -pubkey`);

      test("takes a .pfx apart: the server's certificate first, its authority, and a key for its owner only", async () => {
        // As Windows exports it, the authority included.
        await installed.shell(
          `cd /root/windows
           openssl pkcs12 -export -in /root/props/tls/reg.pem -inkey /root/props/tls/reg.key \
             -certfile /root/props/ca.pem -out bell.pfx -passout file:/root/password`,
        );
        await type("/root/windows", next(section));
        const own = await certificates("/root/props/tls/reg.pem");
        const [count, ...key] = (await certificates("/root/windows/bell.pem")).split("\n");
        expect(Number(count)).toBeGreaterThan(1);
        expect(key.join("\n")).toBe(own.slice(own.indexOf("\n") + 1));
        expect(await installed.shell("stat -c %a /root/windows/bell.key")).toBe("600");
      });

      test("makes a request with both names, and a chain of what comes back, whatever its encoding", async () => {
        const told = await type("/root/request", next(section));
        expect(told).toContain("DNS:push.corp.example, DNS:bell.corp.example");
        expect(await installed.shell("stat -c %a /root/request/bell.key")).toBe("600");
        // The authority: one answer in DER, the other one in base 64.
        await installed.shell(
          `cd /root/request
           openssl req -x509 -newkey rsa:2048 -noenc -subj /CN=Issuing -keyout issuing.key -out issuing-ca.cer
           openssl x509 -req -in bell.csr -CA issuing-ca.cer -CAkey issuing.key -copy_extensions copy -outform der -out bell.cer`,
        );
        await type("/root/request", next(section));
        const [count, ...key] = (await certificates("/root/request/bell.pem")).split("\n");
        expect(count).toBe("2");
        expect(await installed.shell("openssl pkey -in /root/request/bell.key -pubout")).toBe(key.join("\n"));
      });
    });

    test(
      "install.md, Ten minutes: a package becomes a node with which doctor finds nothing wrong, and which rings",
      async () => {
        const section = "docs/install.md, Ten minutes";
        await type("/root/downloads", next(section));
        await type("/root/windows", next("docs/install.md, Certificates"));
        await installed.shell("cp /root/props/ca.pem /root/windows/root-ca.pem");
        await type("/root/windows", next("docs/install.md, Certificates"));
        const told = await type("/root/downloads", next(section));
        expect(told).toMatch(/\d+ looks: 0 failures, 0 warnings\.$/);
        expect(await installed.unit("StatusText")).toBe("Role active, ready");
        await phone.enrol();
        await rings();
      },
      LONG_MS,
    );

    test(
      "README.md: does no harm to what is there already",
      async () => {
        const pid = await installed.unit("MainPID");
        expect(await type("/root/downloads", next("README.md, Run it"))).toContain(
          "Nothing had to be changed.",
        );
        expect(await installed.unit("MainPID")).toBe(pid);
      },
      LONG_MS,
    );

    test("phone.md: what is rung is found in the journal", async () => {
      await installed.shell(`printf 'log: { level: debug }\\n' >> ${CONFIG}; inboxbell reload`);
      await rings();
      // The answer comes a moment after the ring.
      await until(async () => (await installed.journal()).includes('"Rang.'), "the ring is in the journal");
      const told = await type("/root", next("docs/phone.md, Follow one phone"));
      expect(told).toContain('"Exchange was heard');
      expect(told).toContain('"Rang.');
    }, 60_000);

    test("install.md, Drop-ins: the service runs with the one that was copied", async () => {
      expect(await installed.unit("AmbientCapabilities")).toBe("");
      await type("/root", next("docs/install.md, Drop-ins"));
      expect(await installed.unit("AmbientCapabilities")).toBe("cap_net_bind_service");
      await rings();
    }, 60_000);

    test("install.md, Credentials: Apple's key is encrypted, and the service rings with it", async () => {
      const dropIns = "/etc/systemd/system/inboxbell.service.d";
      const restart = "systemctl daemon-reload; systemctl restart inboxbell";
      await installed.shell("cp /root/props/AuthKey.p8 /root/downloads/");
      await type("/root/downloads", next("docs/install.md, Credentials"));
      expect(await installed.shell("stat -c '%a %U' /etc/inboxbell/credentials")).toBe("700 root");
      writeFileSync(machineFile(`${dropIns}/override.conf`), fence("docs/install.md", "ini"));
      await installed.shell(
        `cp -a /etc/inboxbell /root/former; rm /etc/inboxbell/AuthKey*.p8
         sed -i -E 's|file: "?AuthKey[^,} ]*|file: "\${CREDENTIALS_DIRECTORY}/apns.p8"|' ${CONFIG}
         grep -q CREDENTIALS_DIRECTORY ${CONFIG}; ${restart}`,
      );
      await rings();
      // Root's shell finds them while the service runs.
      expect(await installed.shell("inboxbell check")).toContain("The configuration is good");
      await installed.shell(
        `rm -r /etc/inboxbell ${dropIns}/override.conf; mv /root/former /etc/inboxbell; ${restart}`,
      );
      await rings();
    }, 60_000);

    describe("upgrade.md", () => {
      const before = "docs/upgrade.md, Before";

      test(
        "Before: the new version is tried out of each kind of package",
        async () => {
          const [ofDebian, ofRedHat, ofTarball, check] = [1, 2, 3, 4].map(() => next(before));
          for (const [directory, block] of [
            ["newer", ofDebian],
            ["tarball", ofTarball],
          ] as const) {
            await type(`/root/${directory}`, block ?? "", check ?? "");
          }
          const scratch = freshDirectory("rpm2cpio");
          const file = packageFile(later, ".x86_64.rpm");
          copyFileSync(file, join(scratch.path, basename(file)));
          const script = `cd ${scratch.path}; export TMPDIR=${scratch.path}\n${ofRedHat}\nls "$new/usr/bin"`;
          expect((await tool(["bash", "-ec", script])).trim()).toBe("inboxbell");
          scratch.remove();
        },
        LONG_MS,
      );

      test(
        "One node: the new version runs, and doctor finds nothing wrong",
        async () => {
          const told = await type("/root/newer", next("docs/upgrade.md, One node"));
          expect(told).toContain(packageJson.version);
          expect(await installed.shell("dpkg -s inboxbell | grep ^Version:")).toEndWith("-2");
          await rings();
        },
        LONG_MS,
      );
    });

    test(
      "regions.md: the recovery site takes over with configuration and backup, and rings",
      async () => {
        const section = "docs/regions.md, A second site for the day of the disaster";
        await type("/root", next(section));
        expect(await installed.shell(`stat -c %a ${COPIES}/inboxbell-etc.tar`)).toBe("600");
        await installed.shell(
          `inboxbell backup ${COPIES}/${BACKUP} --passphrase-file /root/bell.passphrase
           dpkg --purge inboxbell
           # Another number for the user, as another machine has it.
           usermod -l former inboxbell; groupmod -n former inboxbell`,
        );
        await type("/root/newer", next(section));
        expect(await installed.unit("StatusText")).toBe("Role active, ready");
        expect(await installed.shell(`stat -c '%U %G %a' ${CONFIG} /var/lib/inboxbell`)).toBe(
          "root inboxbell 640\ninboxbell inboxbell 700",
        );
        await rings();
      },
      LONG_MS,
    );

    test.skipIf(missing("minisign").length > 0)(
      "install.md, Verify what you downloaded: checksums and signature are right (needs minisign)",
      async () => {
        const scratch = freshDirectory("verify");
        for (const file of [packageFile(first, "_amd64.deb"), join(first, "SHA256SUMS")]) {
          copyFileSync(file, join(scratch.path, basename(file)));
        }
        const sign = "minisign -G -W -p inboxbell.pub -s key >&2; minisign -S -s key -m SHA256SUMS >&2";
        const script = `cd ${scratch.path}\n${sign}\n${verify}`;
        expect(await tool(["bash", "-ec", script])).toContain("_amd64.deb: OK");
        scratch.remove();
      },
    );

    test("leave none of those out that are marked for a booted machine, and nothing is replaced that no page has", () => {
      expect([...left()].sort()).toEqual(ELSEWHERE);
      expect(useless()).toEqual([]);
    });
  },
);
