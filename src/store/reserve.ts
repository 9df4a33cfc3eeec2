// A reserve file beside the database, given up at the first "disk full", so that Exchange keeps getting its OK
// while an administrator makes room.
import { closeSync, existsSync, fsyncSync, openSync, statSync, unlinkSync, writeSync } from "node:fs";

const CHUNK_BYTES = 1_048_576;

export interface Reserve {
  /** Makes the file whole if it is missing; quietly does nothing if the disk has no room. */
  fill(): boolean;
  /** Deletes the file; true if there was one to give up. */
  giveUp(): boolean;
  readonly held: boolean;
}

/**
 * @param path where the reserve lies, beside the database
 * @param bytes its size; 0 switches it off
 */
export function createReserve(path: string, bytes: number): Reserve {
  const whole = () => existsSync(path) && statSync(path).size >= bytes;
  return {
    fill() {
      if (bytes === 0 || whole()) return true;
      // Written, not only sized: a sparse file would reserve nothing.
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes), 0x2e);
      try {
        const fd = openSync(path, "w", 0o600);
        try {
          for (let written = 0; written < bytes; ) {
            written += writeSync(fd, chunk, 0, Math.min(chunk.length, bytes - written));
          }
          fsyncSync(fd);
        } finally {
          closeSync(fd);
        }
        return true;
      } catch {
        if (existsSync(path)) unlinkSync(path);
        return false;
      }
    },
    giveUp() {
      if (bytes === 0 || !existsSync(path)) return false;
      unlinkSync(path);
      return true;
    },
    get held() {
      return bytes > 0 && whole();
    },
  };
}
