// The few macros of man(7) that the manual pages need.

/** Text of a paragraph: what has a meaning to troff loses it. */
export function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "...")
    .replaceAll("„", '"')
    .replaceAll("’", "'")
    .replace(/^([.'])/gm, "\\&$1");
}

/** A macro's argument. */
export function argument(text: string): string {
  return `"${escaped(text).replaceAll('"', '""')}"`;
}

/** A paragraph in which what stands in backticks is bold. */
export function paragraph(text: string): string {
  return escaped(text).replaceAll(/`([^`]+)`/g, "\\fB$1\\fR");
}

export const section = (title: string) => `.SH ${title.toUpperCase()}`;
export const subsection = (title: string) => `.SS ${argument(title)}`;

/** An entry with its explanation below. `term` is troff already. */
export function entry(term: string, text: string): string {
  return `.TP\n${term}\n${paragraph(text)}`;
}

export const bold = (text: string) => `\\fB${escaped(text)}\\fR`;
export const italic = (text: string) => `\\fI${escaped(text)}\\fR`;

/** Lines as they are. */
export function example(lines: string): string {
  return `.PP\n.RS 4\n.nf\n${escaped(lines)}\n.fi\n.RE`;
}

/** @param date of the page, the same for every build of a commit */
export function titleLine(
  name: string,
  chapter: number,
  date: Date,
  version: string,
  manual: string,
): string {
  const day = date.toISOString().slice(0, 10);
  return `.TH ${argument(name.toUpperCase())} ${chapter} "${day}" ${argument(`inboxbell ${version}`)} ${argument(manual)}`;
}
