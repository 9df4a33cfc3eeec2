// Which keys a running node can take over, as the schema's `reload` notes say.
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { ConfigSchema } from "./schema.ts";
import { notesOf } from "./walk.ts";

/** `live`: a running node takes a new value over; `restart`: it has to be started again for it. */
export type Takes = "live" | "restart";

/**
 * What the schema says of a key. A section or list without a note is `live` if everything in it is.
 * @param key as in the file; what is between brackets does not matter: `apps[com.example.mail].apns.topic`
 */
export function takesOf(key: string): Takes {
  let schema: TSchema | undefined = ConfigSchema;
  for (const step of key.split(/\.(?![^[]*\])|(?=\[)/)) {
    if (schema === undefined) break;
    schema = step.startsWith("[") ? items(schema) : property(schema, step);
  }
  // Nothing of a key that the schema does not know is taken over: it cannot have come from the file.
  return schema === undefined ? "restart" : takes(schema);
}

function takes(schema: TSchema): Takes {
  const { reload } = notesOf(schema);
  if (reload !== undefined) return reload;
  const parts = KindGuard.IsArray(schema)
    ? [schema.items]
    : KindGuard.IsObject(schema)
      ? Object.values(schema.properties)
      : [];
  return parts.length > 0 && parts.every((part) => takes(part) === "live") ? "live" : "restart";
}

function items(schema: TSchema): TSchema | undefined {
  return KindGuard.IsArray(schema) ? schema.items : undefined;
}

function property(schema: TSchema, name: string): TSchema | undefined {
  // `tls` is a mapping or the word off.
  const mapping = KindGuard.IsUnion(schema) ? schema.anyOf.find((each) => KindGuard.IsObject(each)) : schema;
  if (mapping === undefined || !KindGuard.IsObject(mapping)) return undefined;
  return Object.hasOwn(mapping.properties, name) ? mapping.properties[name] : undefined;
}
