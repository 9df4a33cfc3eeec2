import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generatedFiles } from "../../scripts/generate.ts";
import { BellError, CATALOGUE, type ErrorCode } from "../../src/errors.ts";

const root = join(import.meta.dir, "..", "..");

describe("generated files", () => {
  for (const [file, contents] of Object.entries(generatedFiles())) {
    test(`${file} is what npm run generate makes`, () => {
      expect(readFileSync(join(root, file), "utf8")).toBe(contents);
    });
  }
});

test("every error of the catalogue has a sentence, a remedy and a place in docs/errors.md", () => {
  const page = readFileSync(join(root, "docs", "errors.md"), "utf8");
  for (const [code, entry] of Object.entries(CATALOGUE)) {
    expect(code).toMatch(/^[a-z_]+$/);
    expect(entry.text).toMatch(/^[A-Z].*\.$/s);
    expect(entry.remedy).toMatch(/\.$/);
    expect(page).toContain(`\n### ${code}\n`);
    const error = new BellError(code as ErrorCode);
    expect(error.message).toBe(entry.text);
    expect(error.status).toBe("status" in entry ? entry.status : 500);
  }
});
