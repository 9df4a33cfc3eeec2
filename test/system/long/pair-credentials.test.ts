// Two machines whose nodes have keys and certificates as systemd's credentials become a pair: in a shell as it is, without
// a variable set by hand, and with what is missing told in lines that can be pasted.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../../src/rehearsal/stage/props.ts";
import { type Ended, until } from "../helpers.ts";
import { bootWithPackages, CONFIG, type Installed, setUp } from "./installed.ts";
import { canBoot } from "./machine.ts";
import { canPackage } from "./packages.ts";

const LONG_MS = 180_000;
const BUILD_MS = 600_000;
const CREDENTIALS = "/etc/inboxbell/credentials";
const DROP_IN = "etc/systemd/system/inboxbell.service.d";
// Name of the credential, and the file that it is made of.
const FILES = {
  keys: "/var/lib/inboxbell/keys.json",
  "apns.p8": "/root/props/AuthKey.p8",
  "reg.pem": "/root/props/tls/reg.pem",
  "reg.key": "/root/props/tls/reg.key",
} as const;
const NAMES = Object.keys(FILES);

/** The commands that make the files of the credentials. */
function install(files: Readonly<Record<string, string>>): string {
  const copies = Object.entries(files).map(
    ([name, file]) => `install -m 0600 ${file} ${CREDENTIALS}/${name}`,
  );
  return [`install -d -m 0700 ${CREDENTIALS}`, ...copies].join("; ");
}

let a: Installed;
let b: Installed;
let ports: { readonly a: number; readonly b: number };

function putDropIn({ machine }: Installed, lines: readonly string[]): void {
  mkdirSync(join(machine.root, DROP_IN), { recursive: true });
  writeFileSync(join(machine.root, DROP_IN, "credentials.conf"), `${lines.join("\n")}\n`);
}

/** Invites on the first node and joins on the second one. */
async function joinBoth(): Promise<{ readonly invited: string; readonly joined: Ended }> {
  await a.shell(
    `inboxbell pair invite --address 127.0.0.1:${ports.a} > /root/invite.log 2>&1 < /dev/null & sleep 0.1`,
  );
  const log = () => a.shell("cat /root/invite.log");
  await until(async () => (await log()).includes("Waiting."), "it waits");
  const [code = ""] = /^[0-9A-Z]{5}-[0-9A-Z-]+$/m.exec(await log()) ?? [];
  writeFileSync(join(b.machine.root, "root/code"), code);
  const joined = await b.machine.run(
    [
      ...["sh", "-c", 'inboxbell pair join - --yes "$@" < /root/code', "sh"],
      ...["--node", "bell-b", "--address", `127.0.0.1:${ports.b}`],
    ],
    LONG_MS,
  );
  await until(async () => (await log()).includes("has joined"), `it says that it joined: ${joined.err}`);
  return { invited: await log(), joined };
}

