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

describe("each finding", () => {
  const codes = Object.keys(FINDINGS);
  const named = (text: string) => codes.filter((code) => text.includes(`"${code}"`));
  /** Files of a directory, without what is below it. */
  const filesOf = (directory: string, isWanted: (name: string) => boolean) =>
    readdirSync(join(root, directory))
      .filter((name) => name.endsWith(".ts") && isWanted(name))
      .map((name) => ({ name, text: readFileSync(join(root, directory, name), "utf8") }));
  // Tests in which `doctor` looks at something real: this file and the pure judgements are none.
  const shown = [
    ...filesOf(
      "test/cli/doctor",
      (name) => name.endsWith(".test.ts") && !["document.test.ts", "judgements.test.ts"].includes(name),
    ),
    ...filesOf("test/system", (name) => /^doctor.*\.test\.ts$/.test(name)),
    ...filesOf("test/system/long", (name) => /^doctor.*\.test\.ts$/.test(name)),
  ];

  test("is made by a probe", () => {
    const probes = filesOf("src/cli/doctor", (name) => name !== "findings.ts").map(({ text }) => text);
    expect(named(probes.join("\n"))).toEqual(codes);
  });

  test("is shown by a test that makes it real and has `doctor` look", () => {
    expect(named(shown.map(({ text }) => text).join("\n"))).toEqual(codes);
    // A judgement of values that a test made up shows nothing.
    expect(shown.filter(({ text }) => /\bjudge[A-Z]/.test(text)).map(({ name }) => name)).toEqual([]);
  });
});

test("the script for Exchange says that it was not tried there, and quotes names so that they stay names", () => {
  const script = exchangeScript({ public: { exchangeUrl: "https://bell'$(x).test:9443" } } as Config);
  expect(script).toStartWith("# Checked against vendor documentation only.");
  expect(script).toContain("$url  = 'https://bell''$(x).test:9443'");
});
