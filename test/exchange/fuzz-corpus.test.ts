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

// What the targets say of an input. A refusal that is given up in the sources is missing here.
const REACHES: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  notification: [
    ..."empty utf16 not_utf8 doctype not_well_formed too_deep too_many_attributes wrong_shape subscription_id"
      .split(" ")
      .map((why) => `malformed ${why}`),
    ..."newMail created deleted modified moved copied freeBusyChanged"
      .split(" ")
      .map((kind) => `${kind} item`),
    ...["modified folder", "status null", "other null", "unreadCount", "timeStamp", "watermark", /^error /],
  ],
  request: [
    ...[
      "request line",
      "request target",
      "empty lines",
      "line without CR LF",
      "header line",
      "header repeated",
    ],
    ...["Host", "Content-Length", "two body lengths", "transfer coding", "chunk line", "chunk line too long"],
  ]
    .map((what): string | RegExp => `true 400 ${what} false false`)
    .concat(/ 411 /, / 417 /, / 431 /, / 501 /, / 505 /, /null true true/, /^POST 1 .* -1$/),
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
