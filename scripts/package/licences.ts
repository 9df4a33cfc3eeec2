// The licence text of an embedded npm package: its own files, as its licence asks for.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Embedded } from "./embedded.ts";
import { PackagingError } from "./run.ts";

const NOTICE_FILE = /^(?:licen[cs]e|copying|notice)(?:[.-].*)?$/i;
const README_FILE = /^readme(?:\..*)?$/i;

/**
 * The texts of a package: its licence and notice files, or the chapter of its README.
 * @throws PackagingError if it has neither
 */
export function licenceText({ name, version, licence, author, directory }: Embedded): string {
  const names = readdirSync(directory).sort();
  const texts = names
    .filter((file) => NOTICE_FILE.test(file))
    .map((file) => readFileSync(join(directory, file), "utf8").trim());
  if (texts.length > 0) return texts.join("\n\n");
  const readme = names.find((file) => README_FILE.test(file));
  const chapter = readme === undefined ? null : licenceChapter(readFileSync(join(directory, readme), "utf8"));
  const standard = STANDARD_TEXTS[licence];
  // A chapter that only names or links the licence does not hold it.
  if (chapter !== null && chapter.length > 400) return chapter;
  if (standard !== undefined && author !== null) {
    return `Copyright (c) ${author.replace(/\s*<[^>]*>/, "")}\n\n${standard}`;
  }
  throw new PackagingError(
    `${name} ${version} (${licence}) has no licence text, and none can be made for it.`,
  );
}

/** The chapter of a README that is called so; null if there is none. */
export function licenceChapter(readme: string): string | null {
  const lines = readme.split(/\r?\n/);
  const isHeading = (index: number) =>
    /^#{1,6} /.test(lines[index] ?? "") || /^(?:-{3,}|={3,})\s*$/.test(lines[index + 1] ?? "");
  const start = lines.findIndex((line, index) => isHeading(index) && /licen[cs]e/i.test(line));
  if (start < 0) return null;
  let end = start + 1;
  if (/^(?:-{3,}|={3,})\s*$/.test(lines[end] ?? "")) end += 1;
  const first = end;
  while (end < lines.length && !isHeading(end)) end += 1;
  return lines.slice(first, end).join("\n").trim();
}

// Where a package names its licence and ships no text of it (SPDX's texts).
const STANDARD_TEXTS: Readonly<Record<string, string>> = {
  MIT: `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`,
  ISC: `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby
granted, provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF
THIS SOFTWARE.`,
};
