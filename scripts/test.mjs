// npm test: lint, types and all tests but the long system tests. Its last line is "N passed, N failed".
// --system runs the long system tests instead; --strict fails on a skipped test.
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bun, fail, prepare, root, run } from "./lib/prepare.mjs";

const known = new Set(["--system", "--strict"]);
const options = new Set(process.argv.slice(2));
for (const option of options)
  if (!known.has(option)) fail(`Unknown option ${option}; known: ${[...known].join(", ")}.`);

prepare();
let passed = 0;
let failed = 0;
const failures = [];

/** A step that is not a test of its own counts as one. */
async function step(name, command, args) {
  console.log(`\n== ${name}`);
  const code = await run(command, args);
  if (code === 0) passed += 1;
  else {
    failed += 1;
    failures.push(name);
  }
}

function testFiles(directory) {
  return readdirSync(join(root, directory), { recursive: true })
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => `./${join(directory, file)}`)
    .filter((file) => file.includes("/system/long/") === options.has("--system"))
    .sort();
}

if (!options.has("--system")) {
  await step("lint and layer rule", join(root, "node_modules", ".bin", "biome"), [
    "check",
    "--error-on-warnings",
    ".",
  ]);
  await step("types", join(root, "node_modules", ".bin", "tsc"), ["--noEmit"]);
}
await step("build", bun, ["scripts/build.ts", "--if-changed"]);
await step("build with test hooks", bun, ["scripts/build.ts", "--if-changed", "--test-hooks"]);

console.log("\n== tests");
mkdirSync(join(root, "dist"), { recursive: true });
const report = join(root, "dist", "tests.xml");
const files = testFiles("test");
const code = await run(bun, [
  "test",
  "--timeout=60000",
  "--reporter=junit",
  `--reporter-outfile=${report}`,
  ...files,
]);
const total = /<testsuites [^>]*>/.exec(readFileSync(report, "utf8"))?.[0] ?? "";
const count = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(total)?.[1] ?? 0);
const skipped = count("skipped");
const failedTests = count("failures") + count("errors");
passed += count("tests") - failedTests - skipped;
failed += failedTests;
if (code !== 0 && failedTests === 0) {
  failed += 1;
  failures.push("the test run itself");
}
if (count("tests") === 0) {
  failed += 1;
  failures.push("no test was run");
}
if (skipped > 0) {
  console.log(`\n${skipped} skipped: they need a program that is not installed here; their names say which.`);
  if (options.has("--strict")) {
    failed += skipped;
    failures.push("skipped tests are not allowed here");
  }
}
for (const failure of failures) console.log(`FAILED: ${failure}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
