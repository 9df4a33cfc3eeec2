// What the executable asks of a machine's libraries, read from what is loaded there, is what the packages demand.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { GLIBC, LIBSTDCXX } from "../../scripts/package/facts.ts";
import { CATALOGUE } from "../../src/errors.ts";
import { toStoreError } from "../../src/store/database.ts";
import { freshDirectory } from "../system/helpers.ts";

const root = join(import.meta.dir, "..", "..");
const ADDONS = join(root, "node_modules", "better-sqlite3", "prebuilds");

/** The newest version of a library's symbols that a shared object names. */
function newest(file: string, library: string): string | undefined {
  const names = readFileSync(file, "latin1").matchAll(
    new RegExp(`\\0${library}_([0-9]+(?:\\.[0-9]+)+)(?=\\0)`, "g"),
  );
  const versions = [...names].map(([, version = ""]) => version);
  return versions.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
}

test.each(["linux-x64.node", "linux-arm64.node"])("the packages demand what %s is loaded with", (addon) => {
  const file = join(ADDONS, addon);
  expect([newest(file, "GLIBC"), newest(file, "GLIBCXX")]).toEqual([GLIBC, LIBSTDCXX.symbols]);
});

test("the runtime itself asks for no newer C library", () => {
  const runtime = newest(join(root, "node_modules", "bun", "bin", "bun.exe"), "GLIBC") ?? "";
  expect(runtime).toMatch(/^2\.[0-9]+$/);
  expect(Number(runtime.slice(2))).toBeLessThanOrEqual(Number(GLIBC.slice(2)));
});

test("a database engine that cannot be loaded is told as what it is, with the systems that work", async () => {
  const directory = freshDirectory("addon");
  try {
    const file = join(directory.path, "addon.node");
    await Bun.write(file, "no shared object");
    let thrown: unknown;
    try {
      process.dlopen({ exports: {} }, file);
    } catch (error) {
      thrown = error;
    }
    expect(toStoreError(thrown, "/var/lib/inboxbell/inboxbell.db")).toMatchObject({
      code: "system_libraries",
    });
    expect(CATALOGUE.system_libraries.remedy).toContain(`glibc ${GLIBC}`);
    expect(CATALOGUE.system_libraries.remedy).toContain(`GCC ${LIBSTDCXX.gcc}`);
  } finally {
    directory.remove();
  }
});
