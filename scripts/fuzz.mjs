// npm run fuzz -- SECONDS [SEED]: coverage-guided fuzzing of the parsers on Node.js, each for that long (default 60).
// The corpus in test/fuzz/corpus is the start, and is replaced by what was found and is worth keeping; what breaks a
// property is left in dist/fuzz.
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bun, fail, prepare, root, run } from "./lib/prepare.mjs";

const [seconds = "60", seed = String(Date.now())] = process.argv.slice(2);
if (!/^[1-9]\d{0,5}$/.test(seconds)) fail("Usage: npm run fuzz -- SECONDS [SEED]");

prepare();
const out = join(root, "dist", "fuzz");
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const sources = ["guided.ts", "targets.ts"].map((file) => join("test", "fuzz", file));
const built = await run(bun, ["build", ...sources, "--target", "node", "--outdir", out], {
  stdio: ["ignore", "ignore", "inherit"],
});
if (built !== 0) process.exit(built);
const options = {
  bundle: join(out, "targets.js"),
  samples: join(root, "test", "samples"),
  corpus: join(root, "test", "fuzz", "corpus"),
  out,
  seconds: Number(seconds),
  seed,
};
console.log(`Seed ${seed}.`);
process.exit(await run(process.execPath, [join(out, "guided.js"), JSON.stringify(options)]));
