// Inputs that fuzzing found worth keeping (npm run fuzz), each of which reaches something that no other does: every one
// still keeps every property of its target, and is still quick, also with a piece of it repeated up to the limit.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { seededPick, swell } from "../fuzz/mutate.ts";
import { readingMs, type Target } from "../fuzz/target.ts";
import { TARGETS } from "../fuzz/targets.ts";

const root = join(import.meta.dir, "..", "fuzz", "corpus");
// Any machine that runs tests reads an input of a few kilobytes within this, were it the slowest.
const SHORT_MS = 20;

const REACHES: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  notification: [
    ..."empty utf16 not_utf8 doctype not_well_formed too_deep too_many_attributes wrong_shape subscription_id"
      .split(" ")
      .map((why) => `malformed ${why}`),
    /^error /,
    /^events /,
    /unreadCount/,
    "newMail item",
    "other null",
  ],
  request: [/true 4\d\d /, /null true true/, /^POST 1 .* -1$/, /505/, /501/, /417/, /411/],
};

function corpusOf(target: Target) {
  const folder = join(root, target.name);
  return readdirSync(folder).map((file) => ({ file, bytes: readFileSync(join(folder, file)) }));
}

describe.each(TARGETS.map((target) => ({ name: target.name, target })))(
  "of the fuzz target $name",
  ({ name, target }) => {
    const corpus = corpusOf(target);

    test("every kept input keeps every property", () => {
      for (const { file, bytes } of corpus) {
        expect(() => target.run(bytes), file).not.toThrow();
        expect(bytes.length).toBeLessThanOrEqual(target.mostBytes);
      }
    });

    test("together they reach what they are kept for", () => {
      const words = new Set(corpus.flatMap(({ bytes }) => target.run(bytes)));
      for (const wanted of REACHES[name] ?? []) {
        const isReached =
          typeof wanted === "string" ? words.has(wanted) : [...words].some((word) => wanted.test(word));
        expect(isReached, String(wanted)).toBe(true);
      }
    });

    test("every one is read within its time, and as the longest input that a piece of it makes", () => {
      const pick = seededPick(name);
      for (const { file, bytes } of corpus) {
        expect(readingMs(target, bytes), file).toBeLessThan(SHORT_MS);
        const swollen = swell(bytes, target.most.bytes, pick);
        expect(
          readingMs(target, swollen, 1) < target.most.ms || readingMs(target, swollen) < target.most.ms,
          file,
        ).toBe(true);
      }
    });
  },
);
