// The executables in the packages: each is the one that was built, to the byte, and works on its machine, with the SQLite
// addon of that machine.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import packageJson from "../../../package.json" with { type: "json" };
import { APPLICATION_ID, MIGRATIONS } from "../../../src/store/migrations.ts";
import { freshDirectory, run } from "../helpers.ts";
import { allPackages, canPackage, missing, packageFile, tool } from "./packages.ts";

const BUILD_MS = 400_000;
const EMULATED_MS = 180_000;
const BILL = "usr/share/doc/inboxbell/inboxbell.cdx.json";
const CROSS = "/usr/aarch64-linux-gnu";
const isX64 = process.arch === "x64";

/** Each package's end of name, and the command that unpacks it into `$2`. */
const PACKAGES = [
  ["_amd64.deb", 'dpkg-deb -x "$1" "$2"'],
  ["_arm64.deb", 'dpkg-deb -x "$1" "$2"'],
  [".x86_64.rpm", 'rpm2archive - < "$1" | tar -xz -C "$2"'],
  [".aarch64.rpm", 'rpm2archive - < "$1" | tar -xz -C "$2"'],
  ["-linux-x64.tar.gz", 'tar -xzf "$1" -C "$2" --strip-components=1'],
  ["-linux-arm64.tar.gz", 'tar -xzf "$1" -C "$2" --strip-components=1'],
] as const;

/** The machine that an ELF file is for, by e_machine of its header (System V ABI): 62 is x86-64, 183 is AArch64. */
function machineOf(executable: string): number {
  return readFileSync(executable).readUInt16LE(18);
}

describe.skipIf(!canPackage || missing("rpm2archive").length > 0)(
  "the executable in a package (needs dpkg-deb, rpmbuild, rpm2archive and git)",
  () => {
    const directory = freshDirectory("executables");
    const at = (...names: readonly string[]) => join(directory.path, ...names);
    const unpacked = (end: string) => at(end);
    beforeAll(async () => {
      const out = await allPackages();
      for (const [end, unpack] of PACKAGES) {
        mkdirSync(unpacked(end));
        await tool(["sh", "-ec", unpack, "sh", packageFile(out, end), unpacked(end)]);
      }
      // A database of the first schema, so that there is something to do.
      mkdirSync(at("tmp"), { mode: 0o700 });
      const database = new Database(at("inboxbell.db"));
      database.exec(MIGRATIONS[0]!.sql);
      database.pragma(`application_id = ${APPLICATION_ID}`);
      database.pragma("user_version = 1");
      database.close();
      writeFileSync(at("inboxbell.yaml"), `store: { path: ${at("inboxbell.db")} }\n`);
    }, BUILD_MS);
    afterAll(() => directory.remove());

    test.each(PACKAGES)("is in %s the one that was built, to the byte", async (end) => {
      const executable = join(unpacked(end), "usr/bin/inboxbell");
      const bill = JSON.parse(readFileSync(join(unpacked(end), BILL), "utf8"));
      const [hash] = bill.metadata.component.hashes;
      expect([hash.alg, hash.content]).toEqual([
        "SHA-256",
        (await tool(["sha256sum", executable])).split(" ")[0],
      ]);
      expect(machineOf(executable)).toBe(/x86_64|amd64|x64/.test(end) ? 62 : 183);
    });

    /** Runs what only works with the addon, on a copy of a database that it opens, examines and migrates. */
    async function migrates(command: readonly string[]): Promise<void> {
      const said = await run(
        [...command, "migrate", "--dry-run", "--json", "--config", at("inboxbell.yaml")],
        {
          temporary: at("tmp"),
          limitMs: EMULATED_MS,
        },
      );
      expect([said.code, said.err]).toEqual([0, ""]);
      expect(JSON.parse(said.out)).toMatchObject({
        from: 1,
        to: MIGRATIONS.length,
        rows: { registration: 0 },
      });
    }

    test.skipIf(!isX64)("opens a database on x86-64 (needs x86-64)", async () => {
      const executable = join(unpacked("-linux-x64.tar.gz"), "usr/bin/inboxbell");
      await migrates([executable]);
    });

    const lacks =
      missing("qemu-aarch64-static").length > 0 || !existsSync(join(CROSS, "lib", "libstdc++.so.6"));
    test.skipIf(lacks)(
      "starts and opens a database on arm64 (needs qemu-user-static, libc6-arm64-cross and libstdc++6-arm64-cross)",
      async () => {
        const executable = join(unpacked("_arm64.deb"), "usr/bin/inboxbell");
        const emulated = ["qemu-aarch64-static", "-L", CROSS, executable];
        const { code, out } = await run([...emulated, "version", "--json"], {
          temporary: at("tmp"),
          limitMs: EMULATED_MS,
        });
        expect(code).toBe(0);
        expect(JSON.parse(out)).toMatchObject({ version: packageJson.version, platform: "linux-arm64" });
        await migrates(emulated);
      },
      2 * EMULATED_MS,
    );
  },
);
