// What is installed where, on every machine.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { completionScript } from "../../src/cli/completion.ts";
import { createProgram } from "../../src/cli/program.ts";
import { type Build, dateOf, VERSION } from "./facts.ts";
import { installedLinks } from "./links.ts";
import { commandPage } from "./man-command.ts";
import { configPage } from "./man-config.ts";
import type { InstalledFile } from "./tree.ts";

const PROGRAM = 0o755;
const FILE = 0o644;
// What the first line of the delivered configuration says to editors: where the schema is.
const SCHEMA_LINE = "$schema=inboxbell.schema.json";
export const SCHEMA = "/usr/share/inboxbell/inboxbell.schema.json";
export const DOC = "/usr/share/doc/inboxbell";

export interface ContentOptions {
  readonly build: Build;
  readonly executable: string;
  readonly notices: string;
  readonly bom: string;
  /** Directory of the unit files: dpkg's and rpm's distributions have different ones. */
  readonly unitDirectory: string;
  /** Directory in which zsh looks for what packages bring. */
  readonly zshDirectory: string;
  /** Where documents find changes and licence, which each kind of package brings in its own way. Absolute. */
  readonly changelog: string;
  readonly licence: string;
}

/** What is the same for each kind of package. */
export type CommonOptions = Pick<ContentOptions, "build" | "executable" | "notices" | "bom">;

/** The files that all packages have. */
export function contents(options: ContentOptions): readonly InstalledFile[] {
  const { build } = options;
  const read = (...path: readonly string[]) => readFileSync(join(build.root, ...path), "utf8");
  const text = (path: string, content: string | Uint8Array): InstalledFile => ({
    path,
    mode: FILE,
    content: { text: content },
  });
  const program = createProgram();
  const dropIns = readdirSync(join(build.root, "systemd", "drop-ins")).sort();
  const inDocs = readdirSync(join(build.root, "docs")).sort();
  const documents = [
    "README.md",
    ...inDocs.filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`),
  ];
  const pictures = inDocs.filter((name) => name.endsWith(".svg")).map((name) => `docs/${name}`);
  const fronts = readdirSync(join(build.root, "config", "front")).sort();
  const examples = fronts.map((name) => `config/front/${name}`);
  // The example again, since `setup` puts the configuration in its place.
  const example = "config/inboxbell.yaml";
  const places = new Map([
    ...[...documents, ...pictures, example, ...examples].map((name) => [name, `${DOC}/${name}`] as const),
    ["config/inboxbell.schema.json", SCHEMA] as const,
    ["CHANGELOG.md", options.changelog] as const,
    ["LICENSE", options.licence] as const,
  ]);
  return [
    { path: "/usr/bin/inboxbell", mode: PROGRAM, content: { copyOf: options.executable } },
    {
      ...text(
        "/etc/inboxbell/inboxbell.yaml",
        read("config", "inboxbell.yaml").replace(SCHEMA_LINE, `$schema=${SCHEMA}`),
      ),
      // Nothing secret is in it, yet the administrator may write names and addresses into it.
      mode: 0o640,
      isConfiguration: true,
    },
    text(`${options.unitDirectory}/inboxbell.service`, read("systemd", "inboxbell.service")),
    text("/usr/lib/sysusers.d/inboxbell.conf", read("systemd", "sysusers.conf")),
    text("/usr/lib/tmpfiles.d/inboxbell.conf", read("systemd", "tmpfiles.conf")),
    ...dropIns.map((name) =>
      text(`/usr/share/inboxbell/drop-ins/${name}`, read("systemd", "drop-ins", name)),
    ),
    text(SCHEMA, read("config", "inboxbell.schema.json")),
    text("/usr/share/bash-completion/completions/inboxbell", completionScript("bash", program)),
    text(`${options.zshDirectory}/_inboxbell`, completionScript("zsh", program)),
    text("/usr/share/fish/vendor_completions.d/inboxbell.fish", completionScript("fish", program)),
    text("/usr/share/man/man1/inboxbell.1.gz", gzip(commandPage(program, dateOf(build), VERSION))),
    text("/usr/share/man/man5/inboxbell.yaml.5.gz", gzip(configPage(dateOf(build), VERSION))),
    ...documents.map((name) => text(`${DOC}/${name}`, installedLinks(read(name), name, places))),
    text(`${DOC}/${example}`, read(example).replace(SCHEMA_LINE, `$schema=${SCHEMA}`)),
    ...[...pictures, ...examples].map((name) => text(`${DOC}/${name}`, read(name))),
    text(`${DOC}/THIRD-PARTY-NOTICES`, options.notices),
    text(`${DOC}/inboxbell.cdx.json`, options.bom),
  ];
}

/** Without a time or a name inside, so that the same text gives the same bytes. */
export function gzip(text: string): Uint8Array {
  return gzipSync(text, { level: 9 });
}
