// The delivered unit and drop-ins, read as text: every setting has its reason above it.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const directory = join(import.meta.dir, "..", "..", "systemd");
const dropIns = readdirSync(join(directory, "drop-ins")).map((name) => join("drop-ins", name));
const settings = /^#?[A-Z][A-Za-z]+=/;

describe("in the delivered units", () => {
  for (const file of ["inboxbell.service", ...dropIns]) {
    test(`every setting of ${file} has a reason above it, or above the examples of its kind`, () => {
      const lines = readFileSync(join(directory, file), "utf8").split("\n");
      const bare = lines.filter((line, index) => {
        if (!settings.test(line)) return false;
        const above = lines[index - 1] ?? "";
        const isFurtherExample = line.startsWith("#") && above.startsWith("#") && settings.test(above);
        return !above.startsWith("# ") && !isFurtherExample;
      });
      expect(bare).toEqual([]);
    });
  }
});
