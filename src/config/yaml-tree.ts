// Reads YAML into a tree in which every key and value knows its place. Syntax only: what the keys mean is the
// schema's business. Messages are written here, because the parser's own may quote the file.
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type YAMLMap,
  type ErrorCode as YamlErrorCode,
} from "yaml";
import { FILE_START, type Finding, finding, type Position } from "./problems.ts";

export interface MapNode {
  readonly kind: "map";
  readonly at: Position;
  readonly entries: ReadonlyMap<string, MapEntry>;
}

export interface MapEntry {
  readonly keyAt: Position;
  readonly value: LocatedNode;
}

export type LocatedNode =
  | MapNode
  | { readonly kind: "list"; readonly at: Position; readonly items: readonly LocatedNode[] }
  | { readonly kind: "scalar"; readonly at: Position; readonly value: unknown };

/** The deepest real option is 6 levels down; more is a mistake or an attack. */
const MAX_DEPTH = 20;
/** Aliases that may be followed, counting those inside of what an alias names: a "billion laughs" ends here. */
const MAX_ALIASES = 100;

const SYNTAX: Readonly<Record<YamlErrorCode, string>> = {
  ALIAS_PROPS: "an alias (*name) cannot have an anchor or a tag",
  BAD_ALIAS: "an anchor or alias has no valid name",
  BAD_COLLECTION_TYPE: "a tag does not fit what it stands before",
  BAD_DIRECTIVE: "a line starting with % is not a known YAML directive",
  BAD_DQ_ESCAPE: "an unknown escape in double quotes; use single quotes for a text with backslashes",
  BAD_INDENT: "the indentation does not fit the lines above, or a bracket is not closed",
  BAD_PROP_ORDER: "an anchor or a tag is at the wrong place",
  BAD_SCALAR_START: "a text cannot start with this character; put it in quotes",
  BLOCK_AS_IMPLICIT_KEY:
    "a second key on the same line, or a line is indented too far; a text with a colon needs quotes",
  BLOCK_IN_FLOW: "an indented block cannot stand inside of brackets or braces",
  DUPLICATE_KEY: "the key is there twice",
  IMPOSSIBLE: "this cannot be read as YAML",
  KEY_OVER_1024_CHARS: "a key is longer than 1024 characters",
  MISSING_CHAR: "a quote, colon, comma, bracket or brace is missing",
  MULTILINE_IMPLICIT_KEY: "a key must stand on one line, followed by a colon",
  MULTIPLE_ANCHORS: "a value can have one anchor only",
  MULTIPLE_DOCS: "a second document starts here (---); the configuration is one document",
  MULTIPLE_TAGS: "a value can have one tag only",
  NON_STRING_KEY: "a key must be text",
  RESOURCE_EXHAUSTION: "nested too deeply",
  TAB_AS_INDENT: "a tab is used for indentation; YAML allows spaces only",
  TAG_RESOLVE_FAILED: "an unknown YAML tag (!name); the configuration uses none",
  UNEXPECTED_TOKEN: "something is here that YAML does not expect; check quotes, brackets and indentation",
};

/** The tree, or null when the file cannot be read as YAML, and what is wrong. Never throws. */
export function readYaml(text: string): {
  readonly root: LocatedNode | null;
  readonly findings: readonly Finding[];
} {
  const lines = new LineCounter();
  let document: Document;
  try {
    // The default log level only matters for `parse`; a silent one would also hide a second document.
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: true,
      strict: true,
    });
  } catch {
    // The parser is recursive and may run out of stack; it throws nothing else that is known.
    return { root: null, findings: [finding("config_invalid", FILE_START, "", SYNTAX.IMPOSSIBLE)] };
  }
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const syntax = syntaxFindings(document, text, at);
  if (syntax.length > 0) return { root: null, findings: syntax };
  const findings: Finding[] = [];
  const root = new TreeReader(document, at, findings).read(document.contents, FILE_START, 0);
  return { root, findings };
}

/** Slips that leave the lines after them readable; every other one makes nonsense of what follows. */
const HARMLESS: ReadonlySet<YamlErrorCode> = new Set([
  "DUPLICATE_KEY",
  "TAB_AS_INDENT",
  "TAG_RESOLVE_FAILED",
]);

function syntaxFindings(document: Document, text: string, at: (offset: number) => Position): Finding[] {
  const lines = text.split("\n");
  const findings = new Map<number, Finding>();
  const twice = repeatedKeys(document);
  const errors = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  for (const error of errors) {
    const place = at(error.pos[0]);
    // One slip often makes several errors on its line: the first says it.
    if (!findings.has(place.line)) {
      const first = error.code === "DUPLICATE_KEY" ? twice.get(error.pos[0]) : undefined;
      const message =
        first === undefined
          ? (SYNTAX[error.code] ?? SYNTAX.IMPOSSIBLE)
          : `the key "${printable(first.key)}" is there twice, first in line ${at(first.offset).line}`;
      findings.set(
        place.line,
        finding("config_invalid", place, "", message, braceHint(lines[place.line - 1])),
      );
    }
    if (!HARMLESS.has(error.code)) break;
  }
  return [...findings.values()];
}

