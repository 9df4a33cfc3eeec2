// The shell commands of the documents that take two nodes, typed as they are written into two booted Debians.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../../src/rehearsal/stage/props.ts";
import { until } from "../helpers.ts";
import { bootWithPackages, CONFIG, type Installed, setUp } from "./installed.ts";
import { canBoot } from "./machine.ts";
import { canPackage } from "./packages.ts";
import { standInForSudo, typedPages } from "./typed-pages.ts";

const LONG_MS = 180_000;
const BUILD_MS = 600_000;
const PAIR_SECTIONS = ["docs/high-availability.md, Joining two nodes", "docs/upgrade.md, A pair"];
const [JOINING = "", UPGRADE = ""] = PAIR_SECTIONS;

describe.skipIf(!canBoot || !canPackage || process.arch !== "x64")(
  "commands of the documents on two booted Debians (needs root, x86-64, debootstrap, systemd-nspawn and rpmbuild)",
  () => {
    const { next, type, replace, useless, left } = typedPages();
    let a: Installed;
    let b: Installed;

    beforeAll(async () => {
      const ports = await freePorts();
      a = await bootWithPackages("first");
      b = await bootWithPackages("second");
      // The two machines share one network and one host name, and nobody sits at their terminals.
      replace([
        [
          "pair invite",
          `pair invite --address 127.0.0.1:${ports.registration} > /root/invited 2>&1 < /dev/null & sleep 0.1`,
        ],
        ["pair join", `pair join - --yes --node bell-b --address 127.0.0.1:${ports.exchange} < /root/code`],
      ]);
      for (const each of [a, b]) {
        standInForSudo(each.machine);
        await each.machine.must("dpkg", "-i", "/root/1.deb");
        await setUp(each);
      }
      await a.shell(`sed -i '1i node: bell-a' ${CONFIG}; systemctl enable --now inboxbell`);
    }, BUILD_MS);
    afterAll(async () => {
      await a?.stop();
      await b?.stop();
    }, LONG_MS);

    test(
      "high-availability.md, Joining two nodes: one invites, the other joins, and both are started again",
      async () => {
        const invited = () => a.shell("cat /root/invited");
        await type(a.machine, "/root", next(JOINING));
        await until(async () => (await invited()).includes("Waiting."), "the first node waits");
        const [code = ""] = /^[0-9A-Z]{5}-[0-9A-Z-]+$/m.exec(await invited()) ?? [];
        writeFileSync(join(b.machine.root, "root/code"), `${code}\n`, { mode: 0o600 });
        expect(await type(b.machine, "/root", next(JOINING))).toContain("bell-b has joined bell-a.");
        for (const each of [a, b]) await each.shell("systemctl restart inboxbell");
      },
      LONG_MS,
    );

    test(
      "upgrade.md, A pair: waiting ends once the pair is protected",
      async () => {
        await type(a.machine, "/root", next(UPGRADE));
        expect(await b.shell("inboxbell pair status")).toStartWith("PROTECTED");
      },
      LONG_MS,
    );

    test("leave none of theirs out, and nothing is replaced that no page has", () => {
      expect(left().filter((section) => PAIR_SECTIONS.includes(section))).toEqual([]);
      expect(useless()).toEqual([]);
    });
  },
);
