// A minimal Debian in a directory, downloaded once a day, and copies of it to install into.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, tool, workDirectory } from "./packages.ts";

const PREFIX = "inboxbell-debian-";
const RELEASE = "bookworm";
const PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates,iproute2";
// Packages come from a mirror. Milliseconds.
const DOWNLOAD_LIMIT_MS = 300_000;

export const canUnpackDebian = process.getuid?.() === 0 && missing("debootstrap").length === 0;

let tree: Promise<string> | null = null;

async function pristine(): Promise<string> {
  const day = new Date().toISOString().slice(0, 10);
  const path = join(tmpdir(), `${PREFIX}${day}`);
  if (existsSync(path)) return path;
  for (const name of readdirSync(tmpdir())) {
    if (name.startsWith(PREFIX)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  const unfinished = join(workDirectory("debootstrap"), "tree");
  mkdirSync(unfinished);
  await tool(
    ["debootstrap", "--variant=minbase", `--include=${PACKAGES}`, RELEASE, unfinished],
    DOWNLOAD_LIMIT_MS,
  );
  // The name stands for a finished tree only, whoever was quicker.
  if (!existsSync(path)) renameSync(unfinished, path);
  return path;
}

/** A copy of one's own, removed with this process or before. */
export async function debianCopy(): Promise<string> {
  tree ??= pristine();
  const copy = join(workDirectory("debian"), "tree");
  await tool(["cp", "-a", "--reflink=auto", await tree, copy]);
  return copy;
}
