// The manual pages against the command line and the delivered schema: every verb with its options and values, and every
// configuration key, stands where its reader looks for it.
import { describe, expect, test } from "bun:test";
import schema from "../../config/inboxbell.schema.json" with { type: "json" };
import { commandPage } from "../../scripts/package/man-command.ts";
import { configPage } from "../../scripts/package/man-config.ts";
import { createProgram } from "../../src/cli/program.ts";

const program = createProgram();

/** The parts of a page by their headings, as a reader sees them: macros of fonts and escapes are gone. */
function partsOf(page: string): ReadonlyMap<string, string> {
  const parts = new Map<string, string>();
  const plain = page
    .replaceAll("\\-", "-")
    .replaceAll(/\\f[BIR]/g, "")
    .replaceAll("\\e", "\\");
  for (const part of plain.split(/^\.S[HS] /m).slice(1)) {
    const [heading = "", ...lines] = part.split("\n");
    parts.set(heading.replaceAll('"', ""), lines.join("\n"));
  }
  return parts;
}

/** Terms of a part's list: the line after each `.TP`. */
function termsOf(part: string | undefined): readonly string[] {
  return [...(part ?? "").matchAll(/^\.TP\n(.*)$/gm)].map(([, term = ""]) => term);
}

/** A description as the page has it: a sentence, with what stood in backticks bold. */
const told = (description: string) => description.slice(1).replaceAll("`", "");

describe("inboxbell(1)", () => {
  const parts = partsOf(commandPage(program, new Date(0), "1.0.0"));
  type Command = typeof program;
  const innermost = (command: Command, path: string): readonly (readonly [string, Command])[] =>
    command.commands.flatMap((each) => {
      const name = `${path}${each.name()}`;
      return each.commands.length === 0 ? [[name, each] as const] : innermost(each, `${name} `);
    });
  const verbs = innermost(program, "");

  test("knows verbs with verbs below them", () => {
    expect(verbs.map(([name]) => name)).toEqual(expect.arrayContaining(["serve", "pair join", "completion"]));
  });

  test.each(verbs)(
    "tells of %s: what it does, what it takes, each option, and the values to choose from",
    (name, verb) => {
      const part = parts.get(name);
      expect(part).toContain(told(verb.description()));
      const terms = termsOf(part);
      const options = verb.options.filter(({ hidden }) => !hidden);
      const flags = options.map(({ flags: written }) => written);
      expect(terms.slice(verb.registeredArguments.length)).toEqual(flags);
      for (const { argChoices } of options) {
        if (argChoices !== undefined) expect(part).toContain(argChoices.join(", "));
      }
      for (const argument of verb.registeredArguments) expect(part).toContain(told(argument.description));
    },
  );

  test("tells of the options that every verb has", () => {
    expect(termsOf(parts.get("OPTIONS"))).toEqual(["--version, -V", "--help, -h"]);
  });
});

describe("inboxbell.yaml(5)", () => {
  interface Node {
    readonly properties?: Readonly<Record<string, Node>>;
    readonly items?: Node;
    readonly anyOf?: readonly Node[];
    readonly title?: string;
  }
  const below = (node: Node, path: string): readonly string[] => [
    ...Object.entries(node.properties ?? {}).flatMap(([key, inner]) => [
      `${path}.${key}`,
      ...below(inner, `${path}.${key}`),
    ]),
    ...(node.items === undefined ? [] : below(node.items, `${path}[]`)),
    ...(node.anyOf ?? []).flatMap((member) => below(member, path)),
  ];
  const parts = partsOf(configPage(new Date(0), "1.0.0"));
  const keys = Object.entries((schema as Node).properties ?? {});

  test("knows the keys", () => {
    const all = keys.flatMap(([key, node]) => below(node, key));
    expect(all).toEqual(expect.arrayContaining(["apps[].apns.key.file", "listen.exchange.tls.certificate"]));
  });

  test.each(keys)("tells of %s and of every key below it", (key, node) => {
    expect(parts.get(key)).toContain(node.title ?? "");
    const terms = termsOf(parts.get(key)).map((term) => term.replace(" (required)", ""));
    expect([...new Set(terms)].sort()).toEqual([...new Set(below(node, key))].sort());
  });
});
