// Holds the YAML tree against the schema: collects every problem with its place, and the values that are right.
// TypeBox decides whether a value fits; this file finds the words and the places.
import { KindGuard, type TArray, type TObject, type TSchema, type TUnion } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { describeExpected, describeFound, quoted } from "./describe.ts";
import { checkLeaf, type RuleContext } from "./leaf-rules.ts";
import { nearest } from "./nearest.ts";
import { type FileRole, FREE_KEY, keysRequiredInFile, type OptionNotes } from "./options.ts";
import { absolutePath } from "./paths.ts";
import { type Finding, finding, type Position } from "./problems.ts";
import { type LocatedNode, type MapNode, printable } from "./yaml-tree.ts";

/** A file that the configuration names. */
export interface FileMention {
  readonly role: FileRole;
  readonly keyPath: string;
  /** Absolute. */
  readonly path: string;
  /** Null for a default that is not in the file. */
  readonly at: Position | null;
}

export interface Walked {
  /** What is right, in the shape of the file; what is wrong is left out. */
  readonly value: unknown;
  readonly findings: readonly Finding[];
  /** Where each key path stands. */
  readonly places: ReadonlyMap<string, Position>;
  readonly files: readonly FileMention[];
}

/** The annotations of an option. */
export function notesOf(schema: TSchema): Partial<OptionNotes> {
  // TypeBox keeps them as further properties of the schema, typed `any`; schema.ts checks their names and types.
  return schema as Partial<OptionNotes>;
}

/** @param schema the schema of the whole file */
export function walk(schema: TObject, root: LocatedNode, context: RuleContext): Walked {
  const walker = new Walker(schema, context);
  const value = walker.visit(schema, root, "");
  return { value, findings: walker.findings, places: walker.places, files: walker.files };
}

class Walker {
  readonly findings: Finding[] = [];
  readonly places = new Map<string, Position>();
  readonly files: FileMention[] = [];
  readonly #homes: ReadonlyMap<string, readonly string[]>;
  readonly #context: RuleContext;

  constructor(schema: TObject, context: RuleContext) {
    this.#homes = homesOfKeys(schema);
    this.#context = context;
  }

  /** The value of `node`, or undefined when it (not something within it) is wrong. */
  visit(schema: TSchema, node: LocatedNode, keyPath: string): unknown {
    this.places.set(keyPath, node.at);
    if (KindGuard.IsObject(schema)) return this.#object(schema, node, keyPath);
    if (KindGuard.IsArray(schema)) return this.#array(schema, node, keyPath);
    if (KindGuard.IsUnion(schema) && node.kind === "map") {
      const mapping = (schema as TUnion).anyOf.find((member) => KindGuard.IsObject(member));
      if (mapping) return this.visit(mapping, node, keyPath);
    }
    return this.#leaf(schema, node, keyPath);
  }

  #object(schema: TObject, node: LocatedNode, keyPath: string): unknown {
    // `section:` with nothing under it is what remains when somebody comments out its options.
    const map: MapNode | null =
      node.kind === "map"
        ? node
        : node.kind === "scalar" && node.value === null
          ? { kind: "map", at: node.at, entries: new Map() }
          : null;
    if (map === null) return this.#wrong(schema, node, keyPath);
    const discriminator = notesOf(schema).discriminator;
    if (discriminator !== undefined && !this.#decided(schema, map, keyPath, discriminator)) return undefined;
    const result: Record<string, unknown> = {};
    for (const [key, { keyAt, value }] of map.entries) {
      const path = join(keyPath, key);
      const property = Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
      if (property !== undefined) {
        const visited = this.visit(property, value, path);
        if (visited !== undefined) result[key] = visited;
      } else if (keyPath !== "" || !FREE_KEY.test(key)) {
        this.#add(finding("config_invalid", keyAt, path, "unknown key", this.#hint(schema, key, keyPath)));
      }
    }
    for (const key of keysRequiredInFile(schema)) {
      if (map.entries.has(key)) continue;
      const title = notesOf(schema.properties[key] ?? schema).title;
      this.#add(finding("config_invalid", map.at, join(keyPath, key), `missing (${title ?? key})`));
    }
    return result;
  }

