// Room on a disk before something large is put on it: a copy that fills the disk of a working node would keep the node
// from committing.
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { BellError } from "../errors.ts";

/** What a node's disk must keep free beside a copy: its write-ahead log, at its 16 MB, and as much again. Bytes. */
export const KEPT_FREE_BYTES = 33_554_432;

/**
 * Makes sure that a file of so many bytes fits.
 * @param file that is to be made; its directory exists
 * @param keptBytes that have to stay free then
 * @throws `backup_room`
 */
export function requireRoom(file: string, bytes: number, keptBytes: number): void {
  const directory = dirname(file);
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  if (free >= bytes + keptBytes) return;
  const kept = keptBytes === 0 ? "" : `, and ${megabytes(keptBytes)} have to stay free for the node`;
  throw new BellError(
    "backup_room",
    `${directory} has ${megabytes(free)} free; ${megabytes(bytes)} are needed there${kept}.`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
