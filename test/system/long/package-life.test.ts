// The .deb in hands that are not the usual ones: over a configuration that was there before, over a user with another
// number, under load, with a version that does not start, with links and mounts in its way, and without systemd.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { askRaw, freshDirectory, run, until } from "../helpers.ts";
import { canUnpackDebian, copyDebian } from "./debian-tree.ts";
import { bootWithPackages, CONFIG, type Installed, setUp } from "./installed.ts";
import { canBoot } from "./machine.ts";
import { allPackages, canPackage, packageFile } from "./packages.ts";

const LONG_MS = 180_000;
const BUILD_MS = 600_000;
const STATE = "/var/lib/inboxbell";
// What an administrator is told: "that second or two", on two shared cores. Milliseconds.
const LONGEST_GAP_MS = 10_000;
const QUIET = "DEBIAN_FRONTEND=noninteractive dpkg";
const isX64 = process.arch === "x64";

let node: Installed;
let phone: Phone;

const dpkg = async (...words: readonly string[]) => {
  const { code, out, err } = await node.machine.run(["dpkg", ...words], LONG_MS);
  return { code, said: out + err };
};
const stat = (...paths: readonly string[]) => node.shell(`stat -c '%a %U %G' ${paths.join(" ")}`);

async function rings(): Promise<void> {
  const before = phone.badge ?? 0;
  node.scene.exchange.mailbox(phone.mailbox).deliver();
  await until(
    () => phone.badge === before + 1,
    () => `the phone shows ${before + 1}; it shows ${phone.badge}`,
    60_000,
  );
}

/** A package like the second one whose program refuses to start, as /root/3.deb. */
async function brokenPackage(): Promise<void> {
  await node.shell(
    `dpkg-deb -R /root/2.deb /root/broken
     sed -i 's/^Version: .*/&.broken/' /root/broken/DEBIAN/control
     printf '#!/bin/sh\\necho refused: an old key >&2\\nexit 1\\n' > /root/broken/usr/bin/inboxbell
     dpkg-deb -Znone -b /root/broken /root/3.deb
     rm -r /root/broken`,
  );
}

