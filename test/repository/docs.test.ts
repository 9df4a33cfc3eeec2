// The documents against the sources: what they link to, name and quote has to exist, so that a rename or a changed
// sentence does not leave a reader with a command, metric or log line that is no more.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { SaxesParser } from "saxes";
import { parse as parseYaml } from "yaml";
import { createProgram } from "../../src/cli/program.ts";
import { ConfigSchema } from "../../src/config/schema.ts";
import type { Config } from "../../src/config/types.ts";
import { CATALOGUE } from "../../src/errors.ts";
import { quietLimitMs } from "../../src/exchange/watch.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { ewsGuidance } from "../../src/registration/discovery.ts";
import { nextRetry } from "../../src/rehearsal/ews/retry.ts";

const root = join(import.meta.dir, "..", "..");
const MINUTE_MS = 60_000;

// As the command line of NetScaler has them: a verb, and a group of objects.
const NETSCALER_COMMAND =
  /^(?:add|bind|set|show) (?:aaa|authorization|lb|netProfile|server|serviceGroup|service|vpn)\b/m;

/** A document, taken apart. */
interface Page {
  readonly name: string;
  /** Without fenced code. */
  readonly prose: string;
  readonly fences: readonly { readonly language: string; readonly text: string }[];
  /** Inline code, in order. */
  readonly spans: readonly string[];
}

