// npm run bench: builds the binary and runs the benchmarks in test/bench (see docs/benchmarks.md).
import { bun, prepare, run } from "./lib/prepare.mjs";

prepare();
const built = await run(bun, ["scripts/build.ts", "--if-changed"]);
if (built !== 0) process.exit(built);
process.exit(await run(bun, ["test/bench/bench.ts", ...process.argv.slice(2)]));
