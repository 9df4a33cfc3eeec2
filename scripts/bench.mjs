// npm run bench: builds the binary if needed and measures it beside its peers. Options are read by test/bench/bench.ts.
import { bun, prepare, run } from "./lib/prepare.mjs";

prepare();
const options = process.argv.slice(2);
if (!options.includes("--binary") && !options.includes("--help")) {
  const built = await run(bun, ["scripts/build.ts", "--if-changed"]);
  if (built !== 0) process.exit(built);
}
process.exit(await run(bun, ["test/bench/bench.ts", ...options]));
