// The tarball on a booted Debian, by the commands of docs/install.md as they are written: installed, installed again
// over a service that runs, and removed. What is there already stays as it is.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../../package.json" with { type: "json" };
import { shellBlocks } from "../../repository/docs-commands/blocks.ts";
import { type Scene, setScene } from "../helpers.ts";
import { bootMachine, canBoot, type Machine } from "./machine.ts";
import { allPackages, canPackage, packageFile } from "./packages.ts";

const CONFIG = "/etc/inboxbell/inboxbell.yaml";
const STATE = "/var/lib/inboxbell";
const SECTION = "## Without a package\n";
const LONG_MS = 120_000;
const BUILD_MS = 600_000;
const isX64 = process.arch === "x64";

/** The shell blocks of the section, in order: install and upgrade, remove, purge. */
function commandsOfThePage(): readonly string[] {
  const page = readFileSync(join(import.meta.dir, "..", "..", "..", "docs", "install.md"), "utf8");
  const from = page.indexOf(SECTION);
  const section = page.slice(from, page.indexOf("\n## ", from + SECTION.length));
  return shellBlocks(section).map(({ text }) => text);
}

describe.skipIf(!canBoot || !canPackage || !isX64)(
  "the tarball on a booted Debian (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    const [install = "", remove = "", purge = "", ...others] = commandsOfThePage();
    let scene: Scene;
    let machine: Machine;
    /** What was there before anything of ours came. */
    let before: readonly string[];
    let installed: readonly string[];

    const shell = (script: string) => machine.must("bash", "-ec", script);
    const type = (block: string) => shell(`cd /root/downloads\n${block}`);
    const unit = (property: string) =>
      machine.must("systemctl", "show", "--property", property, "--value", "inboxbell");
    const entries = async (options: string) => {
      const said = await shell(
        `find / -xdev \\( -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \\) -prune -o ${options}`,
      );
      return said.split("\n").sort();
    };
    /** Directories and links with mode and owner; the kernel's and what changes by itself left out. */
    const standing = () => entries("\\( -type d -o -type l \\) -printf '%m %u %g %y %l %p\\n'");
    const ours = async () =>
      (await entries("-iname '*inboxbell*' -print")).filter((path) => !path.startsWith("/root"));
    const state = () =>
      shell(
        `stat -c '%a %U %G %n' /etc/inboxbell ${CONFIG} ${STATE} ${STATE}/keys.json; sha256sum ${CONFIG}`,
      );

    beforeAll(async () => {
      const out = await allPackages();
      scene = await setScene("tarball");
      machine = await bootMachine();
      const write = (path: string, text: string, mode: number) =>
        writeFileSync(join(machine.root, path), text, { mode });
      await shell("mkdir /root/downloads");
      copyFileSync(
        packageFile(out, "-linux-x64.tar.gz"),
        join(machine.root, "root/downloads", `inboxbell-${packageJson.version}-linux-x64.tar.gz`),
      );
      // A minimal Debian has none, and who types is root already.
      write("usr/bin/sudo", '#!/bin/sh\nexec "$@"\n', 0o755);
      // As Red Hat and its kin have it, and an administrator who is strict and has moved the manual pages.
      await shell(
        "chmod 0555 /; chmod 0711 /usr/share; mv /usr/share/man /usr/share/pages; ln -s pages /usr/share/man",
      );
      before = await standing();
    }, BUILD_MS);
    afterAll(async () => {
      await scene?.stop();
      await machine?.stop();
    }, LONG_MS);

    test("is described in three blocks: to install and upgrade, to remove, and to purge", () => {
      expect([install, remove, purge].map((block) => block !== "")).toEqual([true, true, true]);
      expect(others).toEqual([]);
    });

    test(
      "is installed without a configuration, and no directory or link that was there is changed",
      async () => {
        await type(`umask 077\n${install}`);
        const after = new Set(await standing());
        expect(before.filter((line) => !after.has(line))).toEqual([]);
        expect(await machine.must("inboxbell", "version")).toStartWith(`inboxbell ${packageJson.version} (`);
        expect(await shell("stat -c '%a %U %G' /etc/inboxbell /var/lib/inboxbell")).toBe(
          "750 root inboxbell\n700 inboxbell inboxbell",
        );
        expect(await shell("find /etc/inboxbell -mindepth 1")).toBe("");
        expect(await unit("LoadState")).toBe("loaded");
        expect((await machine.run(["systemctl", "is-active", "inboxbell"])).out.trim()).toBe("inactive");
        // Whoever reads the pages and completes verbs is not root.
        expect(await shell("find /usr/share -path '*inboxbell*' -type f ! -perm -044")).toBe("");
        expect(await shell("test -f /usr/share/pages/man1/inboxbell.1.gz && echo moved")).toBe("moved");
        installed = await ours();
      },
      LONG_MS,
    );

    test(
      "runs as a service once there is a configuration",
      async () => {
        const directory = join(machine.root, "etc/inboxbell");
        for (const name of ["AuthKey.p8", "fcm.json", "enrolment.secret", "ca.pem", "tls"]) {
          cpSync(join(scene.directory, name), join(directory, name), { recursive: true });
        }
        const text = readFileSync(scene.props.configFile, "utf8")
          .replace("path: inboxbell.db", `path: ${STATE}/inboxbell.db`)
          .replace("file: keys.json", `file: ${STATE}/keys.json`)
          .replace("control.sock", "/run/inboxbell/control.sock");
        writeFileSync(join(directory, "inboxbell.yaml"), text);
        await shell("chown -R root:inboxbell /etc/inboxbell; chmod -R g+rX,g-w,o= /etc/inboxbell");
        await shell(
          "systemctl enable --now inboxbell || { journalctl --no-pager -u inboxbell >&2; exit 1; }",
        );
        expect(await unit("StatusText")).toBe("Role active, ready");
      },
      LONG_MS,
    );

    test(
      "is installed again over it: the new files run, configuration, data and modes stay",
      async () => {
        const [was, pid] = [await state(), await unit("MainPID")];
        await type(install);
        expect(await state()).toBe(was);
        expect([await unit("ActiveState"), await unit("StatusText")]).toEqual([
          "active",
          "Role active, ready",
        ]);
        expect(await unit("MainPID")).not.toBe(pid);
        const after = new Set(await standing());
        expect(before.filter((line) => !after.has(line))).toEqual([]);
      },
      LONG_MS,
    );

    test(
      "is removed: nothing of it is left but configuration, data and the user",
      async () => {
        const was = await state();
        expect(installed.length).toBeGreaterThan(10);
        await type(remove);
        expect(await state()).toBe(was);
        const left = (await ours()).filter((path) => !path.startsWith(`${STATE}/`));
        expect(left).toEqual(["/etc/inboxbell", CONFIG, STATE]);
        expect(await shell(`ls ${STATE}`)).toContain("inboxbell.db");
        expect(await shell("id -un inboxbell")).toBe("inboxbell");
        expect(await unit("LoadState")).toBe("not-found");
      },
      LONG_MS,
    );

    test(
      "is purged: configuration, keys and database are gone",
      async () => {
        await type(purge);
        expect(await ours()).toEqual([]);
        const after = new Set(await standing());
        expect(before.filter((line) => !after.has(line))).toEqual([]);
      },
      LONG_MS,
    );
  },
);
