// Words for what an option expects and for what was found instead. A text is repeated only where it is too short to be
// a secret that was pasted into the wrong place, and only where words or durations are expected.
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

// The shortest enrolment secret has 16 characters, an APNs key id ten and no secret in it.
const LONGEST_REPEATED = 15;

/** A text in quotes as it may be repeated in a message, or null if it may not. */
export function quoted(text: string): string | null {
  return text.length <= LONGEST_REPEATED && /^[\x20-\x7e]+$/.test(text) ? JSON.stringify(text) : null;
}

function typeHint(schema: TSchema, found: unknown): string | null {
  if (KindGuard.IsInteger(schema) && typeof found === "string" && /^\d+$/.test(found))
    return "remove the quotes";
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
  const isDuration = (schema as Partial<OptionNotes>).rule === "duration";
  // A number where a number belongs is a port, not a secret.
  if (typeof value === "number") return KindGuard.IsInteger(schema) || isDuration ? `${value}` : "a number";
  if (typeof value === "string") {
    if (value === "") return "an empty text";
    const isWord = literals(schema).length > 0;
    if (!KindGuard.IsString(schema) && !isWord) return "text";
    return (isWord || isDuration ? quoted(value) : null) ?? "a different text";
  }
  return "something else";
}
