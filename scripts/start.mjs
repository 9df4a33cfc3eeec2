// npm start: installs what is missing, builds the binary if needed, and runs the rehearsal.
import { join } from "node:path";
import { bun, prepare, root, run } from "./lib/prepare.mjs";

prepare();
const built = await run(bun, ["scripts/build.ts", "--if-changed"]);
if (built !== 0) process.exit(built);
process.exit(await run(join(root, "dist", "inboxbell"), ["rehearse", ...process.argv.slice(2)]));
