// The shell commands of the documents: fenced blocks of the language `sh`, and what their markers say of them. A marker
// is an HTML comment in the line above the fence, which no reader sees:
//   <!-- run -->                        run as written; every command ends with 0
//   <!-- run: exits 1 -->               the last command ends with 1
//   <!-- run on a booted machine -->    run by the long tests, in a Debian that its systemd has booted
//   <!-- not run: why -->               it cannot be run by a test
// Pure.

export type Marker =
  | { readonly kind: "run"; readonly exitCode: number }
  | { readonly kind: "booted" }
  | { readonly kind: "not run"; readonly why: string };

export interface Block {
  /** Of the fence, from 1. */
  readonly line: number;
  /** The heading that it stands under, without its signs. */
  readonly section: string;
  readonly text: string;
  /** Null if there is none, or one that cannot be read. */
  readonly marker: Marker | null;
}

const SHELLS = new Set(["sh", "bash", "shell"]);
const FENCE = /^([ \t]*)```(\w*)/;
const HEADING = /^#+ +(.+?) *$/;
const MARKER = /^<!--\s*(not[ -])?runs?\b[\s:]*(.*?)\s*-->$/i;
// What an administrator types, at the start of a line.
const COMMAND =
  /^(?:[$#] )?(?:sudo|inboxbell|dist\/inboxbell|systemctl|journalctl|npm|curl|apt|dnf|openssl) /;

/** All shell blocks of a page, in order. */
export function shellBlocks(page: string): readonly Block[] {
  return fencesOf(page)
    .filter(({ language }) => SHELLS.has(language))
    .map(({ line, section, text, above }) => ({ line, section, text, marker: readMarker(above) }));
}

/** Lines of fences without a language that look like commands to type: their blocks should be `sh` or `console`. */
export function strayCommands(page: string): readonly string[] {
  return fencesOf(page)
    .filter(({ language }) => language === "")
    .flatMap(({ text }) => text.split("\n").filter((line) => COMMAND.test(line)));
}

interface Fence {
  readonly line: number;
  readonly section: string;
  readonly language: string;
  readonly text: string;
  /** The last line before it that is not empty. */
  readonly above: string;
}

function fencesOf(page: string): readonly Fence[] {
  const lines = page.split("\n");
  const found: Fence[] = [];
  let section = "";
  for (let at = 0; at < lines.length; at += 1) {
    section = HEADING.exec(lines[at] ?? "")?.[1] ?? section;
    const [all, indent = "", language = ""] = FENCE.exec(lines[at] ?? "") ?? [];
    if (all === undefined) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === "```");
    if (end < 0) throw new Error(`The fence in line ${at + 1} does not end.`);
    // In a list a fence is indented, and what is in it as well.
    const inner = lines
      .slice(at + 1, end)
      .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    const above = lines.slice(0, at).findLast((line) => line.trim() !== "") ?? "";
    found.push({
      line: at + 1,
      section,
      language: language.toLowerCase(),
      text: inner.join("\n"),
      above: above.trim(),
    });
    at = end;
  }
  return found;
}

function readMarker(above: string): Marker | null {
  const [all, not, rest = ""] = MARKER.exec(above) ?? [];
  if (all === undefined) return null;
  if (not !== undefined) return rest === "" ? null : { kind: "not run", why: rest };
  if (rest === "") return { kind: "run", exitCode: 0 };
  if (/^on a booted machine$/i.test(rest)) return { kind: "booted" };
  const [, code] = /^exits? (?:with )?(\d+)$/i.exec(rest) ?? [];
  return code === undefined ? null : { kind: "run", exitCode: Number(code) };
}