describe.skipIf(!canBoot || !canPackage || !isX64)(
  "the .deb (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    beforeAll(async () => {
      node = await bootWithPackages("life");
    }, BUILD_MS);
    afterAll(async () => await node?.stop(), LONG_MS);

    test("keeps a configuration that was there before, and closes it to others", async () => {
      await node.shell(
        `mkdir -m 777 /etc/inboxbell; echo '# mine' > ${CONFIG}; chmod 666 ${CONFIG}
         groupadd -g 5555 inboxbell; useradd -u 4444 -g 5555 -d /nowhere -s /usr/sbin/nologin inboxbell
         ${QUIET} --force-confold -i /root/1.deb < /dev/null`,
      );
      expect(await node.shell(`cat ${CONFIG}`)).toBe("# mine");
      expect(await stat("/etc/inboxbell", CONFIG, STATE)).toBe(
        "750 root inboxbell\n640 root inboxbell\n700 inboxbell inboxbell",
      );
    }, 60_000);

    test("uses a user and a group of its name that were there before, as they are", async () => {
      expect(await node.shell("id -u inboxbell; id -g inboxbell")).toBe("4444\n5555");
      expect(await node.shell("getent passwd inboxbell")).toEndWith(":/nowhere:/usr/sbin/nologin");
    });

    test("is purged, and installed twice, and says once what is next", async () => {
      expect((await dpkg("-P", "inboxbell")).code).toBe(0);
      const [first, second] = [await dpkg("-i", "/root/1.deb"), await dpkg("-i", "/root/1.deb")];
      expect([first.code, second.code]).toEqual([0, 0]);
      expect(first.said).toContain("Next: inboxbell setup");
      expect(second.said).not.toContain("Next:");
      await setUp(node);
      await node.shell("systemctl enable --now inboxbell");
      phone = node.scene.addPhone({ platform: "apns", mailbox: "anna" });
      await phone.enrol();
      await rings();
    }, 60_000);

    test(
      "is upgraded under load: one restart, and no request waits longer than for that",
      async () => {
        const { scene, unit, shell } = node;
        const { ports, ca } = scene.props;
        const pid = await unit("MainPID");
        let loading = true;
        let answered = performance.now();
        let gapMs = 0;
        const load = Array.from({ length: 3 }, async () => {
          while (loading) {
            const answer = await askRaw(
              ports.exchange,
              ca,
              "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            ).catch(() => "");
            if (answer.startsWith("HTTP/1.1 200 ")) {
              const now = performance.now();
              gapMs = Math.max(gapMs, now - answered);
              answered = now;
            } else await Bun.sleep(20);
          }
        });
        const before = phone.badge ?? 0;
        const upgraded = dpkg("-i", "/root/2.deb");
        let delivered = 0;
        let isOver = false;
        void upgraded.then(() => {
          isOver = true;
        });
        while (!isOver) {
          scene.exchange.mailbox(phone.mailbox).deliver();
          delivered += 1;
          await Bun.sleep(200);
        }
        expect((await upgraded).code).toBe(0);
        await until(
          () => phone.badge === before + delivered,
          () => `the phone shows ${before + delivered}; it shows ${phone.badge}`,
          60_000,
        );
        loading = false;
        await Promise.all(load);
        expect(await unit("MainPID")).not.toBe(pid);
        expect(await unit("NRestarts")).toBe("0");
        // Of the whole journal: the first start, and this one.
        expect(await shell("journalctl -u inboxbell -o cat --no-pager | grep -c '^Started inboxbell'")).toBe(
          "2",
        );
        expect(gapMs).toBeLessThan(LONGEST_GAP_MS);
      },
      LONG_MS,
    );

    test(
      "with a version that does not start is installed all the same, says so, and lets the former one take its place again",
      async () => {
        await brokenPackage();
        const broken = await dpkg("-i", "/root/3.deb");
        expect([broken.code, broken.said]).toEqual([0, expect.stringContaining("Inboxbell does not start")]);
        const [guide] = /\/usr\/share\S+\.md/.exec(broken.said) ?? [""];
        expect(existsSync(join(node.machine.root, guide))).toBe(true);
        expect(await node.unit("ActiveState")).not.toBe("active");
        await until(async () => (await node.unit("ActiveState")) === "failed", "systemd gives up", 90_000);
        expect((await dpkg("-i", "/root/2.deb")).said).not.toContain("does not start");
        expect(await node.unit("ActiveState")).toBe("active");
        await rings();
      },
      LONG_MS,
    );

    test("follows no link that the service's user has made, neither in an upgrade nor in a purge", async () => {
      const byService = (script: string) =>
        node.machine.must("runuser", "-u", "inboxbell", "--", "sh", "-c", script);
      await node.shell("mkdir -m 755 /srv/others; touch /srv/others/file; chmod 644 /srv/others/file");
      await byService(
        `ln -s /srv/others ${STATE}/directory; ln -s /srv/others/file ${STATE}/keys.json.1.new`,
      );
      expect((await dpkg("-i", "/root/2.deb")).code).toBe(0);
      expect((await dpkg("-r", "inboxbell")).code).toBe(0);
      expect(await stat("/srv/others", "/srv/others/file")).toBe("755 root root\n644 root root");
      expect((await dpkg("-P", "inboxbell")).code).toBe(0);
      expect(await node.shell(`test -e ${STATE} || echo gone`)).toBe("gone");
      expect(await stat("/srv/others", "/srv/others/file")).toBe("755 root root\n644 root root");
    }, 60_000);

    test("is removed and purged after somebody has deleted its files by hand", async () => {
      expect((await dpkg("-i", "/root/1.deb")).code).toBe(0);
      await node.shell(
        `rm -rf /etc/inboxbell ${STATE} /usr/bin/inboxbell /lib/systemd/system/inboxbell.service /usr/lib/sysusers.d/inboxbell.conf`,
      );
      expect((await dpkg("-r", "inboxbell")).code).toBe(0);
      expect((await dpkg("-P", "inboxbell")).code).toBe(0);
      expect((await node.machine.run(["dpkg", "-s", "inboxbell"])).code).not.toBe(0);
    }, 60_000);

    test("is purged where the database has a disk of its own, which stays, empty", async () => {
      await node.shell(`mkdir ${STATE}; mount -t tmpfs none ${STATE}`);
      expect((await dpkg("-i", "/root/1.deb")).code).toBe(0);
      await node.shell(`touch ${STATE}/inboxbell.db ${STATE}/.hidden`);
      const purged = await dpkg("-P", "inboxbell");
      expect([purged.code, purged.said]).toEqual([0, expect.not.stringContaining("cannot be deleted")]);
      expect(await node.shell(`ls -A ${STATE}; umount ${STATE}; rmdir ${STATE}`)).toBe("");
    }, 60_000);

    test("is purged where the database's directory is a link: what it leads to is kept and named", async () => {
      await node.shell(`mkdir -p /srv/data/bell; ln -s /srv/data/bell ${STATE}`);
      expect((await dpkg("-i", "/root/1.deb")).code).toBe(0);
      await node.shell("touch /srv/data/bell/inboxbell.db");
      const purged = await dpkg("-P", "inboxbell");
      expect([purged.code, purged.said]).toEqual([
        0,
        expect.stringContaining("/srv/data/bell, which is kept"),
      ]);
      expect(await node.shell(`ls /srv/data/bell; test -L ${STATE} || echo gone`)).toBe("inboxbell.db\ngone");
    }, 60_000);
  },
);

