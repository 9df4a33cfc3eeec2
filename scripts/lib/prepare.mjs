// What every launcher needs first: a recent Node.js, the locked dependencies, and Bun from among them.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const bun = join(root, "node_modules", "bun", "bin", "bun.exe");

const OLDEST_NODE = 20;

/** Ends the launcher with a sentence. Launchers are the edge: nothing calls them. */
export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Runs a command with the launcher's own input and output; returns its exit code. */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", ...options });
    // Ctrl-C reaches the child through the terminal; the launcher waits for it to end cleanly.
    const ignore = () => {};
    process.on("SIGINT", ignore);
    const pass = () => child.kill("SIGTERM");
    process.on("SIGTERM", pass);
    child.on("error", (error) => {
      process.stderr.write(`${command}: ${error.message}\n`);
      resolve(1);
    });
    child.on("close", (code, signal) => {
      process.off("SIGINT", ignore);
      process.off("SIGTERM", pass);
      resolve(code ?? (signal === "SIGINT" ? 130 : 1));
    });
  });
}

/** Installs what the lock file names, unless exactly that is installed already. */
export function prepare() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < OLDEST_NODE) {
    fail(`Node.js ${OLDEST_NODE} or later is needed to start; this is ${process.versions.node}.`);
  }
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  const stamp = join(root, "node_modules", ".inboxbell-lock");
  const installed = existsSync(stamp) && readFileSync(stamp, "utf8") === lock && existsSync(bun);
  if (installed) return;
  process.stderr.write("Installing the dependencies named in package-lock.json (once) ...\n");
  const npm = spawnSync("npm", ["ci", "--no-fund", "--no-audit"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (npm.status !== 0) fail("npm ci failed; its output above says why.");
  // Install scripts are off (.npmrc). This one links Bun's own binary, and is the only one needed.
  const link = spawnSync(process.execPath, [join("node_modules", "bun", "install.js")], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (link.status !== 0 || !existsSync(bun)) fail("Bun could not be set up from its npm package; see above.");
  writeFileSync(stamp, lock);
}
