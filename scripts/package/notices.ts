// The notices of everything that is embedded in the executable: the runtime's parts, the npm packages, and the texts of
// the licences that many of them share.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Embedded } from "./embedded.ts";
import { licenceText } from "./licences.ts";
import { PackagingError } from "./run.ts";
import { RUNTIME_PARTS, type RuntimePart, runtimeVersion } from "./runtime-parts.ts";

const LINE = "=".repeat(78);
const LICENCES = join("scripts", "package", "licences");

/**
 * What has to go with a part of the runtime: where it was taken from, copyright lines, and the licence, or which of the
 * shared texts it is.
 * @throws PackagingError if there is none
 */
export function partText(
  { name, licence, source }: Pick<RuntimePart, "name" | "licence" | "source">,
  root: string,
): string {
  const file = join(root, LICENCES, `${name}.txt`);
  if (!existsSync(file)) {
    throw new PackagingError(
      `${file} is missing: the licence of the runtime's ${name} (${licence}), from ${source}.`,
    );
  }
  return readFileSync(file, "utf8").trim();
}

/** The texts that stand once for many, by their names in SPDX. */
export function sharedTexts(root: string): ReadonlyMap<string, string> {
  const directory = join(root, LICENCES, "texts");
  const files = readdirSync(directory).sort();
  return new Map(
    files.map((file) => [file.replace(/\.txt$/, ""), readFileSync(join(directory, file), "utf8").trimEnd()]),
  );
}

/** One text for everything. */
export function noticesText(packages: readonly Embedded[], root: string): string {
  const parts = RUNTIME_PARTS.map((part) => {
    const version = runtimeVersion(part.key);
    const title = `${part.name}${version === null ? "" : ` ${version}`} (${part.licence})`;
    return section(`${title}\n${part.source}`, partText(part, root));
  });
  return [
    "The executable of Inboxbell holds the software of others, with thanks to them. Inboxbell itself is under the Apache",
    "License 2.0.",
    "",
    "First come the runtime and the libraries that it is linked with, then the packages of npm, then the licences to which",
    "some of those only refer.",
    "",
    "JavaScriptCore and WebCore are under the GNU Library General Public License 2, TinyCC is under the GNU Lesser General",
    "Public License 2.1; both are linked statically. Their sources, as the runtime uses them, and the runtime's own, from",
    "which an executable with a changed version of them can be built, are at the addresses below; Inboxbell's program is",
    "in the executable as JavaScript and can be built into another runtime with its own sources (npm run build).",
    "",
    "Prebuilt SQLite: the addon of better-sqlite3 below holds SQLite, which is in the public domain.",
    "",
    ...parts,
    ...packages.map((each) => section(`${each.name} ${each.version} (${each.licence})`, licenceText(each))),
    ...[...sharedTexts(root)].map(([name, text]) => section(name, text)),
  ].join("\n");
}

function section(title: string, text: string): string {
  return `${LINE}\n${title}\n${LINE}\n\n${text}\n`;
}
