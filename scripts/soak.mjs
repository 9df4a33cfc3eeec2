// npm run soak -- MINUTES: the compiled binary among hostile clients for that long (default 60), and what came of it.
// npm run soak -- pair MINUTES: two nodes, and one fault after another.
import { bun, prepare, run } from "./lib/prepare.mjs";

prepare();
const args = process.argv.slice(2);
const isPair = args[0] === "pair";
const built = await run(bun, ["scripts/build.ts", "--if-changed", ...(isPair ? ["--test-hooks"] : [])]);
const program = isPair ? ["test/soak/pair.ts", ...args.slice(1)] : ["test/soak/soak.ts", ...args];
process.exit(built === 0 ? await run(bun, program) : built);
