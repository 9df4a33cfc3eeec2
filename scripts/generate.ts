// Makes the files that are written from the sources: config/inboxbell.yaml, config/inboxbell.schema.json,
// docs/errors.md and docs/metrics.md. Run by `npm run generate`; a test compares the files with what this makes.
import { join } from "node:path";
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { FREE_KEY, INTERNAL_NOTES, keysRequiredInFile } from "../src/config/options.ts";
import { ConfigSchema } from "../src/config/schema.ts";
import { notesOf } from "../src/config/walk.ts";
import { KINDS_OF_PAUSE, REASON_HINTS } from "../src/delivery/hints.ts";
import { CATALOGUE, type ErrorCode, type ErrorEntry } from "../src/errors.ts";
import { createMetrics } from "../src/ops/metrics.ts";
import { ALERT_RULES, labelNote } from "../src/ops/metrics-notes.ts";

const COMMENT_WIDTH = 110;

/** The delivered configuration: every option with its default and reason, optional ones commented out. */
export function exampleYaml(): string {
  const head = [
    "# yaml-language-server: $schema=inboxbell.schema.json",
    comment(
      "Configuration of Inboxbell. Every option is here with its default and the reason for it. Lines that start with # and a space explain; lines that start with # alone are options at their default, or with an example where there is none: remove the # to change one, together with the sections around it. Replace the other values by yours, then run `inboxbell check`.",
      "",
    ),
    "#",
    comment(
      "Relative paths are relative to this file. Durations are written 500ms, 3s, 15m, 12h, 60d. Secrets stand in files of their own, never here. Unknown keys are errors; keys at the top that start with x- are free for YAML anchors.",
      "",
    ),
  ];
  return `${[...head, ...properties(ConfigSchema, "", false)].join("\n")}\n`;
}

function properties(schema: TSchema, indent: string, off: boolean): string[] {
  if (!KindGuard.IsObject(schema)) return [];
  const required = keysRequiredInFile(schema);
  const lines: string[] = [];
  for (const [key, option] of Object.entries(schema.properties)) {
    const notes = notesOf(option);
    const optional = !required.includes(key) && notes.shown !== true;
    if (indent === "" || lines.length > 0) lines.push("");
    lines.push(comment(`${notes.title}. ${notes.description ?? ""}`.trim(), indent));
    lines.push(...value(key, option, indent, off || optional));
  }
  return lines;
}

function value(key: string, option: TSchema, indent: string, off: boolean): string[] {
  const mark = off ? "#" : "";
  const notes = notesOf(option);
  const inner = KindGuard.IsUnion(option) ? option.anyOf[0] : option;
  if (inner !== undefined && KindGuard.IsObject(inner)) {
    return [`${indent}${mark}${key}:`, ...properties(inner, `${indent}  `, off)];
  }
  if (KindGuard.IsArray(option) && KindGuard.IsObject(option.items)) {
    // The dash stands alone, so that the comments of the first option are above it like all others.
    return [
      `${indent}${mark}${key}:`,
      `${indent}  ${mark}-`,
      ...properties(option.items, `${indent}    `, off),
    ];
  }
  return [`${indent}${mark}${key}: ${scalar(notes.examples?.[0] ?? notes.default)}`];
}

function scalar(example: unknown): string {
  if (Array.isArray(example)) return `[${example.map(scalar).join(", ")}]`;
  const text = String(example);
  // Quoted only where YAML would read something else than the text.
  return /^[A-Za-z0-9_./][A-Za-z0-9_./:@-]*$/.test(text) ? text : JSON.stringify(text);
}

function comment(text: string, indent: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + word.length + 3 > COMMENT_WIDTH) {
      lines.push(`${indent}# ${line}`);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(`${indent}# ${line}`);
  return lines.join("\n");
}

/** The JSON Schema for editors, without the loader's own annotations. */
export function jsonSchema(): string {
  const whole = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    ...published(ConfigSchema),
    patternProperties: { [FREE_KEY.source]: {} },
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

/** A schema as readers need it: what has a default is not required, and notes for the loader are left out. */
function published(schema: TSchema): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(schema)) {
    if (key === "reload") result["x-reload"] = inner;
    if (INTERNAL_NOTES.has(key)) continue;
    // Draft 2020-12 has arrays of schemas here, and mappings of schemas under "properties".
    if (key === "properties") {
      result[key] = Object.fromEntries(
        Object.entries(inner as Record<string, TSchema>).map(([name, property]) => [
          name,
          published(property),
        ]),
      );
    } else if (key === "required") {
      const required = KindGuard.IsObject(schema) ? keysRequiredInFile(schema) : [];
      if (required.length > 0) result[key] = required;
    } else if (key === "anyOf") {
      result[key] = (inner as TSchema[]).map(published);
    } else if (key === "items" || key === "not") {
      result[key] = published(inner as TSchema);
    } else {
      result[key] = inner;
    }
  }
  return result;
}