describe.skipIf(!canUnpackDebian || !canPackage || !isX64)(
  "the .deb in a directory tree that no systemd runs in (needs root, x86-64, debootstrap and rpmbuild)",
  () => {
    const directory = freshDirectory("tree");
    const tree = join(directory.path, "tree");
    const inside = (...command: readonly string[]) =>
      run(
        [
          "chroot",
          tree,
          "env",
          "-i",
          "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
          "DEBIAN_FRONTEND=noninteractive",
          ...command,
        ],
        {
          limitMs: LONG_MS,
        },
      );
    beforeAll(async () => {
      await copyDebian(tree);
      mkdirSync(join(tree, "root"), { recursive: true });
      copyFileSync(packageFile(await allPackages(), "_amd64.deb"), join(tree, "root", "1.deb"));
    }, BUILD_MS);
    afterAll(() => directory.remove());

    test(
      "installs without asking or complaining, with user and modes as they have to be",
      async () => {
        const { code, out, err } = await inside("dpkg", "-i", "/root/1.deb");
        expect([code, out]).toEqual([0, expect.stringContaining("Next: inboxbell setup")]);
        expect(err).not.toMatch(/fail|error|cannot|not found/i);
        const modes = await inside("stat", "-c", "%a %U %G", "/etc/inboxbell", CONFIG, STATE);
        expect(modes.out).toBe("750 root inboxbell\n640 root inboxbell\n700 inboxbell inboxbell\n");
      },
      LONG_MS,
    );

    test(
      "is upgraded, removed with everything kept, and purged with everything gone",
      async () => {
        expect((await inside("dpkg", "-i", "/root/1.deb")).code).toBe(0);
        writeFileSync(join(tree, STATE, "inboxbell.db"), "");
        expect((await inside("dpkg", "-r", "inboxbell")).code).toBe(0);
        expect(existsSync(join(tree, STATE, "inboxbell.db"))).toBe(true);
        expect((await inside("dpkg", "-P", "inboxbell")).code).toBe(0);
        expect([existsSync(join(tree, STATE)), existsSync(join(tree, "etc/inboxbell"))]).toEqual([
          false,
          false,
        ]);
        expect(readFileSync(join(tree, "etc/passwd"), "utf8")).toContain("inboxbell:");
      },
      LONG_MS,
    );
  },
);
