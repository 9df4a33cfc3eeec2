// The tarball, for systems without dpkg and rpm: the same files below one directory, but for the configuration, which
// nothing would keep from replacing the administrator's. Its example is among the documents.
import { join } from "node:path";
import { type CommonOptions, contents, DOC } from "./contents.ts";
import { type Machine, NAME, VERSION } from "./facts.ts";
import { runTool } from "./run.ts";
import { writeTree } from "./tree.ts";

/** @returns the tarball's file name */
export async function makeTarball(machine: Machine, options: CommonOptions): Promise<string> {
  const { build } = options;
  const directory = `${NAME}-${VERSION}-${machine.target}`;
  const parent = join(build.work, `tar-${machine.target}`);
  const files = [
    ...contents({
      ...options,
      unitDirectory: "/usr/lib/systemd/system",
      zshDirectory: "/usr/share/zsh/site-functions",
      changelog: `${DOC}/CHANGELOG.md`,
      licence: `${DOC}/LICENSE`,
    }).filter(({ isConfiguration }) => isConfiguration !== true),
    ...["LICENSE", "CHANGELOG.md"].map((name) => ({
      path: `${DOC}/${name}`,
      mode: 0o644,
      content: { copyOf: join(build.root, name) },
    })),
  ];
  writeTree(join(parent, directory), files, build);
  const name = `${directory}.tar.gz`;
  const fixed = [
    "--sort=name",
    `--mtime=@${build.epoch}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--format=gnu",
  ];
  await runTool([
    "tar",
    ...fixed,
    // Without gzip's own time and name inside.
    "--use-compress-program=gzip -n -6",
    "-cf",
    join(build.out, name),
    "-C",
    parent,
    directory,
  ]);
  return name;
}
