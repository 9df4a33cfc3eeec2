// The way messages travel while a node joins: JSON with its length before it, over TLS, one after the other.
import type { TLSSocket } from "node:tls";
import type { FromFirst, FromJoiner } from "./join-messages.ts";

export interface Channel {
  send(message: FromJoiner | FromFirst): void;
  /**
   * The next message, unchecked; null when the other side is gone, silent for `waitMs`, or says what is no message. Then
   * the connection is over.
   */
  receive(waitMs: number): Promise<unknown>;
  /** Ends it once what was sent has gone out. */
  end(): void;
  destroy(): void;
}

const LENGTH_BYTES = 4;
/** Of somebody who has proved nothing yet. */
export const STRANGER_BYTES = 16_384;
/** A parcel: some files, a MiB each at most, in base64. */
export const PARCEL_BYTES = 33_554_432;
// The last words may take so long, milliseconds.
const LAST_WORDS_MS = 2_000;

/** @param mostBytes of a message that is taken */
export function createChannel(socket: TLSSocket, mostBytes: number): Channel {
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  // Of the message that is being received, its length included.
  let wantedBytes = LENGTH_BYTES;
  const messages: unknown[] = [];
  let isOver = false;
  let wake: (() => void) | null = null;

  function over(): void {
    isOver = true;
    wake?.();
    socket.destroy();
  }

  /** Takes one message, or the length of one, from what has come. */
  function take(): void {
    const bytes = Buffer.concat(pieces);
    const length = bytes.readUInt32BE(0);
    if (length > mostBytes) {
      over();
      return;
    }
    let rest = bytes;
    wantedBytes = LENGTH_BYTES + length;
    if (bytes.length >= wantedBytes) {
      try {
        messages.push(JSON.parse(bytes.toString("utf8", LENGTH_BYTES, wantedBytes)));
      } catch {
        over();
        return;
      }
      rest = bytes.subarray(wantedBytes);
      wantedBytes = LENGTH_BYTES;
      wake?.();
    }
    pieces = [rest];
    pieceBytes = rest.length;
  }

  socket.on("data", (bytes: Buffer) => {
    pieces.push(bytes);
    pieceBytes += bytes.length;
    while (!isOver && pieceBytes >= wantedBytes) take();
  });
  socket.on("error", over);
  socket.on("close", over);

  return {
    send(message) {
      const body = Buffer.from(JSON.stringify(message), "utf8");
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(body.length);
      socket.write(Buffer.concat([length, body]));
    },
    async receive(waitMs) {
      const until = performance.now() + waitMs;
      while (messages.length === 0 && !isOver) {
        const leftMs = until - performance.now();
        if (leftMs <= 0) {
          over();
          break;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, leftMs);
        wake = resolve;
        await promise;
        clearTimeout(timer);
        wake = null;
      }
      return messages.shift() ?? null;
    },
    end() {
      const timer = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
      socket.once("close", () => clearTimeout(timer));
      socket.end();
    },
    destroy: () => socket.destroy(),
  };
}
