// Building blocks of the configuration's schema: the annotations that an option carries, and the few kinds of
// option there are.
import { type SchemaOptions, type TObject, type TProperties, Type } from "@sinclair/typebox";

/** Checks of a text that a pattern alone cannot express; implemented in leaf-rules.ts. */
export type LeafRule =
  | "duration"
  | "path"
  | "socket_path"
  | "address"
  | "cidr"
  | "host_port"
  | "origin_url"
  | "provider_url"
  | "proxy_url"
  | "no_proxy";

/** What a path option points to, so that `check` knows how to examine the file. */
export type FileRole =
  | "tls_certificate"
  | "tls_key"
  | "apns_key"
  | "apns_certificate"
  | "apns_password"
  | "proxy_password"
  | "service_account"
  | "enrolment_secret"
  | "ca"
  | "pair_ca"
  | "pair_certificate"
  | "pair_key"
  | "keys"
  | "store"
  | "socket";

/** Annotations that an option may carry beside JSON Schema's own keywords. */
export interface OptionNotes {
  /** What it is, a few words. */
  readonly title: string;
  /** What it does, its default and the reason for it: whole sentences, printed as comments and by editors. */
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  /** Whether a running node can take over a new value, or needs a restart for it. */
  readonly reload?: "live" | "restart";
  readonly rule?: LeafRule;
  /** Bounds of a duration, in milliseconds, and the step of which it must be a multiple. */
  readonly minMs?: number;
  readonly maxMs?: number;
  readonly stepMs?: number;
  /** Where a URL may be http instead of https; on loopback it is for simulators. */
  readonly plainHttp?: "anywhere" | "on_loopback" | "never";
  readonly file?: FileRole;
  /** What a value has to look like, for error messages: completes the words "expected …". */
  readonly expected?: string;
  /** Values of this option that are known but refused in this version. */
  readonly unavailableValues?: readonly string[];
  /** Names the property that decides what the other properties of this object mean. */
  readonly discriminator?: string;
  /** Optional, but written out in the delivered file instead of commented out. */
  readonly shown?: true;
}

/** Annotations that are meant for the loader and the generators, not for readers of the JSON Schema. */
export const INTERNAL_NOTES: ReadonlySet<string> = new Set<keyof OptionNotes>([
  "reload",
  "rule",
  "minMs",
  "maxMs",
  "stepMs",
  "plainHttp",
  "file",
  "expected",
  "unavailableValues",
  "discriminator",
  "shown",
]);

/** Checks the annotations' names at compile time; TypeBox itself would take any. */
export function notes(options: OptionNotes): SchemaOptions {
  return { ...options };
}

/** A mapping that allows no other keys. */
export function section<Properties extends TProperties>(properties: Properties, options: OptionNotes) {
  return Type.Object(properties, { ...notes(options), additionalProperties: false });
}

export const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;

/** Source of the pattern: the contract's durations, `500ms`, `3s`, `15m`, `12h`, `60d`. */
export const DURATION_PATTERN = "^[0-9]{1,9}(ms|s|m|h|d)$";

export function duration(options: OptionNotes) {
  return Type.String({ ...notes({ rule: "duration", ...options }), pattern: DURATION_PATTERN });
}

export function path(options: OptionNotes) {
  return Type.String({ ...notes({ rule: "path", ...options }), minLength: 1, maxLength: 4096 });
}

export function port(options: OptionNotes) {
  // 0 lets the kernel choose: tests and simulators use it.
  return Type.Integer({ ...notes(options), minimum: 0, maximum: 65_535 });
}

export function toggle(options: OptionNotes) {
  // YAML 1.2 reads on and off as text, YAML 1.1 as true and false: both are taken.
  return Type.Union(
    [Type.Boolean(), Type.Literal("on"), Type.Literal("off")],
    notes({ expected: "on or off", ...options }),
  );
}

/**
 * Keys that the file must have. In the TypeBox schema an option with a default is a required property, so that
 * `RawConfig` has it; the file may leave it out.
 */
export function keysRequiredInFile(schema: TObject): readonly string[] {
  return (schema.required ?? []).filter((key) => !Object.hasOwn(schema.properties[key] ?? {}, "default"));
}

/** Keys at the top level that are free for YAML anchors. */
export const FREE_KEY = /^x-/;
