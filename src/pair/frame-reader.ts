// Cuts a stream of bytes into frames, however it arrives in pieces. Never throws, and keeps no more than one frame.
import { type Frame, HEADER_BYTES, parseFrame, readHeader } from "./frames.ts";

export interface FrameReader {
  /** Takes what has arrived; gives what is complete with it, and what is wrong with the stream, for good. */
  push(bytes: Buffer): { readonly frames: readonly Frame[]; readonly failure: string | null };
}

export function createFrameReader(): FrameReader {
  let held: Buffer[] = [];
  let heldBytes = 0;
  // Below this many bytes nothing can be complete.
  let neededBytes = HEADER_BYTES;
  let failure: string | null = null;

  function cut(bytes: Buffer, frames: Frame[]): Buffer {
    let rest = bytes;
    for (;;) {
      neededBytes = HEADER_BYTES;
      if (rest.length < neededBytes) return rest;
      const length = readHeader(rest);
      if (typeof length === "string") return fail(length);
      neededBytes += length;
      if (rest.length < neededBytes) return rest;
      const frame = parseFrame(rest.subarray(HEADER_BYTES, neededBytes));
      if (typeof frame === "string") return fail(frame);
      if (frame !== null) frames.push(frame);
      rest = rest.subarray(neededBytes);
    }
  }

  function fail(why: string): Buffer {
    failure = why;
    return Buffer.alloc(0);
  }

  return {
    push(bytes) {
      const frames: Frame[] = [];
      if (failure !== null) return { frames, failure };
      held.push(bytes);
      heldBytes += bytes.length;
      if (heldBytes >= neededBytes) {
        const [only] = held;
        const rest = cut(held.length === 1 && only !== undefined ? only : Buffer.concat(held), frames);
        held = rest.length === 0 ? [] : [rest];
        heldBytes = rest.length;
      }
      return { frames, failure };
    },
  };
}
