// The disk below the database: its kind, its free space, and how long a flush takes. The probe writes one small file
// beside the database and removes it.
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { found, good, type Result } from "./findings.ts";

export interface DiskSight {
  /** Bytes that the service's user can still write. */
  readonly freeBytes: number;
  /** Of statfs(2): which file system it is. */
  readonly type: number;
  /** What the mount calls it, such as `fuse.sshfs`; empty where that is not to be seen. */
  readonly name: string;
  /** How long each flush took, milliseconds. */
  readonly flushMs: readonly number[];
}

const MIB = 1_048_576;
const GIB = 1024 * MIB;
// The node keeps a reserve of 64 MiB; below as much again the next busy hour may be the last.
const FULL_BYTES = 128 * MIB;
const LOW_BYTES = GIB;
// An SSD takes 1 to 5 ms, a disk with a write cache that is guarded less; a commit waits for one flush or two.
const SLOW_MS = 25;
const FLUSHES = 15;
const BLOCK = Buffer.alloc(4096, "inboxbell");

// linux/magic.h, and the kernel's sources for those that are not in it.
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB"],
  [0x517b, "SMB"],
  [0x00c36400, "CephFS"],
  [0x01021997, "9p"],
  [0x5346414f, "AFS"],
]);
// Many are of the kind FUSE: those that lead to another machine are known by name. Of others nobody can tell.
const FUSE = 0x65735546;
const NETWORK_FUSE =
  /^fuse\.(sshfs|glusterfs|s3fs|rclone|cephfs|ceph-fuse|davfs|gcsfuse|mount-s3|curlftpfs|juicefs|moosefs|mfs)$/;
const VOLATILE: ReadonlyMap<number, string> = new Map([
  [0x01021994, "tmpfs"],
  [0x858458f6, "ramfs"],
]);

/**
 * Looks at the disk of a database.
 * @param monotonicNow milliseconds
 */
export function examineDisk(database: string, monotonicNow: () => number): Result[] {
  const directory = dirname(database);
  if (!existsSync(directory)) return [found("disk_unwritable", directory, "the directory does not exist")];
  try {
    const { bavail, bsize, type } = statfsSync(directory);
    const flushMs = timeFlushes(directory, monotonicNow);
    return judgeDisk(directory, {
      freeBytes: bavail * bsize,
      type: type >>> 0,
      name: mountName(directory),
      flushMs,
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    if (code === "ENOSPC" || code === "EDQUOT") {
      return [found("disk_full", directory, `not even ${BLOCK.length} bytes can be written (${code})`)];
    }
    return [found("disk_unwritable", directory, `a file cannot be written there (${code})`)];
  }
}

/** What a sight of the disk means. */
export function judgeDisk(directory: string, { freeBytes, type, name, flushMs }: DiskSight): Result[] {
  const network = NETWORK.get(type) ?? (type === FUSE && NETWORK_FUSE.test(name) ? name : undefined);
  const volatile = VOLATILE.get(type);
  const free = `${freeBytes < 10 * GIB ? `${Math.floor(freeBytes / MIB)} MiB` : `${Math.floor(freeBytes / GIB)} GiB`} free`;
  const median = [...flushMs].sort((a, b) => a - b)[Math.floor(flushMs.length / 2)] ?? 0;
  const flush = `a flush takes ${median.toFixed(1)} ms (the slowest of ${flushMs.length}: ${Math.max(0, ...flushMs).toFixed(1)} ms)`;
  return [
    ...(network === undefined ? [] : [found("disk_not_local", directory, `it is on ${network}`)]),
    ...(volatile === undefined ? [] : [found("disk_volatile", directory, `it is on ${volatile}`)]),
    freeBytes < FULL_BYTES
      ? found("disk_full", directory, free)
      : freeBytes < LOW_BYTES
        ? found("disk_low", directory, free)
        : good("disk", directory, free),
    median > SLOW_MS ? found("disk_slow", directory, flush) : good("disk", directory, flush),
  ];
}

/** The name of the file system that a directory is on, of proc_pid_mountinfo(5); empty where it cannot be seen. */
function mountName(directory: string): string {
  try {
    const path = `${realpathSync(directory)}/`;
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .flatMap((line) => {
        const [before = "", after = ""] = line.split(" - ");
        const point = unescaped(before.split(" ")[4] ?? "");
        const isAbove = point !== "" && path.startsWith(point.endsWith("/") ? point : `${point}/`);
        return isAbove ? [{ point, name: after.split(" ")[0] ?? "" }] : [];
      });
    // The deepest; of several at one place the last one covers the others.
    const longest = Math.max(...mounts.map(({ point }) => point.length));
    return mounts.findLast(({ point }) => point.length === longest)?.name ?? "";
  } catch {
    return "";
  }
}

/** Blanks and backslashes of a path are written in octal there. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function timeFlushes(directory: string, monotonicNow: () => number): number[] {
  const path = join(directory, `.doctor-${process.pid}`);
  const file = openSync(path, "wx", 0o600);
  try {
    return Array.from({ length: FLUSHES }, () => {
      writeSync(file, BLOCK);
      const began = monotonicNow();
      fsyncSync(file);
      return monotonicNow() - began;
    });
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}
