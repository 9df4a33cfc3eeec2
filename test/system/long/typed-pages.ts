// The blocks of the documents that are marked for a booted machine, as a test types them: in order, each once, and with
// the replacements that it owns up to.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { shellBlocks } from "../../repository/docs-commands/blocks.ts";
import type { Machine } from "./machine.ts";

const root = join(import.meta.dir, "..", "..", "..");

const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => join("docs", name))]
  .filter((name) => name.endsWith(".md"))
  .map((name) => ({ name, text: readFileSync(join(root, name), "utf8") }));

/** What stands on a page, and what is typed instead of it. */
export type Replacement = readonly [page: string, here: string];

export interface TypedPages {
  /** The next block of a section, such as `docs/upgrade.md, One node`. */
  next(section: string): string;
  /** Sections with blocks that were not asked for. */
  left(): readonly string[];
  /** Types blocks into one shell of a machine; throws if a command fails. Gives what was printed. */
  type(machine: Machine, directory: string, ...blocks: readonly string[]): Promise<string>;
  /** What is replaced from now on. */
  replace(replacements: readonly Replacement[]): void;
  /** Replacements that no block had use for. */
  useless(): readonly string[];
}

export function typedPages(): TypedPages {
  const waiting = new Map<string, string[]>();
  for (const { name, text } of pages) {
    for (const { marker, section, text: block } of shellBlocks(text)) {
      if (marker?.kind !== "booted") continue;
      const key = `${name}, ${section}`;
      waiting.set(key, [...(waiting.get(key) ?? []), block]);
    }
  }
  let replaced: readonly Replacement[] = [];
  const used = new Set<string>();
  return {
    next(section) {
      const block = waiting.get(section)?.shift();
      if (block === undefined) throw new Error(`${section} has no further block that is marked for a test`);
      return block;
    },
    left: () => [...waiting].filter(([, blocks]) => blocks.length > 0).map(([section]) => section),
    replace(replacements) {
      replaced = replacements;
    },
    useless: () => replaced.map(([page]) => page).filter((page) => !used.has(page)),
    type(machine, directory, ...blocks) {
      let text = blocks.join("\n");
      for (const [page, here] of replaced) {
        if (text.includes(page)) used.add(page);
        text = text.replaceAll(page, here);
      }
      writeFileSync(join(machine.root, "root", "typed"), `cd ${directory}\n${text}\n`);
      return machine.must("bash", "-e", "/root/typed");
    },
  };
}

/** The first fence of another language on a page. */
export function fence(page: string, language: string): string {
  const text = pages.find(({ name }) => name === page)?.text ?? "";
  const [, inner] = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "ms").exec(text) ?? [];
  if (inner === undefined) throw new Error(`${page} has no ${language}`);
  return inner;
}

/** A minimal Debian has no `sudo`; who types there is root already. */
export function standInForSudo(machine: Machine): void {
  writeFileSync(join(machine.root, "usr", "bin", "sudo"), '#!/bin/sh\nexec env "$@"\n', { mode: 0o755 });
}
