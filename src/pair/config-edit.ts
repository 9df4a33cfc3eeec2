// Changes single values of a configuration in its text. Everything else stays as somebody wrote it, comments and spacing
// included; where that cannot be done by a few characters, the YAML library writes the file anew with its comments. Pure.
import { isDeepStrictEqual } from "node:util";
import { Document, isMap, isScalar, type Node, parseDocument, stringify, type YAMLMap } from "yaml";
import { BellError } from "../errors.ts";

export type KeyPath = readonly [string, ...string[]];

/** One value that is to be as given. */
export interface Edit {
  readonly path: KeyPath;
  readonly value: unknown;
  /** Said above a section that is new. */
  readonly comment?: string;
}

type Plain = Readonly<Record<string, unknown>>;

const LINE_WIDTH = 110;

/**
 * The text with the edits made.
 * @param file for the message
 * @throws BellError `config_invalid` if the text is no YAML
 */
export function editConfiguration(text: string, edits: readonly Edit[], file: string): string {
  return edits.reduce((before, edit) => editOne(before, edit, file), text);
}

/** What a configuration says, unchecked. @throws BellError `config_invalid` */
export function plainConfiguration(text: string, file: string): Plain {
  return plainOf(parsed(text, file));
}

/** The value at a path, or undefined. */
export function valueAt(plain: Plain, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isPlain(value) ? value[key] : undefined), plain);
}

function editOne(text: string, edit: Edit, file: string): string {
  const document = parsed(text, file);
  const before = plainOf(document);
  if (isDeepStrictEqual(valueAt(before, edit.path), edit.value)) return text;
  const wanted = put(before, edit.path, edit.value);
  for (const attempt of [() => spliced(text, document, edit), () => rewritten(document, edit)]) {
    const candidate = attempt();
    if (candidate !== null && says(candidate, wanted)) return candidate;
  }
  // Aliases stand in the way: the values are right, and the comments are in the copy that is kept of the file.
  return new Document(wanted).toString({ lineWidth: LINE_WIDTH });
}

function parsed(text: string, file: string): Document.Parsed {
  const document = parseDocument(text, { merge: true });
  if (document.errors.length > 0 || (document.contents !== null && !isMap(document.contents))) {
    throw new BellError(
      "config_invalid",
      `${file} cannot be read as YAML; \`inboxbell check\` says where it is wrong.`,
    );
  }
  return document;
}

function plainOf(document: Document.Parsed): Plain {
  const plain: unknown = document.toJS();
  return isPlain(plain) ? plain : {};
}

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function put(plain: Plain, [key, ...rest]: readonly string[], value: unknown): Plain {
  if (key === undefined) return plain;
  const inner = plain[key];
  return { ...plain, [key]: rest.length === 0 ? value : put(isPlain(inner) ? inner : {}, rest, value) };
}

function says(text: string, wanted: Plain): boolean {
  const document = parseDocument(text, { merge: true });
  return document.errors.length === 0 && isDeepStrictEqual(plainOf(document), wanted);
}

function rewritten(document: Document.Parsed, { path, value }: Edit): string | null {
  const copy = document.clone();
  try {
    copy.setIn(path, copy.createNode(value));
    return copy.toString({ lineWidth: LINE_WIDTH });
  } catch {
    return null;
  }
}

/** By a few characters in the text, or null where that is not to be done. */
function spliced(text: string, document: Document.Parsed, edit: Edit): string | null {
  const { path, value } = edit;
  const present = document.getIn(path, true) as Node | undefined;
  if (present !== undefined) {
    if (!isScalar(present) || !present.range || isPlain(value)) return null;
    const [from, to] = present.range;
    return `${text.slice(0, from)}${from === to ? " " : ""}${stringify(value).trim()}${text.slice(to)}`;
  }
  const parentPath: readonly string[] = path.slice(0, -1);
  const name = path.at(-1) ?? "";
  const parent = parentPath.length === 0 ? document.contents : document.getIn(parentPath, true);
  if (parent === undefined && isPath(parentPath)) {
    return spliced(text, document, { ...edit, path: parentPath, value: { [name]: value } });
  }
  if (parent === null) return appended(text, name, edit);
  if (!isMap(parent)) return null;
  if (parent.flow === true) return intoBraces(text, parent, name, value);
  return isPath(parentPath) ? intoBlock(text, document, parentPath, name, value) : atTop(text, name, edit);
}

function isPath(path: readonly string[]): path is KeyPath {
  return path.length > 0;
}

/** Where the delivered file has it commented out, there; else at the end. */
function atTop(text: string, name: string, edit: Edit): string {
  const places = [...text.matchAll(new RegExp(`^#${name}:.*$`, "gm"))];
  const [place] = places;
  if (isPlain(edit.value) || place === undefined || places.length > 1) return appended(text, name, edit);
  const line = stringify({ [name]: edit.value }).trim();
  return text.slice(0, place.index) + line + text.slice(place.index + place[0].length);
}

function appended(text: string, name: string, { value, comment }: Edit): string {
  const above = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  const lines = comment === undefined ? "" : `# ${comment.replaceAll("\n", "\n# ")}\n`;
  return `${above}${above === "" ? "" : "\n"}${lines}${stringify({ [name]: value }, { lineWidth: LINE_WIDTH })}`;
}

function intoBraces(text: string, parent: YAMLMap, name: string, value: unknown): string | null {
  if (!parent.range || isPlain(value)) return null;
  const at = parent.range[0] + 1;
  return `${text.slice(0, at)} ${name}: ${stringify(value).trim()}${parent.items.length === 0 ? " " : ","}${text.slice(at)}`;
}

/** Below the line of the section's key: comments above the first option stay with it. */
function intoBlock(
  text: string,
  document: Document.Parsed,
  parentPath: KeyPath,
  name: string,
  value: unknown,
): string | null {
  const parent = document.getIn(parentPath, true);
  const around = parentPath.length === 1 ? document.contents : document.getIn(parentPath.slice(0, -1), true);
  if (!isMap(parent) || !isMap(around)) return null;
  const key = around.items.find((item) => item.value === parent)?.key;
  const first = parent.items[0]?.key;
  if (!isScalar(key) || !key.range || !isScalar(first) || !first.range) return null;
  const lineEnd = text.indexOf("\n", key.range[1]);
  const lineStart = text.lastIndexOf("\n", first.range[0] - 1) + 1;
  const indent = text.slice(lineStart, first.range[0]);
  if (lineEnd < 0 || lineEnd > first.range[0] || indent.trim() !== "") return null;
  const lines = stringify({ [name]: value }, { lineWidth: LINE_WIDTH })
    .trimEnd()
    .replaceAll("\n", `\n${indent}`);
  return `${text.slice(0, lineEnd + 1)}${indent}${lines}\n${text.slice(lineEnd + 1)}`;
}
