// The configuration as a document whose comments are kept: a new one, or the one that is there with some values changed.
import { Document, isMap, isScalar, parseDocument } from "yaml";
import { BellError } from "../../errors.ts";
import type { KeyPath } from "./judge.ts";

/** One value of the configuration that is to be as given; undefined takes the key away. */
export interface Edit {
  readonly path: KeyPath;
  readonly value: unknown;
}

const HEAD = ` Configuration of Inboxbell, written by \`inboxbell setup\`. It holds what has to be told; everything else has its
 default, which the delivered inboxbell.yaml explains option by option. Relative paths are relative to this file.
 After a change: \`inboxbell check\`, then \`inboxbell reload\`.`;

// Why a section is there, for whoever opens the file next year.
const COMMENTS: Readonly<Record<string, string>> = {
  node: " Name of this node in logs and in the status.",
  public: " What phones and Exchange call this server by. Callback URLs start with exchange_url.",
  listen: " Where this node listens. An empty or missing `allow` lets every address connect.",
  store: " The database, on a local disk.",
  keys: " The keys that open the database. Back them up apart from it.",
  apps: " The apps that are rung, with the credentials that Apple and Google issued for them.",
  registration_auth:
    " Who may register a phone: whoever knows this secret. Your device management gives it to the app.",
  egress: " The way to Apple and Google.",
  control: " For the verbs that speak to the running node.",
};
const LINE_WIDTH = 110;

/** @throws BellError `config_invalid` if the text is no YAML */
export function readDocument(text: string, file: string): Document {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined || (document.contents !== null && !isMap(document.contents))) {
    throw new BellError(
      "config_invalid",
      `${file} cannot be read as YAML: correct it, or move it away to begin anew.`,
    );
  }
  return document as unknown as Document;
}

/** The value at a path, or undefined. */
export function valueAt(document: Document, path: KeyPath): unknown {
  const value: unknown = document.getIn(path);
  return typeof value === "object" &&
    value !== null &&
    "toJSON" in value &&
    typeof value.toJSON === "function"
    ? (value.toJSON() as unknown)
    : value;
}

/** Only the edits that change something. */
export function changes(document: Document, edits: readonly Edit[]): readonly Edit[] {
  return edits.filter(({ path, value }) => JSON.stringify(valueAt(document, path)) !== JSON.stringify(value));
}

/** The text with the edits made; what they do not concern stays as it is, comments included. */
export function edited(document: Document, edits: readonly Edit[]): string {
  const copy = document.clone();
  for (const { path, value } of edits) {
    if (value === undefined) copy.deleteIn(path);
    else copy.setIn(path, copy.createNode(value));
  }
  return copy.toString({ lineWidth: LINE_WIDTH });
}

/** The text of a new configuration. */
export function fresh(edits: readonly Edit[]): string {
  const plain: Record<string, unknown> = {};
  for (const { path, value } of edits) if (value !== undefined) put(plain, path, value);
  const ordered = Object.keys(COMMENTS).filter((key) => Object.hasOwn(plain, key));
  const document = new Document(Object.fromEntries(ordered.map((key) => [key, plain[key]])));
  document.commentBefore = HEAD;
  if (isMap(document.contents)) {
    for (const [index, { key }] of document.contents.items.entries()) {
      if (!isScalar(key)) continue;
      key.commentBefore = COMMENTS[String(key.value)] ?? null;
      // The head has a blank line after it by itself.
      key.spaceBefore = index > 0;
    }
  }
  return document.toString({ lineWidth: LINE_WIDTH });
}

function put(target: Record<string, unknown>, path: KeyPath, value: unknown): void {
  const last = path.at(-1);
  let at: Record<string | number, unknown> = target;
  for (const [index, step] of path.slice(0, -1).entries()) {
    at[step] ??= typeof path[index + 1] === "number" ? [] : {};
    at = at[step] as Record<string | number, unknown>;
  }
  if (last !== undefined) at[last] = value;
}

/** `apps[0].id`. */
export function pathText(path: KeyPath): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`),
    "",
  );
}
