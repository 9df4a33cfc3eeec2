// Makes the packages: compiles the executable for each machine, gathers what belongs to it, and has each tool put its
// kind of package together. Everything that varies (time, order, owner, host) is pinned. Run by `npm run package`.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import Database from "better-sqlite3";
import { SUMS, signChecksums, writeChecksums } from "./package/checksums.ts";
import { makeDeb } from "./package/debian.ts";
import { embeddedPackages } from "./package/embedded.ts";
import { type Build, MACHINES, type Machine, VERSION } from "./package/facts.ts";
import { noticesText } from "./package/notices.ts";
import { makeRpm } from "./package/rpm.ts";
import { PackagingError, runTool } from "./package/run.ts";
import { billOfMaterials } from "./package/sbom.ts";
import { makeTarball } from "./package/tarball.ts";

const HELP = `Usage: npm run package [-- options]

Makes .deb, .rpm and a tarball for x86-64 and arm64 in dist/package, with SHA256SUMS.

  --out DIRECTORY        where they go (default: dist/package)
  --machine NAME         linux-x64 or linux-arm64 only; may be given twice
  --kind NAME            deb, rpm or tar only; may be given more than once
  --release N            number of the packaging, raised where the version stays (default: 1)
  --sign-key FILE        minisign's secret key, to sign SHA256SUMS
  --password-file FILE   its password (- reads standard input; default: the key has none)
`;

const root = join(import.meta.dir, "..");

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: join(root, "dist", "package") },
      machine: { type: "string", multiple: true },
      kind: { type: "string", multiple: true },
      release: { type: "string", default: "1" },
      "sign-key": { type: "string" },
      "password-file": { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  if (!/^[1-9]\d*$/.test(values.release)) throw new PackagingError("--release takes a number from 1.");
  const machines = chosenMachines(values.machine ?? []);
  const makers = chosenMakers(values.kind ?? []);
  const build: Build = {
    root,
    // rpmbuild works in a directory of its own.
    out: resolve(values.out),
    work: resolve(values.out, "work"),
    release: values.release,
    epoch: await sourceEpoch(),
    commit: (await git("rev-parse", "--short=12", "HEAD")) ?? "unknown",
  };
  rmSync(build.out, { recursive: true, force: true });
  mkdirSync(build.work, { recursive: true });
  const packages = await embeddedPackages(root);
  const notices = noticesText(packages, root);
  const names: string[] = [];
  for (const machine of machines) {
    const executable = await compile(machine, build);
    const bom = billOfMaterials({
      build,
      machine,
      packages,
      sqliteVersion: sqliteVersion(),
      executableSha256: createHash("sha256").update(readFileSync(executable)).digest("hex"),
    });
    const options = { build, executable, notices, bom };
    // Each has one core to itself, more or less: what they do is compress.
    const made = await Promise.all(makers.map((make) => make(machine, options)));
    names.push(...made);
    for (const name of made) console.log(`Made ${name}.`);
  }
  rmSync(build.work, { recursive: true, force: true });
  writeChecksums(names, build);
  if (values["sign-key"] === undefined) {
    console.log(`Made ${SUMS}, unsigned: no --sign-key was given.`);
  } else {
    await signChecksums(values["sign-key"], values["password-file"] ?? null, build);
    console.log(`Made ${SUMS} and its signature.`);
  }
  console.log(`inboxbell ${VERSION}-${build.release} (${build.commit}) is in ${build.out}.`);
}

const MAKERS = { deb: makeDeb, rpm: makeRpm, tar: makeTarball } as const;

function chosenMakers(names: readonly string[]): readonly (typeof makeDeb)[] {
  for (const name of names) {
    if (Object.hasOwn(MAKERS, name)) continue;
    throw new PackagingError(`--kind: ${name} is not one of ${Object.keys(MAKERS).join(", ")}.`);
  }
  const chosen = Object.entries(MAKERS).filter(([name]) => names.length === 0 || names.includes(name));
  return chosen.map(([, maker]) => maker);
}

function chosenMachines(names: readonly string[]): readonly Machine[] {
  for (const name of names) {
    if (MACHINES.some(({ target }) => target === name)) continue;
    throw new PackagingError(
      `--machine: ${name} is not one of ${MACHINES.map(({ target }) => target).join(", ")}.`,
    );
  }
  return names.length === 0 ? MACHINES : MACHINES.filter(({ target }) => names.includes(target));
}

/** What every time in the packages is: the commit's, unless the environment says otherwise. Seconds. */
async function sourceEpoch(): Promise<number> {
  const told = process.env.SOURCE_DATE_EPOCH ?? (await git("log", "-1", "--format=%ct"));
  const epoch = Number(told);
  if (told === null || !Number.isSafeInteger(epoch) || epoch <= 0) {
    throw new PackagingError("There is no commit to take the time from: set SOURCE_DATE_EPOCH.");
  }
  return epoch;
}

/** Null where this is no repository, or git is missing. */
async function git(...words: readonly string[]): Promise<string | null> {
  try {
    return (await runTool(["git", ...words], { cwd: root })).trim();
  } catch {
    return null;
  }
}

/** @returns the executable's path */
async function compile(machine: Machine, { work }: Build): Promise<string> {
  const executable = join(work, `inboxbell-${machine.target}`);
  const script = join(root, "scripts", "build.ts");
  await runTool([process.execPath, script, "--target", machine.target, "--outfile", executable], {
    cwd: root,
  });
  if (!existsSync(executable)) throw new PackagingError(`The build did not make ${executable}.`);
  return executable;
}

/** The SQLite inside the addon, which is the same for every machine. */
function sqliteVersion(): string {
  const database = new Database(":memory:");
  const row = database.prepare("SELECT sqlite_version() AS version").get() as { readonly version: string };
  database.close();
  return row.version;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof PackagingError) && !(error instanceof TypeError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
