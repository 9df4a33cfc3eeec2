// npm run generate: writes the files that are made from the sources (configuration example, schema, error list).
import { bun, prepare, run } from "./lib/prepare.mjs";

prepare();
process.exit(await run(bun, ["scripts/generate.ts", ...process.argv.slice(2)]));
