// Compiles the binary: better-sqlite3's addon embedded, version and commit inside, nothing read from the working
// directory at run time. Run by build.mjs; options: --target linux-x64|linux-arm64, --test-hooks, --outfile, --if-changed.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import packageJson from "../package.json" with { type: "json" };

const TARGETS = ["linux-x64", "linux-arm64"] as const;
type Target = (typeof TARGETS)[number];

const root = join(import.meta.dir, "..");

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

const options = (() => {
  try {
    return parseArgs({
      options: {
        target: { type: "string" },
        "test-hooks": { type: "boolean", default: false },
        outfile: { type: "string" },
        "if-changed": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
})();
const host: Target = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
const target = TARGETS.find((known) => known === (options.target ?? host));
if (target === undefined) fail(`Unknown target ${options.target}; known: ${TARGETS.join(", ")}.`);

const testHooks = options["test-hooks"];
const name = testHooks ? "inboxbell-test" : target === host ? "inboxbell" : `inboxbell-${target}`;
const outfile = options.outfile ?? join(root, "dist", name);
const git = Bun.spawnSync(["git", "rev-parse", "--short=12", "HEAD"], { cwd: root, stderr: "ignore" });
const commit = git.exitCode === 0 ? git.stdout.toString().trim() : "unknown";

/** A hash over everything that goes into the binary. */
function fingerprint(): string {
  const hash = createHash("sha256").update(`${Bun.version} ${commit} ${target} ${testHooks}`);
  const files = (readdirSync(join(root, "src"), { recursive: true }) as string[])
    .map((file) => join("src", file))
    .concat("package-lock.json", "scripts/build.ts")
    .sort();
  for (const file of files) {
    const path = join(root, file);
    if (statSync(path).isFile()) hash.update(file).update(readFileSync(path));
  }
  return hash.digest("hex");
}

const stamp = `${outfile}.stamp`;
const wanted = fingerprint();
if (
  options["if-changed"] &&
  existsSync(outfile) &&
  existsSync(stamp) &&
  readFileSync(stamp, "utf8") === wanted
) {
  process.exit(0);
}

mkdirSync(join(root, "dist"), { recursive: true });
const started = performance.now();
const result = await Bun.build({
  entrypoints: [join(root, "src", "main.ts")],
  target: "bun",
  minify: false,
  sourcemap: "linked",
  define: {
    BELL_VERSION: JSON.stringify(packageJson.version),
    BELL_COMMIT: JSON.stringify(commit),
    BELL_TEST_HOOKS: String(testHooks),
    // Libraries that look at it (Elysia among them) leave out their development behaviour.
    "process.env.NODE_ENV": '"production"',
  },
  compile: {
    target: `bun-${target}`,
    outfile,
    // Without these the binary would read .env and run bunfig.toml preloads of whatever directory it starts in.
    autoloadDotenv: false,
    autoloadBunfig: false,
  },
  plugins: [
    {
      name: "embed the SQLite addon of the target",
      setup(build) {
        build.onResolve({ filter: /^better-sqlite3$/ }, () => ({
          path: Bun.resolveSync(`better-sqlite3/${target}`, root),
        }));
      },
    },
  ],
});
if (!result.success) {
  for (const log of result.logs) console.error(String(log));
  process.exit(1);
}
writeFileSync(stamp, wanted);
const megabytes = (statSync(outfile).size / 1e6).toFixed(0);
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.error(
  `Built ${relative(root, outfile)}: version ${packageJson.version}, commit ${commit}, ${megabytes} MB, in ${seconds} s.`,
);
