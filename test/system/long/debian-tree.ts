// A minimal Debian in a directory, downloaded once a day, and copies of it to install into.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, tool } from "./packages.ts";

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
  const unfinished = `${path}-${process.pid}`;
  mkdirSync(unfinished);
  try {
    await tool(
      ["debootstrap", "--variant=minbase", `--include=${PACKAGES}`, RELEASE, unfinished],
      DOWNLOAD_LIMIT_MS,
    );
    // The name stands for a finished tree only, whoever was quicker.
    if (!existsSync(path)) renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return path;
}

/** A copy at `path`, where nothing is yet. */
export async function copyDebian(path: string): Promise<void> {
  tree ??= pristine();
  await tool(["cp", "-a", "--reflink=auto", await tree, path]);
}
