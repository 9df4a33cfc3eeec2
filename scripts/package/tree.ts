// The installed files: where each stands, with which mode, and what is in it. Written into a directory of their own,
// all with one time, from which each kind of package is made.
import { chmodSync, copyFileSync, lutimesSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Build, dateOf } from "./facts.ts";

export interface InstalledFile {
  /** Absolute, on the machine it is installed on. */
  readonly path: string;
  readonly mode: number;
  readonly content: { readonly text: string | Uint8Array } | { readonly copyOf: string };
  /** Kept when an administrator has changed it. */
  readonly isConfiguration?: true;
}

/** Writes the files below `directory`, which does not exist yet. */
export function writeTree(directory: string, files: readonly InstalledFile[], build: Build): void {
  for (const { path, mode, content } of files) {
    const to = join(directory, path);
    mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
    if ("copyOf" in content) copyFileSync(content.copyOf, to);
    else writeFileSync(to, content.text);
    chmodSync(to, mode);
  }
  settle(directory, build);
}

/** Gives everything below a directory, and the directory itself, the mode that it would have anywhere, and the time. */
export function settle(directory: string, build: Build): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) settle(path, build);
    else lutimesSync(path, dateOf(build), dateOf(build));
  }
  chmodSync(directory, 0o755);
  lutimesSync(directory, dateOf(build), dateOf(build));
}
