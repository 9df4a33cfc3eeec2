// The links of the documents in an installed tree, followed.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const CODE = /^[ \t]*```[^\n]*\n.*?^[ \t]*```[ \t]*$|`[^`\n]*`/gms;
// [label](target), ![label](target), [label]: target
const TARGET = /\]\(\s*([^()\s]+)[^()]*\)|^ {0,3}\[[^\]]+\]:\s+(\S+)/gm;

export interface Links {
  /** Documents, by their paths in the tree. */
  readonly documents: readonly string[];
  /** How many relative links were followed. */
  readonly followed: number;
  /** Relative links that lead to nothing in the tree: document, and target. */
  readonly broken: readonly (readonly [string, string])[];
}

/** Follows every relative link of every Markdown document below a directory that stands for the root. */
export function documentLinks(tree: string): Links {
  const documents = [...new Bun.Glob("**/*.md").scanSync(tree)].sort();
  const links = documents.flatMap((document) =>
    [...readFileSync(join(tree, document), "utf8").replace(CODE, "").matchAll(TARGET)]
      .map(([, inline, defined]) => inline ?? defined ?? "")
      .filter((target) => !/^(?:[a-z][a-z0-9+.-]*:|#)/i.test(target))
      .map((target) => [document, target] as const),
  );
  const broken = links.filter(([document, target]) => {
    const [file = ""] = target.split("#");
    return !existsSync(join(tree, dirname(document), file));
  });
  return { documents, followed: links.length, broken };
}
