// A service that cannot start: systemd tries as often as the unit says, gives up, and shows why; after the repair the two
// commands of the documents bring it back.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../helpers.ts";
import { bootWithPackages, CONFIG, type Installed, setUp } from "./installed.ts";
import { canBoot } from "./machine.ts";
import { canPackage } from "./packages.ts";

// Five starts with 5 s between, and what each takes.
const GIVES_UP_MS = 90_000;
const LONG_MS = 180_000;
const BUILD_MS = 600_000;
const DATABASE = "/var/lib/inboxbell/inboxbell.db";

let node: Installed;

/** Starts a service that cannot, and waits until systemd gives up. @returns how often it was started */
async function givesUp(): Promise<number> {
  const { machine, unit, journal } = node;
  const cursor = await machine.must(
    "journalctl",
    "--unit=inboxbell",
    "--lines=0",
    "--show-cursor",
    "--quiet",
  );
  const after = cursor.replace("-- cursor: ", "");
  expect((await machine.run(["systemctl", "restart", "inboxbell"])).code).not.toBe(0);
  // It is not the first failure that ends it.
  expect(await unit("ActiveState")).not.toBe("failed");
  await until(
    async () => (await unit("ActiveState")) === "failed",
    () => "systemd gives up",
    GIVES_UP_MS,
  );
  // And it stays so: a further start would come after 5 s.
  await Bun.sleep(8_000);
  expect([await unit("ActiveState"), await unit("SubState")]).toEqual(["failed", "failed"]);
  expect(await journal()).toContain("Start request repeated too quickly.");
  const since = await machine.must(
    ...["journalctl", "--no-pager", "--output=cat", "--unit=inboxbell", `--after-cursor=${after}`],
  );
  return since.match(/^Starting inboxbell\.service/gm)?.length ?? 0;
}

/** `systemctl status`, whose exit code is 3 for a unit that does not run. */
async function status(): Promise<string> {
  const { code, out } = await node.machine.run(["systemctl", "status", "--no-pager", "--full", "inboxbell"]);
  expect(code).toBe(3);
  return out;
}

async function comesBack(): Promise<void> {
  const { shell, unit } = node;
  await shell("systemctl reset-failed inboxbell; systemctl start inboxbell");
  expect([await unit("ActiveState"), await unit("StatusText")]).toEqual(["active", "Role active, ready"]);
  await shell("systemctl reset-failed inboxbell; systemctl stop inboxbell");
}

describe.skipIf(!canBoot || !canPackage || process.arch !== "x64")(
  "a service that cannot start (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    beforeAll(async () => {
      node = await bootWithPackages("limit");
      await node.machine.must("dpkg", "-i", "/root/1.deb");
      await setUp(node);
      await node.shell(
        `systemctl enable --now inboxbell; cp -a ${CONFIG} /root/good.yaml; systemctl stop inboxbell`,
      );
    }, BUILD_MS);
    afterAll(async () => await node?.stop(), LONG_MS);

    test(
      "because of its configuration is tried five times, then left alone, with the line and column in its status",
      async () => {
        const { shell, machine } = node;
        await shell(`systemctl reset-failed inboxbell; echo 'nonsense: 1' >> ${CONFIG}`);
        const line = await shell(`wc -l < ${CONFIG}`);
        expect(await givesUp()).toBe(5);
        const problem = `Not started: ${CONFIG} has 1 problem: ${CONFIG}:${line}:1: nonsense: unknown key`;
        expect(await status()).toContain(`Status: "${problem}"`);
        // Repaired, but systemd still refuses.
        await shell(`cat /root/good.yaml > ${CONFIG}`);
        expect((await machine.run(["systemctl", "start", "inboxbell"])).code).not.toBe(0);
        await comesBack();
      },
      LONG_MS,
    );

    test(
      "because its database is another program's says so, leaves the file as it is, and comes back with its own",
      async () => {
        const { shell } = node;
        await shell(
          `mv ${DATABASE} /root/own.db
           printf 'not a database, but notes of somebody\\n' > ${DATABASE}; chown inboxbell: ${DATABASE}
           cp -a ${DATABASE} /root/notes`,
        );
        expect(await givesUp()).toBe(5);
        expect(await status()).toContain(`Status: "Not started: `);
        expect(await status()).toContain(DATABASE);
        expect(await shell(`cmp ${DATABASE} /root/notes && echo same`)).toBe("same");
        await shell(`mv /root/own.db ${DATABASE}`);
        await comesBack();
      },
      LONG_MS,
    );

    test(
      "is started by an upgrade, since the new version may be the repair; one that was stopped is not",
      async () => {
        const { shell, unit, machine } = node;
        await shell(`echo 'nonsense: 1' >> ${CONFIG}`);
        await givesUp();
        await shell(`cat /root/good.yaml > ${CONFIG}`);
        await machine.must("dpkg", "-i", "/root/2.deb");
        expect(await unit("ActiveState")).toBe("active");
        await shell("systemctl stop inboxbell");
        await machine.must("dpkg", "-i", "/root/1.deb");
        expect(await unit("ActiveState")).toBe("inactive");
      },
      LONG_MS,
    );
  },
);
