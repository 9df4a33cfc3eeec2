// The conditions of a run: machine, versions, and how long the disk takes to make a write durable.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, statfsSync, writeSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { median } from "./statistics.ts";

export interface Conditions {
  readonly at: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly kernel: string;
  /** Programs and their versions. */
  readonly versions: Readonly<Record<string, string>>;
  readonly fileSystem: string;
  /** Median of appending one page and syncing it, milliseconds. */
  readonly fsyncMs: number;
  /** Load average of the last minute before the run: others at work make the figures worthless. */
  readonly loadBefore: number;
}

/** How a program says which version it is. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  nginx: ["nginx", "-v"],
  wrk: ["wrk", "-v"],
  h2load: ["h2load", "--version"],
  node: ["node", "--version"],
  openssl: ["openssl", "version"],
};

/** @param directory where the databases will lie */
export function readConditions(directory: string, binary: string): Conditions {
  const about = Bun.spawnSync([binary, "version", "--json"], { stderr: "pipe" });
  const { version, commit } = JSON.parse(about.stdout.toString()) as { version: string; commit: string };
  const versions: Record<string, string> = { inboxbell: `${version} (${commit})`, bun: Bun.version };
  for (const [name, command] of Object.entries(ASKED)) {
    if (Bun.which(name) !== null) versions[name] = versionIn(command);
  }
  versions["@parse/node-apn"] = packageVersion("@parse/node-apn");
  return {
    at: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: existsSync("/etc/os-release")
      ? (/^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux")
      : "Linux",
    kernel: release(),
    versions,
    fileSystem: fileSystem(directory),
    fsyncMs: fsyncMedianMs(directory),
    loadBefore: Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]),
  };
}

function versionIn(command: readonly string[]): string {
  const { stdout, stderr } = Bun.spawnSync([...command], { stderr: "pipe" });
  return /\d+\.\d+[\w.+-]*/.exec(`${stdout}${stderr}`)?.[0] ?? "unknown";
}

function packageVersion(name: string): string {
  const file = join(import.meta.dir, "..", "..", "node_modules", name, "package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

// statfs(2): the magic numbers of file systems that a database may lie on here.
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: "ext4",
  1481003842: "xfs",
  2435016766: "btrfs",
  16914836: "tmpfs",
  2035054128: "overlayfs",
};

function fileSystem(directory: string): string {
  const { type } = statfsSync(directory);
  return FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`;
}

const SYNCS = 200;
const PAGE_BYTES = 4096;

function fsyncMedianMs(directory: string): number {
  const fd = openSync(join(directory, "fsync"), "w");
  const page = Buffer.alloc(PAGE_BYTES, 1);
  const times: number[] = [];
  try {
    for (let n = 0; n < SYNCS; n += 1) {
      const started = performance.now();
      writeSync(fd, page);
      fsyncSync(fd);
      times.push(performance.now() - started);
    }
  } finally {
    closeSync(fd);
  }
  return median(times);
}
