// Words for what an option expects and for what was found instead. The text of a value is never repeated: a
// secret may have been pasted into the wrong place.
import { KindGuard, type TSchema, type TUnion } from "@sinclair/typebox";
import { nearest } from "./nearest.ts";
import type { OptionNotes } from "./options.ts";
import type { LocatedNode } from "./yaml-tree.ts";

/** Completes "expected …", with a hint when it is clear what was meant. */
export function describeExpected(schema: TSchema, found: unknown): { expected: string; hint: string | null } {
  const noted = (schema as Partial<OptionNotes>).expected;
  const choices = literals(schema);
  const near =
    noted === undefined && typeof found === "string" && choices.length > 1 ? nearest(found, choices) : null;
  const hint = near === null ? typeHint(schema, found) : `did you mean "${near}"?`;
  return { expected: noted ?? words(schema, choices), hint };
}

function typeHint(schema: TSchema, found: unknown): string | null {
  if (typeof found !== "number" || !KindGuard.IsString(schema)) return null;
  return (schema as Partial<OptionNotes>).rule === "duration"
    ? "add the unit: ms, s, m, h or d"
    : "put it in quotes, so that YAML reads it as text";
}

function words(schema: TSchema, choices: readonly string[]): string {
  if (choices.length > 0) return choices.length === 1 ? `"${choices[0]}"` : `one of ${choices.join(", ")}`;
  if (KindGuard.IsInteger(schema)) return `a whole number from ${schema.minimum ?? 0} to ${schema.maximum}`;
  if (KindGuard.IsObject(schema)) return "a mapping (indented keys)";
  if (KindGuard.IsArray(schema)) return "a list";
  return (schema as Partial<OptionNotes>).rule === "path" ? "a path" : "text";
}

function literals(schema: TSchema): string[] {
  if (KindGuard.IsLiteral(schema)) return [String(schema.const)];
  if (!KindGuard.IsUnion(schema)) return [];
  return (schema as TUnion).anyOf.flatMap(literals);
}

/** What stands there, by its kind. */
export function describeFound(node: LocatedNode, schema: TSchema): string {
  if (node.kind === "map") return "a mapping";
  if (node.kind === "list") return "a list";
  const { value } = node;
  if (value === null) return "nothing";
  if (typeof value === "boolean") return String(value);
  // A number where a number belongs is a port, not a secret.
  if (typeof value === "number") return KindGuard.IsInteger(schema) ? `${value}` : "a number";
  if (typeof value === "string") {
    if (value === "") return "an empty text";
    return KindGuard.IsString(schema) || literals(schema).length > 0 ? "a different text" : "text";
  }
  return "something else";
}
