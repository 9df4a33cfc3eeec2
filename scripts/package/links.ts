// The links of a document where it is installed: what they lead to stands elsewhere there, or stays in the sources.
import { posix } from "node:path";

const FENCED = /(^[ \t]*```[^\n]*\n.*?^[ \t]*```[ \t]*$)/ms;
// The label may be broken over lines and may hold an image or other brackets.
const LINK = /\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)/g;
const ABSOLUTE = /^(?:[a-z][a-z0-9+.-]*:|#)/i;

/**
 * A Markdown text whose relative links lead to the installed files. A link to a file that is not installed becomes its
 * label, and says where the file is.
 * @param page the document, and
 * @param places the installed files, absolute: both by their paths in the repository
 */
export function installedLinks(text: string, page: string, places: ReadonlyMap<string, string>): string {
  const from = posix.dirname(places.get(page) ?? "");
  const replaced = (whole: string, label: string, target: string) => {
    if (ABSOLUTE.test(target)) return whole;
    const [file = "", anchor] = target.split("#");
    const place = places.get(posix.join(posix.dirname(page), file));
    if (place === undefined) return `${label} in the sources`;
    return `[${label}](${posix.relative(from, place)}${anchor === undefined ? "" : `#${anchor}`})`;
  };
  // Every second piece is code.
  return text
    .split(FENCED)
    .map((piece, index) => (index % 2 === 1 ? piece : piece.replace(LINK, replaced)))
    .join("");
}
