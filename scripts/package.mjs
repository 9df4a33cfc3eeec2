// npm run package: .deb, .rpm and a tarball for x86-64 and arm64, with checksums. Options are read by package.ts.
import { bun, prepare, run } from "./lib/prepare.mjs";

prepare();
process.exit(await run(bun, ["scripts/package.ts", ...process.argv.slice(2)]));