/** Chapters of the list of errors, each by the first code of the catalogue that belongs to it. */
const CHAPTERS: readonly (readonly [title: string, first: ErrorCode])[] = [
  ["Command line", "usage"],
  ["Configuration and secrets", "config_unreadable"],
  ["Keys", "keys_invalid"],
  ["Database", "store_newer_schema"],
  ["Subscriptions", "exchange_forgot"],
  ["The running node", "control_socket"],
  ["Listening", "listen_in_use"],
  ["Registration API", "malformed"],
];

/** The list of errors for people: every code of the catalogue with its meaning and remedy, and the reasons in the log. */
export function errorsPage(): string {
  const entries = Object.entries(CATALOGUE as Readonly<Record<string, ErrorEntry>>);
  const sections = entries.map(([code, entry]) => {
    const chapter = CHAPTERS.find(([, first]) => first === code);
    const title = chapter === undefined ? "" : `## ${chapter[0]}\n\n`;
    const status = entry.status === undefined ? "" : `HTTP status ${entry.status}.\n\n`;
    return `${title}### ${code}\n\n${entry.text}\n\n${status}**What to do:** ${entry.remedy}\n`;
  });
  return [
    "# Errors",
    "",
    "Every error that Inboxbell prints, logs or answers carries one of these codes. Codes are never renamed or reused.",
    "This page is generated from the error catalogue (`src/errors.ts`) and the hints on pauses (`src/delivery/hints.ts`).",
    "",
    ...CHAPTERS.map(([title]) => `- [${title}](#${anchor(title)})`),
    `- [${REASONS}](#${anchor(REASONS)})`,
    "",
    ...sections,
    `## ${REASONS}`,
    "",
    "Why rings wait, in the word of the provider or of what failed on the way: `reason` in the log, in the metrics and, as",
    "`outcome`, at single rings. What is owed stays owed, and ringing goes on by itself once the cause is gone.",
    "",
    "| reason | what to do |",
    "|---|---|",
    ...[...KINDS_OF_PAUSE, ...REASON_HINTS].map(([reason, hint]) => `| \`${reason}\` | ${hint} |`),
    "",
  ].join("\n");
}

const REASONS = "Reasons in the log";

/** As GitHub makes it of a heading. */
function anchor(title: string): string {
  return title.toLowerCase().replaceAll(" ", "-");
}

interface DescribedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labelNames: readonly string[];
}

const PREFIX = "inboxbell_";

/** What the administrators' listener gives to Prometheus. */
export function metricsPage(): string {
  const { registry } = createMetrics({ version: "", commit: "" });
  // prom-client's type of a metric leaves out what it keeps of its description.
  const metrics = registry.getMetricsAsArray() as unknown as readonly DescribedMetric[];
  const rows = metrics.map(({ name, help, type, labelNames }) => {
    const labels = labelNames.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
  });
  const labels = new Map<string, string>();
  for (const { name, labelNames } of metrics) {
    for (const label of labelNames) {
      const metric = name.slice(PREFIX.length);
      const note = labelNote(metric, label);
      if (note === undefined) throw new Error(`src/ops/metrics-notes.ts has nothing on ${label} of ${name}`);
      const isOwn = note !== labelNote("", label);
      labels.set(isOwn ? `\`${label}\` of \`${name}\`` : `\`${label}\``, note);
    }
  }
  return [
    "# Metrics",
    "",
    "The administrators' listener answers `GET /metrics` (by default `http://127.0.0.1:9090/metrics`) in Prometheus' text",
    "format. No label carries anything personal. This page is generated from the metrics' own help texts (`src/ops/`).",
    "",
    "| metric | type | labels | what it is |",
    "|---|---|---|---|",
    ...rows,
    "",
    "A histogram `…_seconds` has `_bucket`, `_sum` and `_count`. Counters begin at zero with each start.",
    "",
    "## Values of the labels",
    "",
    "| label | values |",
    "|---|---|",
    ...[...labels].map(([label, note]) => `| ${label} | ${note} |`),
    "",
    "## Alerts worth having",
    "",
    "```yaml",
    ALERT_RULES.trimEnd(),
    "```",
    "",
  ].join("\n");
}

/** Path within the repository to contents. */
export function generatedFiles(): Readonly<Record<string, string>> {
  return {
    "config/inboxbell.yaml": exampleYaml(),
    "config/inboxbell.schema.json": jsonSchema(),
    "docs/errors.md": errorsPage(),
    "docs/metrics.md": metricsPage(),
  };
}

if (import.meta.main) {
  for (const [file, contents] of Object.entries(generatedFiles())) {
    await Bun.write(join(import.meta.dir, "..", file), contents);
    console.log(`Wrote ${file}.`);
  }
}
