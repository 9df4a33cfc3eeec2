// Which npm packages are inside the binary: the bundler is asked which files it took, so that notices and bill of
// materials name what is there, and nothing else.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PackagingError } from "./run.ts";

/** One embedded npm package. */
export interface Embedded {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly licence: string;
  readonly author: string | null;
  /** Absolute. */
  readonly directory: string;
  /** As the lock file has it, such as `sha512-…`; of the archive in the registry. */
  readonly integrity: string | null;
  /** Names of the packages that it depends on. */
  readonly dependsOn: readonly string[];
}

interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string | { readonly type?: string };
  readonly author?: string | { readonly name?: string };
  readonly dependencies?: Readonly<Record<string, string>>;
}

/**
 * Every npm package of which the bundle holds something, by name.
 * @throws PackagingError if one is not among the dependencies of production, or has no licence
 */
export async function embeddedPackages(root: string): Promise<readonly Embedded[]> {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, LockEntry>>;
  };
  const found = new Map<string, Embedded>();
  for (const directory of await bundledDirectories(root)) {
    const entry = lock.packages[directory];
    if (entry === undefined || entry.dev === true) {
      throw new PackagingError(`${directory} is embedded, but the lock file has it for development only.`);
    }
    const manifest = readManifest(join(root, directory));
    // Two copies of one version are one component.
    found.set(`${manifest.name} ${manifest.version}`, {
      ...manifest,
      directory: join(root, directory),
      integrity: entry.integrity ?? null,
    });
  }
  return [...found.values()].sort((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1));
}

/** Directories below the root, such as `node_modules/pino`. */
async function bundledDirectories(root: string): Promise<ReadonlySet<string>> {
  const result = await Bun.build({
    entrypoints: [join(root, "src", "main.ts")],
    target: "bun",
    // The addon is not bundled but embedded by the build; it is added below.
    external: ["better-sqlite3"],
    define: { "process.env.NODE_ENV": '"production"' },
    metafile: true,
    root,
  });
  const inputs = Object.keys(result.metafile?.inputs ?? {});
  if (inputs.length === 0) throw new PackagingError("The bundler did not tell what it took.");
  const directories = new Set(["node_modules/better-sqlite3"]);
  for (const input of inputs) {
    // The innermost: a package may hold another version of a package that it needs.
    const [, directory] = /((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (directory !== undefined) directories.add(directory.slice(directory.indexOf("node_modules/")));
  }
  return directories;
}

function readManifest(directory: string): Omit<Embedded, "directory" | "integrity"> {
  const file = join(directory, "package.json");
  if (!existsSync(file)) throw new PackagingError(`${file} is missing.`);
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Manifest;
  const licence = typeof manifest.license === "string" ? manifest.license : manifest.license?.type;
  if (!licence) throw new PackagingError(`${manifest.name} ${manifest.version} names no licence.`);
  const author = typeof manifest.author === "string" ? manifest.author : manifest.author?.name;
  return {
    name: manifest.name,
    version: manifest.version,
    licence,
    author: author ?? null,
    dependsOn: Object.keys(manifest.dependencies ?? {}),
  };
}