interface Repeated {
  readonly key: string;
  /** Of the key's first place. */
  readonly offset: number;
}

/** Keys that their mapping has already, by the offset of the later place. */
function repeatedKeys(document: Document): ReadonlyMap<number, Repeated> {
  const repeated = new Map<number, Repeated>();
  const look = (node: unknown, depth: number): void => {
    if (depth > MAX_DEPTH) return;
    if (isSeq(node)) for (const item of node.items) look(item, depth + 1);
    if (!isMap(node)) return;
    const seen = new Map<unknown, number>();
    for (const { key, value } of node.items) {
      look(value, depth + 1);
      if (!isScalar(key) || !key.range) continue;
      const [offset] = key.range;
      const first = seen.get(key.value);
      if (first === undefined) seen.set(key.value, offset);
      else repeated.set(offset, { key: String(key.value), offset: first });
    }
  };
  look(document.contents, 0);
  return repeated;
}

/** A key as a message repeats it: what a terminal shows harmlessly. */
export function printable(key: string): string {
  const clean = key.replaceAll(/[^\x20-\x7e\u00a0-\u024f]/g, "?");
  return clean.length > 64 ? `${clean.slice(0, 64)}…` : clean;
}

/** A variable's own braces end a mapping that is written in braces. */
function braceHint(line: string | undefined): string | null {
  return line !== undefined && /\{.*[^"']\$\{/.test(line)
    ? "inside of braces, a path with a variable needs quotes"
    : null;
}

class TreeReader {
  readonly #document: Document;
  readonly #at: (offset: number) => Position;
  readonly #findings: Finding[];
  #aliases = 0;

  constructor(document: Document, at: (offset: number) => Position, findings: Finding[]) {
    this.#document = document;
    this.#at = at;
    this.#findings = findings;
  }

  read(node: unknown, near: Position, depth: number): LocatedNode {
    const at = this.#place(node) ?? near;
    if (depth > MAX_DEPTH) return this.#refuse(at, "nested too deeply, or an alias contains itself");
    if (isAlias(node)) return this.#follow(node, at, depth);
    if (isMap(node)) return { kind: "map", at, entries: this.#entries(node, at, depth) };
    if (isSeq(node)) {
      return { kind: "list", at, items: node.items.map((item) => this.read(item, at, depth + 1)) };
    }
    return { kind: "scalar", at, value: isScalar(node) ? node.value : null };
  }

  #place(node: unknown): Position | null {
    if (!(isAlias(node) || isMap(node) || isSeq(node) || isScalar(node)) || !node.range) return null;
    return this.#at(node.range[0]);
  }

  #follow(
    alias: { source: string; resolve(document: Document): unknown },
    at: Position,
    depth: number,
  ): LocatedNode {
    this.#aliases += 1;
    if (this.#aliases > MAX_ALIASES) {
      // Said once: an alias bomb would otherwise make a report as large as itself.
      return this.#aliases === MAX_ALIASES + 1
        ? this.#refuse(at, `more than ${MAX_ALIASES} aliases have to be followed`)
        : { kind: "scalar", at, value: null };
    }
    const target = alias.resolve(this.#document);
    if (target === undefined) return this.#refuse(at, "no anchor of this name stands before the alias");
    return this.read(target, at, depth + 1);
  }

  #entries(map: YAMLMap, near: Position, depth: number): ReadonlyMap<string, MapEntry> {
    const entries = new Map<string, MapEntry>();
    const merged: MapEntry[] = [];
    for (const pair of map.items) {
      const keyAt = this.#place(pair.key) ?? near;
      const key = isScalar(pair.key) ? pair.key.value : undefined;
      if (typeof key !== "string") {
        this.#refuse(keyAt, SYNTAX.NON_STRING_KEY);
        continue;
      }
      const entry: MapEntry = { keyAt, value: this.read(pair.value, keyAt, depth + 1) };
      if (key === "<<") merged.push(entry);
      else entries.set(key, entry);
    }
    for (const entry of merged) this.#merge(entries, entry);
    return entries;
  }

  /** A merge key (`<<: *base`) gives what the mapping does not have itself; the first of several wins. */
  #merge(entries: Map<string, MapEntry>, { keyAt, value }: MapEntry): void {
    const sources = value.kind === "list" ? value.items : [value];
    for (const source of sources) {
      if (source.kind !== "map") {
        this.#refuse(keyAt, "<< merges mappings only, for example <<: *base");
        return;
      }
      for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
    }
  }

  #refuse(at: Position, message: string): LocatedNode {
    this.#findings.push(finding("config_invalid", at, "", message));
    return { kind: "scalar", at, value: null };
  }
}
