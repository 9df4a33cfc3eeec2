// npm run build: compiles src/main.ts to dist/inboxbell. Options are read by build.ts.
import { bun, prepare, run } from "./lib/prepare.mjs";

prepare();
process.exit(await run(bun, ["scripts/build.ts", ...process.argv.slice(2)]));
