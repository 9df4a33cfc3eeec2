// The notices of what is embedded: the runtime's parts with their copyright lines and licences, and the npm packages.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { embeddedPackages } from "../../scripts/package/embedded.ts";
import { noticesText, partText, sharedTexts } from "../../scripts/package/notices.ts";
import { RUNTIME_PARTS, runtimeVersion } from "../../scripts/package/runtime-parts.ts";

const root = join(import.meta.dir, "..", "..");
const packages = await embeddedPackages(root);
const notices = noticesText(packages, root);
const shared = sharedTexts(root);

// At the beginning of a line: the licences themselves speak of copyright notices and holders.
const COPYRIGHT_LINE =
  /^[ \t]*(?:Portions )?(?:\(c\)|©|Authored by|Copyright(?! (?:notice|holder|owner|and permission|license)))[: ].*/im;
// What a licence begins to permit with; Apache-2.0, LGPL and their like permit in their shared texts.
const PERMISSIONS: Readonly<Record<string, string>> = {
  MIT: "Permission is hereby granted, free of charge",
  "BSD-2-Clause": "Redistribution and use in source and binary forms",
  "BSD-3-Clause": "Redistribution and use in source and binary forms",
  "CC0-1.0": "released to the public domain",
  ISC: "Permission to use, copy, modify, and/or distribute",
  Zlib: "This software is provided 'as-is'",
  IJG: "Permission is hereby granted to use, copy, modify, and distribute",
  blessing: "May you do good and not evil",
  "Unicode-3.0": "UNICODE LICENSE V3",
  "Artistic-2.0": "The Artistic License 2.0",
  "LLVM-exception": "LLVM Exceptions to the Apache 2.0 License",
  "GCC-exception-2.0": "gives you unlimited permission to link",
};

/** The names in an SPDX expression of which each has to be there; of those joined by OR one is enough. */
function alternatives(licence: string): readonly (readonly string[])[] {
  return licence.split(" AND ").flatMap((each) => {
    const [licences = "", exception] = each.split(" WITH ");
    return [licences.split(" OR "), ...(exception === undefined ? [] : [[exception]])];
  });
}

describe("the notices of the runtime", () => {
  test.each(RUNTIME_PARTS.map((part) => [part.name, part] as const))(
    "hold the copyright lines and the licence of %s",
    (_name, part) => {
      const text = partText(part, root);
      expect(notices).toContain(text);
      // A part without such a line says why.
      expect([part.unsigned, COPYRIGHT_LINE.test(text)]).toEqual([
        part.unsigned,
        part.unsigned === undefined,
      ]);
      for (const names of alternatives(part.licence)) {
        const found = names.filter((name) => {
          const isShared = shared.has(name.replace(/-(?:only|or-later)$/, ""));
          return isShared || text.includes(PERMISSIONS[name] ?? "a text that this test knows");
        });
        expect([part.licence, names, found.length > 0]).toEqual([part.licence, names, true]);
      }
    },
  );

  test("name where each text was taken from", () => {
    for (const part of RUNTIME_PARTS) expect(partText(part, root)).toMatch(/^Source: \S.*\n\n/);
  });

  test("are not made for a part without a text", () => {
    const part = { name: "unheard-of", licence: "MIT", source: "https://example.com/unheard-of" };
    expect(() => partText(part, root)).toThrow(
      "unheard-of.txt is missing: the licence of the runtime's unheard-of (MIT), from https://example.com/unheard-of.",
    );
  });

  test("hold the shared licences whole, and no text of what is not there", () => {
    expect([...shared.keys()]).toEqual(["Apache-2.0", "GPL-2.0", "LGPL-2.0", "LGPL-2.1", "MPL-2.0"]);
    for (const text of shared.values())
      expect([text.length > 10_000, notices.includes(text)]).toEqual([true, true]);
    const files = readdirSync(join(root, "scripts", "package", "licences"));
    const names = files.filter((file) => file.endsWith(".txt")).map((file) => file.slice(0, -".txt".length));
    expect(names.sort()).toEqual(RUNTIME_PARTS.map(({ name }) => name).sort());
  });

  test("know every library whose version the runtime tells", () => {
    // Versions of interfaces, of what it imitates and of what it was made with.
    const notLibraries = ["node", "openssl", "zig", "v8", "uv", "napi", "unicode", "typescript", "modules"];
    const known = new Set([...notLibraries, ...RUNTIME_PARTS.map(({ key }) => key)]);
    expect(Object.keys(process.versions).filter((key) => !known.has(key))).toEqual([]);
    expect(RUNTIME_PARTS.filter(({ key }) => key !== null && runtimeVersion(key) === null)).toEqual([]);
  });
});

test("the notices hold the licence files of every bundled npm package, to the letter", () => {
  for (const { name, version, licence, directory } of packages) {
    expect(notices).toContain(`\n${name} ${version} (${licence})\n`);
    const files = readdirSync(directory).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file));
    for (const file of files) {
      const text = readFileSync(join(directory, file), "utf8").trim();
      expect([name, file, notices.includes(text)]).toEqual([name, file, true]);
    }
  }
});

test("a package without a licence file is one that says who holds the copyright, or whose README has the text", () => {
  const bare = packages.filter(
    ({ directory }) => !readdirSync(directory).some((file) => /^(?:licen[cs]e|copying)/i.test(file)),
  );
  for (const { name, version, licence } of bare) {
    const [, text = ""] = notices.split(`\n${name} ${version} (${licence})\n`);
    const [, own = ""] = text.split(/^={78}$/m);
    expect([
      name,
      /copyright/i.test(own),
      own.includes(PERMISSIONS[licence] ?? "a text that this test knows"),
    ]).toEqual([name, true, true]);
  }
});
