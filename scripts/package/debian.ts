// The .deb, put together by dpkg-deb.
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CommonOptions, contents, DOC, gzip } from "./contents.ts";
import {
  type Build,
  DESCRIPTION,
  dateOf,
  GLIBC,
  LIBSTDCXX,
  MAINTAINER,
  type Machine,
  NAME,
  SUMMARY,
  VERSION,
  wrapped,
} from "./facts.ts";
import { runTool } from "./run.ts";
import { type InstalledFile, settle, writeTree } from "./tree.ts";

// The executable is nearly all of it. Level 1 takes a quarter of the time of level 6 and gives 12 % more bytes; one
// thread, since the number of threads shows in the bytes.
const COMPRESSION = ["-Zxz", "-z1", "--threads-max=1"] as const;
const SCRIPTS = ["postinst", "prerm", "postrm"] as const;
const LINE_LENGTH = 78;
// Their names are Debian's (Debian Policy, sections 12.5 and 12.7).
const COPYRIGHT = "copyright";
const CHANGELOG = "changelog.gz";

/** As dpkg sorts it: a pre-release comes before the release. */
export function debianVersion({ release }: Pick<Build, "release">): string {
  return `${VERSION.replace("-", "~")}-${release}`;
}

/** @returns the package's file name */
export async function makeDeb(machine: Machine, options: CommonOptions): Promise<string> {
  const { build } = options;
  const root = join(build.work, `deb-${machine.debian}`);
  const files: readonly InstalledFile[] = [
    ...contents({
      ...options,
      // Where bookworm's own packages have theirs; with a merged /usr it is the same directory as /usr/lib's.
      unitDirectory: "/lib/systemd/system",
      zshDirectory: "/usr/share/zsh/vendor-completions",
      changelog: `${DOC}/${CHANGELOG}`,
      licence: `${DOC}/${COPYRIGHT}`,
    }),
    doc(COPYRIGHT, copyright(build)),
    doc(CHANGELOG, gzip(readFileSync(join(build.root, "CHANGELOG.md"), "utf8"))),
    doc("changelog.Debian.gz", gzip(debianChangelog(build))),
    {
      path: "/usr/share/lintian/overrides/inboxbell",
      mode: 0o644,
      content: { text: readFileSync(join(build.root, "systemd", "debian", "lintian-overrides")) },
    },
  ];
  writeTree(root, files, build);
  writeControl(root, files, machine, build);
  const name = `${NAME}_${debianVersion(build)}_${machine.debian}.deb`;
  await runTool(["dpkg-deb", "--root-owner-group", ...COMPRESSION, "--build", root, join(build.out, name)], {
    env: { SOURCE_DATE_EPOCH: String(build.epoch) },
  });
  return name;
}

function doc(name: string, text: string | Uint8Array): InstalledFile {
  return { path: `${DOC}/${name}`, mode: 0o644, content: { text } };
}

function writeControl(root: string, files: readonly InstalledFile[], machine: Machine, build: Build): void {
  const directory = join(root, "DEBIAN");
  mkdirSync(directory, { mode: 0o755 });
  const write = (name: string, text: string, mode = 0o644) => {
    writeFileSync(join(directory, name), text);
    chmodSync(join(directory, name), mode);
  };
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const kib = sorted.reduce((sum, { path }) => sum + Math.ceil(statSync(join(root, path)).size / 1024), 0);
  const sums = sorted
    .filter(({ isConfiguration }) => isConfiguration !== true)
    .map(({ path }) => {
      const md5 = createHash("md5")
        .update(readFileSync(join(root, path)))
        .digest("hex");
      return `${md5}  ${path.slice(1)}\n`;
    });
  write("control", control(machine, build, kib));
  write("md5sums", sums.join(""));
  write("conffiles", sorted.flatMap((file) => (file.isConfiguration ? [`${file.path}\n`] : [])).join(""));
  for (const script of SCRIPTS) {
    write(script, readFileSync(join(build.root, "systemd", "debian", script), "utf8"), 0o755);
  }
  settle(root, build);
}

function control(machine: Machine, build: Build, kib: number): string {
  return `${[
    `Package: ${NAME}`,
    `Version: ${debianVersion(build)}`,
    `Architecture: ${machine.debian}`,
    `Maintainer: ${MAINTAINER}`,
    `Installed-Size: ${kib}`,
    `Depends: libc6 (>= ${GLIBC}), libstdc++6 (>= ${LIBSTDCXX.gcc}), systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles`,
    "Recommends: ca-certificates, systemd",
    "Section: net",
    "Priority: optional",
    `Description: ${SUMMARY}`,
    ...DESCRIPTION.flatMap((text, index) => [
      ...(index === 0 ? [] : [" ."]),
      ...wrapped(text, LINE_LENGTH).map((line) => ` ${line}`),
    ]),
  ].join("\n")}\n`;
}

/** Debian's own changelog tells of the packaging only. */
function debianChangelog(build: Build): string {
  const date = dateOf(build).toUTCString().replace("GMT", "+0000");
  return `${NAME} (${debianVersion(build)}) unstable; urgency=medium

  * Version ${VERSION}; see changelog.gz for what has changed.

 -- ${MAINTAINER}  ${date}
`;
}

/** https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ */
function copyright(build: Build): string {
  const year = dateOf(build).getUTCFullYear();
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ${NAME}
Upstream-Contact: ${MAINTAINER}
Comment: The executable holds software of others. Each of them, with its
 version, licence and copyright notice, is in THIRD-PARTY-NOTICES beside this
 file, and in the bill of materials inboxbell.cdx.json.

Files: *
Copyright: ${year} ${MAINTAINER.replace(/\s*<.*/, "")}
License: Apache-2.0

License: Apache-2.0
 On Debian systems the whole text is in /usr/share/common-licenses/Apache-2.0.
`;
}
