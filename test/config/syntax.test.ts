// YAML that cannot be read, and YAML that is meant to harm.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { loadConfig, readConfigText } from "../../src/config/load.ts";
import { GOOD, problemsOf, read, refusal } from "./helpers.ts";

describe("a file that is not YAML", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    [
      "a key that is there twice",
      "node: a\nnode: b\n",
      '2:1: the key "node" is there twice, first in line 1',
    ],
    [
      "a key that is there twice within a section",
      "node: a\nlog:\n  level: info\n  format: json\n  level: warn\n",
      '5:3: the key "level" is there twice, first in line 3',
    ],
    [
      "a tab as indentation",
      "listen:\n\tadmin: {}\n",
      "2:1: a tab is used for indentation; YAML allows spaces only",
    ],
    [
      "a second document",
      "node: a\n---\nnode: b\n",
      "2:1: a second document starts here (---); the configuration is one document",
    ],
    [
      "a bracket that is not closed",
      "apps: [\n",
      "2:1: the indentation does not fit the lines above, or a bracket is not closed",
    ],
    ["a quote that is not closed", "node: 'a\n", "2:1: a quote, colon, comma, bracket or brace is missing"],
    ["an unknown tag", "node: !secret a\n", "1:7: an unknown YAML tag (!name); the configuration uses none"],
    ["an empty file", "# nothing\n", "1:1: the file is empty"],
    ["an alias without anchor", "node: *base\n", "1:7: no anchor of this name stands before the alias"],
    ["deep nesting", "[".repeat(50_000), "nested too deeply"],
  ];
  for (const [name, text, expected] of cases) {
    test(`${name} is told with its place`, () => {
      expect(problemsOf(text).join("\n")).toContain(expected);
    });
  }

  test("bytes that are not UTF-8 are told as such", () => {
    const { problems } = readConfigText(Buffer.from([0x6e, 0x3a, 0x20, 0xff, 0xfe]), "i.yaml", {});
    expect(problems.map((one) => one.message)).toEqual(["expected a text file in UTF-8"]);
  });

  test("a pasted secret in a broken line is not repeated", () => {
    const text = "node: a\n]hunter2hunter2 'swordfish\n";
    const report = problemsOf(text).join("\n");
    expect(report).not.toBe("");
    expect(report).not.toContain("hunter2");
    expect(report).not.toContain("swordfish");
  });
});

describe("anchors", () => {
  const shared = GOOD.replace(/tls: \{ [^}]+\}/g, "tls: *tls");

  test("values under keys starting x- can be used by alias and by merge key", () => {
    const anchored = `x-tls: &tls { certificate: a.pem, key: a.key }\n${shared}`;
    expect(problemsOf(anchored)).toEqual([]);
    const merged = `x-tls: &tls { certificate: a.pem, key: a.key }\n${shared.replace("tls: *tls", "tls: { <<: *tls, key: b.key }")}`;
    const tls = read(merged).config?.listen.registration.tls;
    expect(tls).toEqual({ certificate: "/etc/inboxbell/a.pem", key: "/etc/inboxbell/b.key" });
  });

  test("an alias that contains itself ends in an error", () => {
    expect(problemsOf("x-a: &a [*a]\n").join("\n")).toContain("an alias contains itself");
  });

  test("a bomb of aliases ends in an error, quickly and briefly", () => {
    const levels = ["x-0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 12; level += 1) {
      levels.push(
        `x-${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(", ")}]`,
      );
    }
    const started = performance.now();
    const report = problemsOf(levels.join("\n"));
    expect(report.join("\n")).toContain("more than 100 aliases have to be followed");
    expect(report.length).toBeLessThan(30);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe("a file that cannot be opened", () => {
  test("is named, with the reason", () => {
    expect(refusal(() => loadConfig("/nowhere/inboxbell.yaml", {}))).toEqual({
      code: "config_unreadable",
      message:
        "/nowhere/inboxbell.yaml: there is no such file; run `inboxbell setup`, which writes one, or name another file with --config",
    });
    expect(refusal(() => loadConfig("/tmp", {})).message).toContain("it is a directory");
    // Would never end, or never begin.
    expect(refusal(() => loadConfig("/dev/zero", {})).message).toContain("not a regular file");
  });

  test("is not waited for where it is a named pipe", () => {
    const directory = mkdtempSync(join(tmpdir(), "ib-pipe-"));
    const pipe = join(directory, "inboxbell.yaml");
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    expect(refusal(() => loadConfig(pipe, {})).message).toContain("not a regular file");
    rmSync(directory, { recursive: true });
  });
});

describe("junk", () => {
  // Pieces of YAML and of the configuration, so that junk often reaches the schema and the rules.
  const piece = fc.constantFrom(
    ..."{}[]:,-#&*!|>'\"%@`?\n\t ".split(""),
    ...[
      "\n  ",
      "\n- ",
      "- ",
      ": ",
      "<<: *a",
      "&a ",
      "*a",
      "---\n",
      "...\n",
      "!!binary ",
      "!!set ",
      "~",
      "off",
      "null",
    ],
    ...["listen:", "exchange:", "apps:", "apns:", "tls:", "port: 1", "__proto__:", "constructor: ", "x-a: "],
    ...["public:", "registration_auth:", "type: oidc", "1e400", ".nan", "0x10", "2001-01-01", "\ufeff", "\0"],
  );
  const junk = fc.oneof(
    fc.array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 60 }).map((parts) => parts.join("")),
    fc.jsonValue().map((value) => JSON.stringify(value)),
    fc.tuple(fc.nat(GOOD.length), piece).map(([at, text]) => GOOD.slice(0, at) + text + GOOD.slice(at + 1)),
  );

  test("never throws anything and always says where", () => {
    fc.assert(
      fc.property(junk, (text) => {
        const { config, problems } = read(text);
        expect(config === null).toBe(problems.length > 0);
        for (const { line, column, message } of problems) {
          expect(line ?? 0).toBeGreaterThan(0);
          expect(column ?? 0).toBeGreaterThan(0);
          expect(message).not.toBe("");
        }
      }),
      { numRuns: 1500 },
    );
  });

  test("of random bytes never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(readConfigText(bytes, "i.yaml", {}).problems.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  test("a good file whose values are replaced by other values is refused or means the same again", () => {
    const lines = GOOD.split("\n");
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("off", "0s", "::", "a", "~", "1.5"),
    );
    fc.assert(
      fc.property(fc.nat(lines.length - 1), value, (at, replacement) => {
        const text = lines
          .map((line, index) =>
            index === at ? line.replace(/:.*/, `: ${JSON.stringify(replacement)}`) : line,
          )
          .join("\n");
        const { config, problems } = read(text);
        expect(config === null).toBe(problems.length > 0);
      }),
      { numRuns: 500 },
    );
  });
});
