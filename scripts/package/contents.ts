// What is installed where, on every machine.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { completionScript } from "../../src/cli/completion.ts";
import { createProgram } from "../../src/cli/program.ts";
import { type Build, dateOf, VERSION } from "./facts.ts";
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
}

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
  const documents = readdirSync(join(build.root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .sort();
  const pictures = readdirSync(join(build.root, "docs"))
    .filter((name) => name.endsWith(".svg"))
    .sort();
  const fronts = readdirSync(join(build.root, "config", "front")).sort();
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
    text(`${DOC}/README.md`, read("README.md")),
    // The example again, since `setup` puts the configuration in its place.
    text(
      `${DOC}/config/inboxbell.yaml`,
      read("config", "inboxbell.yaml").replace(SCHEMA_LINE, `$schema=${SCHEMA}`),
    ),
    // Pages link to the pictures and to the examples for load balancers, by the same relative paths.
    ...[...documents, ...pictures].map((name) => text(`${DOC}/docs/${name}`, read("docs", name))),
    ...fronts.map((name) => text(`${DOC}/config/front/${name}`, read("config", "front", name))),
    text(`${DOC}/THIRD-PARTY-NOTICES`, options.notices),
    text(`${DOC}/inboxbell.cdx.json`, options.bom),
  ];
}

/** Without a time or a name inside, so that the same text gives the same bytes. */
export function gzip(text: string): Uint8Array {
  return gzipSync(text, { level: 9 });
}