  /** Whether the property that decides about the others is right; otherwise they would be judged wrongly. */
  #decided(schema: TObject, map: MapNode, keyPath: string, key: string): boolean {
    const entry = map.entries.get(key);
    const property = schema.properties[key];
    if (entry === undefined || property === undefined || Value.Check(property, scalar(entry.value)))
      return true;
    this.visit(property, entry.value, join(keyPath, key));
    return false;
  }

  #array(schema: TArray, node: LocatedNode, keyPath: string): unknown {
    if (node.kind !== "list") return this.#wrong(schema, node, keyPath);
    if (node.items.length < (schema.minItems ?? 0)) {
      return this.#add(
        finding("config_invalid", node.at, keyPath, "expected at least one entry, found none"),
      );
    }
    // Wrong items stay as undefined, so that the others keep their index.
    return node.items.map((item, index) => this.visit(schema.items, item, `${keyPath}[${index}]`));
  }

  #leaf(schema: TSchema, node: LocatedNode, keyPath: string): unknown {
    const value = scalar(node);
    if (!Value.Check(schema, value)) return this.#wrong(schema, node, keyPath);
    const option = notesOf(schema);
    if (option.rule !== undefined && typeof value === "string") {
      const complaint = checkLeaf(option.rule, value, option, this.#context);
      if (complaint) {
        return this.#add(finding("config_invalid", node.at, keyPath, complaint.message, complaint.hint));
      }
    }
    if (option.file !== undefined && typeof value === "string") {
      const path = absolutePath(value, this.#context.configFile, this.#context.env);
      this.files.push({ role: option.file, keyPath, path, at: node.at });
    }
    return value;
  }

  #wrong(schema: TSchema, node: LocatedNode, keyPath: string): undefined {
    const value = scalar(node);
    if (typeof value === "string" && notesOf(schema).unavailableValues?.includes(value)) {
      return this.#add(
        finding("not_available", node.at, keyPath, `"${value}" is not available in this version`),
      );
    }
    const { expected, hint } = describeExpected(schema, value);
    const message = `expected ${expected}, found ${describeFound(node, schema)}`;
    const help = hint ?? this.#bracketsHint(schema, value);
    return this.#add(finding("config_invalid", node.at, keyPath, message, help));
  }

  /** A list of one that was written as its only entry, which may be wrong itself. */
  #bracketsHint(schema: TSchema, value: unknown): string | null {
    if (!KindGuard.IsArray(schema) || typeof value !== "string" || KindGuard.IsObject(schema.items))
      return null;
    const option = notesOf(schema.items);
    const complaint = option.rule === undefined ? null : checkLeaf(option.rule, value, option, this.#context);
    if (complaint !== null) return `write it in brackets, and mind: ${complaint.hint ?? complaint.message}`;
    const text = quoted(value);
    return text === null ? "write it in brackets" : `write it in brackets: [${value}]`;
  }

  #hint(schema: TObject, key: string, keyPath: string): string | null {
    if (FREE_KEY.test(key)) return "keys starting x- are free at the top level only";
    const near = nearest(key, Object.keys(schema.properties));
    const homes = (this.#homes.get(key) ?? []).filter(
      (home) => home !== keyPath.replaceAll(/\[\d+\]/g, "[]"),
    );
    const elsewhere = homes
      .slice(0, 3)
      .map((home) => (home === "" ? "at the top level" : `in ${home}`))
      .join(" or ");
    const meant = near === null ? null : `did you mean "${near}"?`;
    if (elsewhere === "") return meant;
    return `${meant === null ? "" : `${meant} `}"${key}" belongs ${elsewhere}`;
  }

  #add(problem: Finding): undefined {
    this.findings.push(problem);
    return undefined;
  }
}

/** The value of a scalar; undefined for a mapping or a list, which fits no leaf. */
function scalar(node: LocatedNode): unknown {
  return node.kind === "scalar" ? node.value : undefined;
}

function join(keyPath: string, key: string): string {
  return keyPath === "" ? printable(key) : `${keyPath}.${printable(key)}`;
}

/** Every key of the schema with the mappings that have it, for example `topic` → `apps[].apns`. */
function homesOfKeys(schema: TObject): ReadonlyMap<string, readonly string[]> {
  const homes = new Map<string, string[]>();
  const collect = (part: TSchema, path: string): void => {
    if (KindGuard.IsArray(part)) collect(part.items, `${path}[]`);
    if (KindGuard.IsUnion(part)) for (const member of (part as TUnion).anyOf) collect(member, path);
    if (!KindGuard.IsObject(part)) return;
    for (const [key, property] of Object.entries(part.properties)) {
      homes.set(key, [...(homes.get(key) ?? []), path]);
      collect(property, join(path, key));
    }
  };
  collect(schema, "");
  return homes;
}
