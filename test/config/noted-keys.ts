// The options of the schema that say whether a running node takes them over.
import { KindGuard, type TSchema } from "@sinclair/typebox";
import type { Takes } from "../../src/config/reload-notes.ts";
import { notesOf } from "../../src/config/walk.ts";

/**
 * Every option that has a `reload` note of its own, with `[]` for the items of a list.
 * @param takes only those with this note
 */
export function notedKeys(schema: TSchema, path: string, takes?: Takes): string[] {
  const { reload } = notesOf(schema);
  const own = reload !== undefined && (takes === undefined || takes === reload) ? [path] : [];
  if (KindGuard.IsUnion(schema)) {
    return [
      ...own,
      ...schema.anyOf.flatMap((each) => (KindGuard.IsObject(each) ? notedKeys(each, path, takes) : [])),
    ];
  }
  if (KindGuard.IsArray(schema)) return [...own, ...notedKeys(schema.items, `${path}[]`, takes)];
  if (!KindGuard.IsObject(schema)) return own;
  return [
    ...own,
    ...Object.entries(schema.properties).flatMap(([key, option]) =>
      notedKeys(option, path === "" ? key : `${path}.${key}`, takes),
    ),
  ];
}
