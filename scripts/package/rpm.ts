// The .rpm, put together by rpmbuild from files that are there already: nothing is compiled, stripped or compressed
// anew on the way.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CommonOptions, contents, DOC } from "./contents.ts";
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
import { type InstalledFile, writeTree } from "./tree.ts";

const SCRIPTS = ["pre", "post", "preun", "postun"] as const;
const LINE_LENGTH = 79;
// The service's own; it goes with the package only if nothing is in it.
const STATE = "/var/lib/inboxbell";
const GROUP_READS = "(0640, root, inboxbell)";

/** @returns the package's file name */
export async function makeRpm(machine: Machine, options: CommonOptions): Promise<string> {
  const { build } = options;
  const top = join(build.work, `rpm-${machine.rpm}`);
  const files = [
    ...contents({
      ...options,
      unitDirectory: "/usr/lib/systemd/system",
      zshDirectory: "/usr/share/zsh/site-functions",
      changelog: `${DOC}/CHANGELOG.md`,
      licence: `${DOC}/LICENSE`,
    }),
    ...["LICENSE", "CHANGELOG.md"].map(
      (name): InstalledFile => ({
        path: `${DOC}/${name}`,
        mode: 0o644,
        content: { copyOf: join(build.root, name) },
      }),
    ),
  ];
  mkdirSync(top, { recursive: true });
  writeTree(join(top, "files"), files, build);
  const spec = join(top, `${NAME}.spec`);
  writeFileSync(spec, specification(files, build));
  const epoch = String(build.epoch);
  await runTool(
    [
      "rpmbuild",
      "-bb",
      "--target",
      `${machine.rpm}-linux`,
      ...define("_topdir", join(top, "build")),
      ...define("_rpmdir", build.out),
      ...define("_rpmfilename", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm"),
      ...define("_files", join(top, "files")),
      // The same bytes whoever builds, wherever and whenever.
      ...define("_buildhost", "localhost"),
      ...define("use_source_date_epoch_as_buildtime", "1"),
      ...define("clamp_mtime_to_source_date_epoch", "1"),
      ...define("_binary_payload", "w10.zstdio"),
      // Stripping would turn the executable into the bare runtime.
      ...define("__os_install_post", "%{nil}"),
      ...define("__strip", "/bin/true"),
      ...define("debug_package", "%{nil}"),
      ...define("_build_id_links", "none"),
      spec,
    ],
    { env: { SOURCE_DATE_EPOCH: epoch } },
  );
  return `${NAME}-${rpmVersion()}-${build.release}.${machine.rpm}.rpm`;
}

function define(name: string, value: string): readonly [string, string] {
  return ["--define", `${name} ${value}`];
}

/** As rpm sorts it: a pre-release comes before the release. */
export function rpmVersion(): string {
  return VERSION.replace("-", "~");
}

function specification(files: readonly InstalledFile[], build: Build): string {
  const script = (name: string) => readFileSync(join(build.root, "systemd", "rpm", name), "utf8").trim();
  const day = dateOf(build)
    .toUTCString()
    .replace(/^(\w+), 0?(\d+) (\w+) (\d+).*/, "$1 $3 $2 $4");
  return `Name: ${NAME}
Version: ${rpmVersion()}
Release: ${build.release}
Summary: ${SUMMARY.slice(0, 1).toUpperCase()}${SUMMARY.slice(1)}
License: Apache-2.0
Vendor: ${MAINTAINER.replace(/\s*<.*/, "")}
Packager: ${MAINTAINER}
# What the executable needs is known; what it holds must not be looked into for more.
AutoReqProv: no
Requires: glibc >= ${GLIBC}
Requires: libstdc++.so.6(GLIBCXX_${LIBSTDCXX.symbols})(64bit)
Requires: systemd
Requires(pre): shadow-utils
Recommends: ca-certificates

%description
${DESCRIPTION.map((text) => wrapped(text, LINE_LENGTH).join("\n")).join("\n\n")}

%install
cp -a %{_files}/. %{buildroot}/
mkdir -p %{buildroot}${STATE}

${SCRIPTS.map((name) => `%${name}\n${script(name)}\n`).join("\n")}
%files
%dir %attr(0750, root, inboxbell) /etc/inboxbell
%dir %attr(0700, inboxbell, inboxbell) ${STATE}
%dir /usr/share/inboxbell
%dir /usr/share/inboxbell/drop-ins
%dir ${DOC}
%dir ${DOC}/docs
%dir ${DOC}/config
%dir ${DOC}/config/front
${files.map(fileLine).join("\n")}

%changelog
* ${day} ${MAINTAINER} - ${rpmVersion()}-${build.release}
- Version ${VERSION}; CHANGELOG.md has what has changed.
`;
}

function fileLine({ path, mode, isConfiguration }: InstalledFile): string {
  if (isConfiguration) return `%config(noreplace) %attr${GROUP_READS} ${path}`;
  const attributes = `%attr(0${mode.toString(8)}, root, root)`;
  if (path === `${DOC}/LICENSE` || path === `${DOC}/THIRD-PARTY-NOTICES`)
    return `%license ${attributes} ${path}`;
  const isDocument = path.startsWith(`${DOC}/`) || path.startsWith("/usr/share/man/");
  return `${isDocument ? "%doc " : ""}${attributes} ${path}`;
}
