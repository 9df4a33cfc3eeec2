// The .rpm's scripts on a system that systemd has booted: Debian has no rpm of its own to run them, so this puts the files
// there by rpm and runs each script inside, in rpm's order and with rpm's numbers.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { run, until } from "../helpers.ts";
import { bootWithPackages, CONFIG, type Installed, setUp } from "./installed.ts";
import { canBoot } from "./machine.ts";
import { allPackages, canPackage, laterPackages, packageFile, tool } from "./packages.ts";

const LONG_MS = 180_000;
const BUILD_MS = 600_000;
type Script = "PREIN" | "POSTIN" | "PREUN" | "POSTUN";

let node: Installed;
let first: string;
let later: string;

/** Runs a script of a package. @param versions how many are installed once the step is over */
async function script(
  file: string,
  name: Script,
  versions: number,
): Promise<{ code: unknown; said: string }> {
  const text = await tool(["rpm", "-qp", "--qf", `%{${name}}`, file]);
  expect(text.length).toBeGreaterThan(20);
  const { code, out, err } = await node.machine.run(["/bin/sh", "-c", text, name, String(versions)], LONG_MS);
  return { code, said: out + err };
}
/** Has rpm do its part without the scripts. */
async function files(...options: readonly string[]): Promise<void> {
  const { code, err } = await run(
    ["rpm", `--root=${node.machine.root}`, "--force-debian", "--nodeps", "--noscripts", ...options],
    { limitMs: LONG_MS },
  );
  expect([options, code, err]).toEqual([options, 0, ""]);
}
/** As `rpm -U` does. */
async function upgrade(from: string, to: string): Promise<string> {
  const before = [await script(to, "PREIN", 2)];
  await files("-U", "--oldpackage", to);
  const after = [
    await script(to, "POSTIN", 2),
    await script(from, "PREUN", 1),
    await script(from, "POSTUN", 1),
  ];
  const all = [...before, ...after];
  expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  return all.map(({ said }) => said).join("");
}

describe.skipIf(!canBoot || !canPackage || process.arch !== "x64")(
  "the .rpm on a booted system (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    beforeAll(async () => {
      node = await bootWithPackages("rpm");
      first = packageFile(await allPackages(), ".x86_64.rpm");
      later = packageFile(await laterPackages(), ".x86_64.rpm");
    }, BUILD_MS);
    afterAll(async () => await node?.stop(), LONG_MS);

    test(
      "is installed: the user comes before the files, and nothing is enabled or started",
      async () => {
        expect(await script(first, "PREIN", 1)).toEqual({ code: 0, said: "" });
        await files("-i", first);
        const { code, said } = await script(first, "POSTIN", 1);
        expect([code, said]).toEqual([0, expect.stringContaining("Next: inboxbell setup")]);
        expect((await node.machine.run(["systemctl", "is-enabled", "inboxbell"])).out.trim()).toBe(
          "disabled",
        );
        expect(await node.shell(`stat -c '%a %U %G' ${CONFIG} /var/lib/inboxbell`)).toBe(
          "640 root inboxbell\n700 inboxbell inboxbell",
        );
      },
      LONG_MS,
    );

    test(
      "is upgraded: a running service is restarted once, a stopped one stays so",
      async () => {
        await setUp(node);
        await node.shell("systemctl enable --now inboxbell");
        const pid = await node.unit("MainPID");
        expect(await upgrade(first, later)).toBe("");
        expect(await node.unit("ActiveState")).toBe("active");
        expect(await node.unit("MainPID")).not.toBe(pid);
        const starts = "journalctl -u inboxbell -o cat --no-pager | grep -c '^Started inboxbell'";
        expect(await node.shell(starts)).toBe("2");
        await node.shell("systemctl stop inboxbell");
        expect(await upgrade(later, first)).toBe("");
        expect(await node.unit("ActiveState")).toBe("inactive");
      },
      LONG_MS,
    );

    test(
      "says when the service does not start with the new version, and starts one that systemd had given up on",
      async () => {
        await node.shell(
          `systemctl start inboxbell; cp -a ${CONFIG} /root/good.yaml; echo 'nonsense: 1' >> ${CONFIG}`,
        );
        expect(await upgrade(first, later)).toContain("Inboxbell does not start");
        await until(async () => (await node.unit("ActiveState")) === "failed", "systemd gives up", 90_000);
        await node.shell(`cat /root/good.yaml > ${CONFIG}`);
        expect(await upgrade(later, first)).toBe("");
        expect(await node.unit("ActiveState")).toBe("active");
      },
      LONG_MS,
    );

    test(
      "is removed: the service is stopped and disabled, its data stay",
      async () => {
        expect(await script(first, "PREUN", 0)).toEqual({ code: 0, said: "" });
        expect(await node.unit("ActiveState")).toBe("inactive");
        expect((await node.machine.run(["systemctl", "is-enabled", "inboxbell"])).out.trim()).toBe(
          "disabled",
        );
        const { code } = await run(
          [
            "rpm",
            `--root=${node.machine.root}`,
            "--force-debian",
            "--nodeps",
            "--noscripts",
            "-e",
            "inboxbell",
          ],
          { limitMs: LONG_MS },
        );
        expect(code).toBe(0);
        expect(await script(first, "POSTUN", 0)).toEqual({ code: 0, said: "" });
        expect(await node.unit("LoadState")).toBe("not-found");
        expect(await node.shell(`ls /var/lib/inboxbell/inboxbell.db ${CONFIG}.rpmsave`)).toBe(
          `${CONFIG}.rpmsave\n/var/lib/inboxbell/inboxbell.db`,
        );
      },
      LONG_MS,
    );
  },
);