const FENCE = /^[ \t]*```(\w*)\n(.*?)^[ \t]*```$/gms;
const SPAN = /`([^`\n]+)`/g;

function readPage(path: string): Page {
  const text = readFileSync(path, "utf8");
  const prose = text.replace(FENCE, "");
  return {
    name: relative(root, path),
    prose,
    fences: [...text.matchAll(FENCE)].map(([, language = "", inner = ""]) => ({ language, text: inner })),
    spans: spansOf(prose),
  };
}

function spansOf(text: string): readonly string[] {
  return [...text.matchAll(SPAN)].map(([, span = ""]) => span);
}

const documents = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
const pages = ["README.md", ...documents.map((name) => join("docs", name))].map((name) =>
  readPage(join(root, name)),
);

const sources = [...new Bun.Glob("src/**/*.ts").scanSync(root)]
  .map((name) => readFileSync(join(root, name), "utf8"))
  .join("\n");

/** The anchor that GitHub gives a heading. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(path: string): ReadonlySet<string> {
  return new Set(
    [...readPage(path).prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => slug(heading.trim())),
  );
}

/** Inline code in the cells of a column with this heading, of all tables of a page. */
function columnSpans(page: Page, heading: string): readonly string[] {
  const found: string[] = [];
  let column = -1;
  for (const line of page.prose.split("\n")) {
    const cells = line.trim().startsWith("|") ? line.split(/(?<!\\)\|/).map((cell) => cell.trim()) : null;
    if (cells === null) column = -1;
    else if (column < 0) column = cells.indexOf(heading);
    else found.push(...spansOf(cells[column] ?? ""));
  }
  return found;
}

/** Inline and fenced code, line by line, in which commands stand. */
function codeLines({ spans, fences }: Page): readonly string[] {
  const shells = fences.filter(({ language }) => language !== "json");
  return [...spans, ...shells.flatMap(({ text }) => text.split("\n"))];
}

// The configuration

function propertiesOf(schema: TSchema): Readonly<Record<string, TSchema>> {
  if (KindGuard.IsObject(schema)) return schema.properties;
  if (KindGuard.IsArray(schema)) return propertiesOf(schema.items);
  if (KindGuard.IsUnion(schema)) return Object.assign({}, ...schema.anyOf.map(propertiesOf));
  return {};
}

function keyNames(schema: TSchema): readonly string[] {
  return Object.entries(propertiesOf(schema)).flatMap(([name, inner]) => [name, ...keyNames(inner)]);
}

const sections = propertiesOf(ConfigSchema);
const appSections = propertiesOf(sections.apps!);
const allKeys = new Set(keyNames(ConfigSchema));

/** Whether there are such keys below a schema; `*` stands for any. */
function leads(schema: TSchema, [step, ...rest]: readonly string[]): boolean {
  if (step === undefined) return true;
  const inner = propertiesOf(schema);
  if (step === "*") return Object.values(inner).some((each) => leads(each, rest));
  return Object.hasOwn(inner, step) && leads(inner[step]!, rest);
}

// `listen.exchange.allow`, `apps[].apns.key.file`, `log.level: debug`.
const KEY_PATH = /^([a-z_]+)(?:\[[^\]]*\])?((?:\.(?:[a-z_]+|\*)(?:\[[^\]]*\])?)+)(?:: .+)?$/;

/** False if inline code has the form of a key path and is none; an app's keys may be written without `apps[]`. */
function isGoodPath(span: string): boolean {
  // Hosts and files have the same form.
  if (/\.(?:com|example|json|ts)$/.test(span)) return true;
  const [, first = "", rest = ""] = KEY_PATH.exec(span) ?? [];
  const steps = rest
    .replaceAll(/\[[^\]]*\]/g, "")
    .split(".")
    .slice(1);
  const starts = [sections, appSections].filter((each) => Object.hasOwn(each, first));
  return starts.length === 0 || starts.some((each) => leads(each[first]!, steps));
}

/** Keys of a mapping in an example that the configuration does not know. */
function strangeKeys(value: unknown, schema: TSchema | null): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((each) => strangeKeys(each, schema));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    if (schema === null) return allKeys.has(key) ? [] : [key];
    const next = propertiesOf(schema)[key];
    return next === undefined ? [key] : strangeKeys(inner, next);
  });
}

// Metrics and the command line

const { registry } = createMetrics({ version: "0", commit: "0" });
const metrics = new Map(
  registry.getMetricsAsArray().map((metric) => {
    const { name, labelNames } = metric as unknown as { name: string; labelNames?: readonly string[] };
    return [name, labelNames ?? []] as const;
  }),
);

/** What is wrong with the metrics that a text names, with or without labels in braces. */
function strangeMetrics(text: string): readonly string[] {
  return [...text.matchAll(/\b(inboxbell_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].flatMap(
    ([all, name = "", labels = ""]) => {
      const known = metrics.get(name) ?? metrics.get(name.replace(/_(?:bucket|sum|count)$/, ""));
      if (known === undefined) return [all];
      const used = [...labels.matchAll(/(?:^|,)\s*([a-z_]+)/g)].map(([, label = ""]) => label);
      return used.every((label) => known.includes(label) || label === "le") ? [] : [all];
    },
  );
}

type Verb = ReturnType<typeof createProgram>;
const verbsOf = (command: Verb) => new Map(command.commands.map((each) => [each.name(), each]));
const verbs = verbsOf(createProgram());

/** The verb below a verb, as in `pair join`, or the verb itself. */
function innermost(command: Verb | undefined, rest: string): Verb | undefined {
  const [, next = ""] = /^[ \t]+([a-z]+)/.exec(rest) ?? [];
  return command === undefined ? undefined : (verbsOf(command).get(next) ?? command);
}

/** Commands of a line that this version does not take: the verb, or one of its options. */
function strangeCommands(line: string): readonly string[] {
  const found: string[] = [];
  // Looked ahead, since `sudo -u inboxbell inboxbell check` names the user first.
  for (const { 1: verb = "", 2: rest = "" } of line.matchAll(
    /(?<![\w:.-])inboxbell[ \t]+(?=([a-z]+)([^#|;]*))/g,
  )) {
    if (verb === "inboxbell") continue;
    const command = innermost(verbs.get(verb), rest);
    const known = command?.options.map(({ long }) => long) ?? [];
    const used = rest.match(/--[a-z-]+/g) ?? [];
    if (command === undefined) found.push(verb);
    else found.push(...used.filter((option) => !known.includes(option)).map((option) => `${verb} ${option}`));
  }
  return found;
}

describe("in every document", () => {
  for (const page of pages) {
    describe(page.name, () => {
      test("each relative link leads to a file, and to a heading in it", () => {
        const broken = [...page.prose.matchAll(/\]\(([^)\s]+)\)/g)]
          .map(([, target = ""]) => target)
          .filter((target) => !/^[a-z]+:/.test(target))
          .filter((target) => {
            const [file = "", anchor] = target.split("#");
            const path = join(root, file === "" ? page.name : join(dirname(page.name), file));
            return !existsSync(path) || (anchor !== undefined && !anchorsOf(path).has(anchor));
          });
        expect(broken).toEqual([]);
      });

      test("each configuration key exists", () => {
        expect(page.spans.filter((span) => !isGoodPath(span))).toEqual([]);
        for (const { text } of page.fences.filter(({ language }) => language === "yaml")) {
          const example: unknown = parseYaml(text);
          const keys = Object.keys(example as object);
          // A part of a section is looked at key by key; what begins with no key of ours is another program's.
          const isWhole = keys.some((key) => Object.hasOwn(sections, key));
          if (!isWhole && !keys.some((key) => allKeys.has(key))) continue;
          expect(strangeKeys(example, isWhole ? ConfigSchema : null)).toEqual([]);
        }
      });

      test("each metric exists, with the labels that are named", () => {
        const texts = [page.prose, ...page.fences.map(({ text }) => text)];
        expect(texts.flatMap(strangeMetrics)).toEqual([]);
      });

      test("each command is one of this version, with its options", () => {
        expect(codeLines(page).flatMap(strangeCommands)).toEqual([]);
      });

      test("each error code is in the catalogue", () => {
        const inTables = columnSpans(page, "code");
        const inExamples = page.fences.flatMap(({ text }) => [...text.matchAll(/"code": "(\w+)"/g)]);
        const codes = [...inTables, ...inExamples.map(([, code = ""]) => code)];
        expect(codes.filter((code) => !Object.hasOwn(CATALOGUE, code))).toEqual([]);
      });

      test("each word of the product's own, such as a reason or a field, stands in the sources", () => {
        const words = page.spans.filter((span) => /^(?!inboxbell_)[a-z]+(?:_[a-z]+)+$/.test(span));
        expect(words.filter((word) => !new RegExp(`\\b${word}\\b`).test(sources))).toEqual([]);
      });

      test("each log line that a table explains is written by the sources", () => {
        expect(columnSpans(page, "log line").filter((line) => !sources.includes(line))).toEqual([]);
      });
    });
  }
});

describe("examples for what no test can try", () => {
  const MARK = "# Checked against vendor documentation only.";
  const from = (wanted: (fence: Page["fences"][number]) => boolean) =>
    pages.flatMap(({ name, fences }) => fences.filter(wanted).map(({ text }) => ({ name, text })));
  const unmarked = (examples: readonly { readonly name: string; readonly text: string }[]) =>
    examples.filter(({ text }) => !text.startsWith(MARK));

  test("say so: PowerShell for Exchange servers", () => {
    const examples = from(({ language }) => language === "powershell");
    expect(examples.filter(({ name }) => name === "docs/exchange.md").length).toBeGreaterThan(5);
    expect(unmarked(examples)).toEqual([]);
  });

  test("say so: commands for a NetScaler, on whatever page", () => {
    const examples = from(({ language, text }) => language === "" && NETSCALER_COMMAND.test(text));
    expect(examples.filter(({ name }) => name === "docs/citrix-gateway.md").length).toBeGreaterThan(3);
    expect(unmarked(examples)).toEqual([]);
    // Nothing on that page is for another machine.
    expect(unmarked(from(() => true).filter(({ name }) => name === "docs/citrix-gateway.md"))).toEqual([]);
  });

  test("say so: the file for a NetScaler, and the page that begins with what was not tried", () => {
    const file = readFileSync(join(root, "config", "front", "netscaler.txt"), "utf8");
    expect(file).toMatch(NETSCALER_COMMAND);
    expect(file.split("\n")[0]).toEndWith("Checked against vendor documentation only.");
    const gateway = pages.find(({ name }) => name === "docs/citrix-gateway.md")!;
    expect(gateway.prose.split("\n## ")[0]).toContain("**Nothing here was tried on a NetScaler.**");
  });
});

describe("docs/exchange.md", () => {
  const page = pages.find(({ name }) => name === "docs/exchange.md")!;

  test("shows a Subscribe that asks for what apps are told to ask for", () => {
    const examples = page.fences.filter(({ text }) => text.includes("PushSubscriptionRequest"));
    const values = new Map<string, string[]>();
    const order: string[] = [];
    for (const { text } of examples) {
      const parser = new SaxesParser({ xmlns: true });
      let inside = "";
      parser.on("opentag", ({ local }) => {
        inside = local;
        order.push(local);
      });
      parser.on("text", (value) => {
        if (value.trim() !== "") values.set(inside, [...(values.get(inside) ?? []), value]);
      });
      // Throws what is not well-formed.
      parser.write(text).close();
    }
    const statusFrequency: string = propertiesOf(sections.subscriptions!).status_frequency!.default;
    const statusFrequencyMinutes = Number(statusFrequency.replace("m", ""));
    const guidance = ewsGuidance({
      subscriptions: { statusFrequencyMinutes },
      listen: { exchange: { sharedRoute: false } },
    } as Config);
    expect(values.get("EventType")).toEqual([...guidance.event_types]);
    expect(values.get("StatusFrequency")).toEqual([String(guidance.status_frequency_minutes)]);
    // MS-OXWSNTIF, PushSubscriptionRequestType: a sequence.
    const sequence = ["FolderIds", "EventTypes", "StatusFrequency", "URL"];
    expect(order.filter((name) => sequence.includes(name))).toEqual(sequence);
  });

  test("tells how long Exchange is patient, and when silence counts, as the rules have it", () => {
    const rows = [...page.prose.matchAll(/^\| (\d+) min.* \| (\d+) min \| (\d+) min \|$/gm)];
    const told = rows.map((row) => row.slice(1, 4).map(Number));
    const ruled = told.map(([frequency = 0]) => {
      let outageMs = 0;
      for (let failures = 1; ; failures += 1) {
        const waitMs = nextRetry(failures, frequency);
        if (waitMs === "drop") break;
        outageMs += waitMs;
      }
      return [frequency, Math.floor(outageMs / MINUTE_MS), quietLimitMs(frequency, false) / MINUTE_MS];
    });
    expect(told).toHaveLength(3);
    expect(told).toEqual(ruled);
  });
});
