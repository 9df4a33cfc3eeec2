// The packages, built once for all tests of a run from this checkout, and what tests ask of them. They stay in dist/,
// as the executables do.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type Ended, run } from "../helpers.ts";

const root = join(import.meta.dir, "..", "..", "..");
// Six packages are made in less than a minute by two cores that nobody else wants.
const LIMIT_MS = 400_000;

/** Programs of the list that are not installed here. */
export function missing(...programs: readonly string[]): readonly string[] {
  return programs.filter((program) => Bun.which(program) === null);
}

/** What making packages takes. */
export const canPackage = missing("dpkg-deb", "rpmbuild", "git").length === 0;

/** Runs what `npm run package` runs; throws if it fails. */
export async function makePackages(out: string, ...options: readonly string[]): Promise<Ended> {
  const command = [process.execPath, join(root, "scripts", "package.ts"), "--out", out, ...options];
  const ended = await run(command, { cwd: root, limitMs: LIMIT_MS });
  if (ended.code !== 0) throw new Error(`packaging ended with ${ended.code}: ${ended.err}${ended.out}`);
  return ended;
}

/** The file in a directory whose name ends so. */
export function packageFile(directory: string, end: string): string {
  const name = readdirSync(directory).find((each) => each.endsWith(end));
  if (name === undefined) throw new Error(`${directory} holds nothing that ends with ${end}`);
  return join(directory, name);
}

let everything: Promise<string> | null = null;
let next: Promise<string> | null = null;

/** The directory with all packages of this version. */
export function allPackages(): Promise<string> {
  everything ??= made("test-packages");
  return everything;
}

/** The directory with .deb and .rpm of a later packaging, for this machine. */
export function laterPackages(): Promise<string> {
  const machine = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
  next ??= made(
    "test-packages-later",
    "--machine",
    machine,
    "--kind",
    "deb",
    "--kind",
    "rpm",
    "--release",
    "2",
  );
  return next;
}

async function made(name: string, ...options: readonly string[]): Promise<string> {
  const out = join(root, "dist", name);
  await makePackages(out, ...options);
  return out;
}

/** Runs a program that has to succeed, and gives what it printed. */
export async function tool(command: readonly string[], limitMs = 120_000): Promise<string> {
  const { code, out, err } = await run(command, { limitMs });
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${err}${out}`);
  return out;
}
