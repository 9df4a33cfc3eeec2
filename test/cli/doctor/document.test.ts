// docs/troubleshooting.md against the catalogue of what `doctor` can find.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { exchangeScript } from "../../../src/cli/doctor/exchange-script.ts";
import { FINDINGS } from "../../../src/cli/doctor/findings.ts";
import type { Config } from "../../../src/config/types.ts";

const root = join(import.meta.dir, "..", "..", "..");
const page = readFileSync(join(root, "docs", "troubleshooting.md"), "utf8");
const [head = "", table = ""] = page.split("## What `doctor` can find");

describe("docs/troubleshooting.md", () => {
  test("has each finding with its hop, level, meaning and remedy, and no other", () => {
    const rows = Object.entries(FINDINGS).map(
      ([code, { hop, level, cause, remedy }]) => `| \`${code}\` | ${hop} | ${level} | ${cause} | ${remedy} |`,
    );
    const told = table.split("\n").filter((line) => line.startsWith("| `"));
    expect(told).toEqual(rows);
  });

  test("names only findings that there are among the causes of symptoms", () => {
    const causes = [...head.matchAll(/`([a-z]+(?:_[a-z0-9]+)+)`/g)].map(([, code = ""]) => code);
    expect(causes.length).toBeGreaterThan(20);
    expect(causes.filter((code) => !Object.hasOwn(FINDINGS, code))).toEqual([]);
  });
});

test("each finding is made by a probe and shown by a test", () => {
  const textOf = (directory: string) =>
    readdirSync(join(root, directory))
      .filter((name) => name.endsWith(".ts") && name !== "findings.ts" && name !== "document.test.ts")
      .map((name) => readFileSync(join(root, directory, name), "utf8"))
      .join("\n");
  const [probes, tests] = [textOf("src/cli/doctor"), textOf("test/cli/doctor")];
  const codes = Object.keys(FINDINGS);
  expect(codes.filter((code) => !probes.includes(`"${code}"`))).toEqual([]);
  expect(codes.filter((code) => !tests.includes(`"${code}"`))).toEqual([]);
});

test("the script for Exchange says that it was not tried there, and quotes names so that they stay names", () => {
  const script = exchangeScript({ public: { exchangeUrl: "https://bell'$(x).test:9443" } } as Config);
  expect(script).toStartWith("# Checked against vendor documentation only.");
  expect(script).toContain("$url  = 'https://bell''$(x).test:9443'");
});
