// inboxbell.yaml(5), made from the schema that the loader checks with.
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { DEFAULT_CONFIG } from "../../src/cli/defaults.ts";
import { keysRequiredInFile } from "../../src/config/options.ts";
import { ConfigSchema } from "../../src/config/schema.ts";
import { notesOf } from "../../src/config/walk.ts";
import { MAINTAINER } from "./facts.ts";
import { bold, escaped, example, paragraph, section, subsection, titleLine } from "./roff.ts";

/** The page as troff. */
export function configPage(date: Date, version: string): string {
  const top = KindGuard.IsObject(ConfigSchema) ? Object.entries(ConfigSchema.properties) : [];
  return `${[
    titleLine("inboxbell.yaml", 5, date, version, "Inboxbell"),
    section("Name"),
    "inboxbell.yaml \\- configuration of Inboxbell",
    section("Synopsis"),
    bold(DEFAULT_CONFIG),
    section("Description"),
    paragraph(
      "One YAML file. Relative paths are relative to it. Durations are written 500ms, 3s, 15m, 12h, 60d. Secrets stand in files of their own. Unknown keys are errors; keys at the top that begin with x- are free for YAML anchors.",
    ),
    ".PP",
    paragraph(
      "`inboxbell setup` writes it, `inboxbell check` finds every problem at once, and `systemctl reload inboxbell` takes over what is marked live. A file with an error is refused, and the node goes on with what it has.",
    ),
    section("Options"),
    ...top.flatMap(([key, schema]) => topLevel(key, schema)),
    section("Example"),
    "The least that a node needs:",
    example(EXAMPLE),
    section("See also"),
    ".BR inboxbell (1)",
    ".PP",
    escaped("/usr/share/inboxbell/inboxbell.schema.json is the JSON Schema, for editors."),
    section("Authors"),
    escaped(MAINTAINER),
  ].join("\n")}\n`;
}

const EXAMPLE = `public:
  registration_url: https://push.corp.example
  exchange_url: https://bell.corp.example:9443
listen:
  registration: { tls: { certificate: tls/reg.pem, key: tls/reg.key } }
  exchange: { tls: { certificate: tls/ews.pem, key: tls/ews.key } }
apps:
  - id: com.example.mail
    apns: { key: { file: AuthKey.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ } }
registration_auth:
  - { type: enrolment_secret, file: enrolment.secret }`;

function topLevel(key: string, schema: TSchema): readonly string[] {
  const below = options(schema, key);
  if (below.length === 0) return [subsection(key), explanation(schema)];
  return [subsection(key), paragraph(text(schema)), ...below];
}

/** Every option below a schema, with its whole path. */
function options(schema: TSchema, path: string): readonly string[] {
  if (KindGuard.IsArray(schema)) {
    return KindGuard.IsObject(schema.items) || KindGuard.IsUnion(schema.items)
      ? options(schema.items, `${path}[]`)
      : [];
  }
  if (KindGuard.IsUnion(schema)) {
    return schema.anyOf.flatMap((member) => (KindGuard.IsObject(member) ? options(member, path) : []));
  }
  if (!KindGuard.IsObject(schema)) return [];
  const required = keysRequiredInFile(schema);
  return Object.entries(schema.properties).flatMap(([key, option]) => {
    const whole = `${path}.${key}`;
    const mark = required.includes(key) ? " (required)" : "";
    return [`.TP\n${bold(whole)}${mark}\n${explanation(option)}`, ...options(option, whole)];
  });
}

function explanation(schema: TSchema): string {
  const { default: standard, reload } = notesOf(schema) as {
    readonly default?: unknown;
    readonly reload?: "live" | "restart";
  };
  const parts = [text(schema)];
  const isTold = /\bdefault\b/i.test(text(schema));
  if (!isTold && (typeof standard === "string" || typeof standard === "number")) {
    parts.push(`Default: ${standard}.`);
  }
  if (reload === "live") parts.push("A reload takes a change over.");
  if (reload === "restart") parts.push("A change takes a restart.");
  return paragraph(parts.join(" "));
}

function text(schema: TSchema): string {
  const { title, description } = notesOf(schema);
  return [title === undefined ? "" : `${title}.`, description ?? ""].join(" ").trim();
}
