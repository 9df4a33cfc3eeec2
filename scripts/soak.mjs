// npm run soak -- MINUTES: the compiled binary among hostile clients for that long (default 60), and what came of it.
import { bun, prepare, run } from "./lib/prepare.mjs";

prepare();
const built = await run(bun, ["scripts/build.ts", "--if-changed"]);
process.exit(built === 0 ? await run(bun, ["test/soak/soak.ts", ...process.argv.slice(2)]) : built);