describe.skipIf(!canBoot || !canPackage || process.arch !== "x64")(
  "two nodes with systemd's credentials (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    beforeAll(async () => {
      const free = await freePorts();
      ports = { a: free.registration, b: free.exchange };
      a = await bootWithPackages("first");
      b = await bootWithPackages("second");
      for (const each of [a, b]) {
        await each.machine.must("dpkg", "-i", "/root/1.deb");
        await setUp(each);
      }
      const named = (text: string, name: string) =>
        `sed -i 's|${text}|"\${CREDENTIALS_DIRECTORY}/${name}"|' ${CONFIG}`;
      await a.shell(
        `${install(FILES)}
         sed -i '1i node: bell-a' ${CONFIG}
         ${named("tls/reg.pem", "reg.pem")}; ${named("tls/reg.key", "reg.key")}; ${named("AuthKey.*", "apns.p8")}
         printf 'keys: { file: "\${CREDENTIALS_DIRECTORY}/keys" }\\n' >> ${CONFIG}`,
      );
      putDropIn(a, ["[Service]", ...NAMES.map((name) => `LoadCredential=${name}:${CREDENTIALS}/${name}`)]);
      await a.shell("rm /var/lib/inboxbell/keys.json; systemctl daemon-reload; systemctl start inboxbell");
    }, BUILD_MS);
    afterAll(async () => {
      await a?.stop();
      await b?.stop();
    }, LONG_MS);

    test(
      "are invited and joined in a shell as it is; what the second one's unit lacks is told in lines to paste",
      async () => {
        const { joined } = await joinBoth();
        expect([joined.code, joined.err]).toEqual([1, ""]);
        expect(joined.out).toContain("systemd's credentials are not handed over");
        expect(joined.out).toContain("bell-b has joined bell-a.");
        expect(joined.out).toContain("The service has no credential ");
        const lines = joined.out
          .split("\n")
          .filter((line) => /^ {2}(\[Service\]|LoadCredential=)/.test(line));
        expect(lines.map((line) => line.trim()).sort()).toEqual(
          ["[Service]", ...NAMES.map((name) => `LoadCredential=${name}:${CREDENTIALS}/${name}`)].sort(),
        );
        // As root copies them from one machine to the other.
        const files = NAMES.map((name) => [name, join(a.machine.root, CREDENTIALS, name)] as const);
        mkdirSync(join(b.machine.root, CREDENTIALS), { mode: 0o700 });
        for (const [name, file] of files) copyFileSync(file, join(b.machine.root, CREDENTIALS, name));
        putDropIn(b, lines);
        await b.shell(`chmod 0600 ${CREDENTIALS}/*; systemctl daemon-reload`);
      },
      LONG_MS,
    );

    test(
      "are joined again without a complaint, and a command to paste checks the configuration with the credentials",
      async () => {
        const { joined } = await joinBoth();
        expect([joined.code, joined.err]).toEqual([0, ""]);
        const [command = ""] = /^ {2}systemd-run .*$/m.exec(joined.out) ?? [];
        const checked = await b.machine.run(["sh", "-c", command], LONG_MS);
        expect([checked.code, checked.out]).toEqual([
          0,
          expect.stringContaining("The configuration is good"),
        ]);
        // It looks at what the credentials hold.
        await b.shell(`mv ${CREDENTIALS}/apns.p8 /root/good.p8; echo nonsense > ${CREDENTIALS}/apns.p8`);
        const spoilt = await b.machine.run(["sh", "-c", command], LONG_MS);
        expect([spoilt.code, spoilt.out]).toEqual([1, expect.stringContaining("apps[0].apns.key.file")]);
        await b.shell(`mv /root/good.p8 ${CREDENTIALS}/apns.p8`);
      },
      LONG_MS,
    );

    test(
      "are a protected pair once both have been restarted, with nothing of theirs in the credentials",
      async () => {
        for (const each of [a, b]) await each.shell("systemctl restart inboxbell");
        await until(
          async () => (await a.machine.run(["inboxbell", "pair", "status"])).out.startsWith("PROTECTED"),
          "the pair is protected",
          60_000,
        );
        for (const each of [a, b]) {
          expect(await each.shell("ls /run/credentials/inboxbell.service")).toBe(
            [...NAMES].sort().join("\n"),
          );
          expect(await each.shell("ls /var/lib/inboxbell/pair | grep -v before-join")).toBe(
            "ca.key\nca.pem\nnode.key\nnode.pem",
          );
        }
      },
      LONG_MS,
    );

    test(
      "are set up again where the service does not run: nothing is written to where its credentials would be",
      async () => {
        await b.shell("systemctl stop inboxbell");
        const again = await b.machine.run(["inboxbell", "setup", "--no-input"]);
        expect([again.code, again.err]).toEqual([0, ""]);
        expect(again.out).toContain("Nothing had to be changed.");
        expect(again.out).toContain("  systemd-run ");
        expect(await b.shell("test -e /run/credentials/inboxbell.service || echo none")).toBe("none");
      },
      LONG_MS,
    );
  },
);
