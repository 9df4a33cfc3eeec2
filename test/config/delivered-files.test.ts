// The delivered config/inboxbell.yaml and its JSON Schema, held against the loader.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { examineFiles } from "../../src/config/examine.ts";
import { readConfig } from "../../src/config/load.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { ConfigSchema } from "../../src/config/schema.ts";
import { notesOf } from "../../src/config/walk.ts";
import { createWorkshop, furnish, read } from "./helpers.ts";

const root = join(import.meta.dir, "..", "..");
const delivered = readFileSync(join(root, "config", "inboxbell.yaml"), "utf8");
const published = JSON.parse(readFileSync(join(root, "config", "inboxbell.schema.json"), "utf8"));

describe("the delivered configuration", () => {
  test("is good once the files that it names are there", () => {
    const workshop = createWorkshop();
    try {
      furnish(workshop);
      const reading = readConfig(workshop.write("inboxbell.yaml", delivered), {});
      expect(reading.problems.map(formatProblem)).toEqual([]);
      expect(examineFiles(reading, {}, Date.now()).problems).toEqual([]);
      expect(reading.config?.apps[0]).toMatchObject({ id: "com.example.mail", ring: "badge" });
      expect(reading.config?.public.exchangeUrl).toBe("https://bell.corp.example:9443");
      // An open listener is what has to be thought about, and nothing else.
      expect(reading.warnings.map((one) => one.keyPath)).toEqual([
        "listen.registration.allow",
        "listen.exchange.allow",
      ]);
    } finally {
      workshop.remove();
    }
  });

  test("can have every option taken in by removing its #, and shows their defaults", () => {
    const everything = delivered.replace(/^( *)#(?=[^ \n])/gm, "$1");
    const { problems } = read(everything);
    // Only one of the two kinds of Apple credentials can be used, and a port only with Apple's own address.
    expect(problems.map((one) => one.keyPath).sort()).toEqual([
      "apps[0].apns.certificate",
      "apps[0].apns.port",
    ]);
    const possible = everything.replace(/ +certificate:\n(.*\n){6}/, "").replace(/ +port: 2197\n/, "");
    const { config } = read(possible);
    expect(config?.log).toEqual({ level: "info", format: "auto" });
    expect(config?.listen.admin).toEqual({ address: "127.0.0.1", port: 9090 });
    expect(config?.egress.caFile).toBe("/etc/inboxbell/extra-ca.pem");
    expect(config?.egress.proxy?.user?.passwordFile).toBe("/etc/inboxbell/proxy.password");
    expect(config?.subscriptions).toEqual({ statusFrequencyMinutes: 15, unknownGraceMs: 3_600_000 });
  });

  test("has every option that this version takes, with an explanation above it", () => {
    for (const { path, key } of options(ConfigSchema)) {
      const found = new RegExp(`# .*\\n *(- )?#?${key}:`).test(delivered);
      expect([path, found]).toEqual([path, true]);
    }
  });

  test("keeps its lines short enough for a terminal", () => {
    expect(delivered.split("\n").filter((line) => line.length > 110)).toEqual([]);
  });
});

test("the shortest file of docs/configuration.md is good", () => {
  const page = readFileSync(join(root, "docs", "configuration.md"), "utf8");
  const block = /```yaml\n(public:[\s\S]+?)```/.exec(page)?.[1] ?? "";
  expect(read(block).problems.map(formatProblem)).toEqual([]);
  expect(read(block).config?.apps).toHaveLength(1);
});

test("every option says what it is and why its default is what it is", () => {
  for (const { path, schema } of options(ConfigSchema)) {
    const { title, description } = notesOf(schema);
    expect([path, title ?? "", description ?? ""]).toEqual([
      path,
      expect.stringMatching(/./),
      expect.stringMatching(/\.$/),
    ]);
    if (notesOf(schema).default === undefined || KindGuard.IsObject(schema)) continue;
    expect([path, description]).toEqual([path, expect.stringMatching(/[Dd]efault/)]);
  }
});

test("every option with a value says whether a change needs a restart", () => {
  for (const { path, schema } of options(ConfigSchema)) {
    const { reload } = notesOf(schema);
    const hasOptions =
      KindGuard.IsObject(schema) || (KindGuard.IsArray(schema) && KindGuard.IsObject(schema.items));
    if (!hasOptions) expect([path, reload]).toEqual([path, expect.stringMatching(/^(live|restart)$/)]);
  }
});

describe("the JSON Schema", () => {
  test("asks for what the loader asks for, and not for what has a default", () => {
    expect(published.required).toEqual(["public", "listen", "apps", "registration_auth"]);
    expect(published.properties.listen.required).toEqual(["registration", "exchange"]);
    expect(published.properties.listen.properties.exchange.required).toEqual(["tls"]);
    expect(published.properties.apps.items.required).toEqual(["id"]);
  });

  test("allows no other keys, but those starting x- at the top level", () => {
    const open: string[] = [];
    const visit = (node: unknown, path: string) => {
      if (typeof node !== "object" || node === null) return;
      if ("properties" in node && !("additionalProperties" in node && node.additionalProperties === false))
        open.push(path);
      for (const [key, inner] of Object.entries(node)) visit(inner, `${path}/${key}`);
    };
    visit(published, "");
    expect(open).toEqual([]);
    expect(published.patternProperties).toEqual({ "^x-": {} });
  });
});

/** Every option and section of the schema, by its path. */
function options(schema: TSchema, path = ""): { path: string; key: string; schema: TSchema }[] {
  if (KindGuard.IsArray(schema)) return options(schema.items, `${path}[]`);
  if (KindGuard.IsUnion(schema)) return schema.anyOf.flatMap((member) => options(member, path));
  if (!KindGuard.IsObject(schema)) return [];
  return Object.entries(schema.properties).flatMap(([key, property]) => [
    { path: `${path}/${key}`, key, schema: property },
    ...options(property, `${path}/${key}`),
  ]);
}
