// What waits to be written to the peer: short frames first, rows behind them, and never more than a peer that does not
// read may cost.

/** `first`: beats, acknowledgements, messages. `rows`: pages. */
export type Lane = "first" | "rows";

export interface Outbox {
  /**
   * Writes now, or once the socket takes more.
   * @param replaces a waiting frame of the same name is left out, since this one says more
   * @returns false if there is no room: the peer has not read for long
   */
  put(bytes: Buffer, lane: Lane, replaces?: string): boolean;
  /** The socket takes more. */
  drained(): void;
  /** What waits here, bytes. */
  readonly waitingBytes: number;
}

// Short frames are a few hundred bytes each, and the frequent ones replace one another.
const MOST_WAITING_BYTES = 8 * 1024 * 1024;

/** @param write hands bytes to the socket; false: no more until it has drained */
export function createOutbox(write: (bytes: Buffer) => boolean): Outbox {
  const lanes: Readonly<Record<Lane, { bytes: Buffer; readonly name: string | null }[]>> = {
    first: [],
    rows: [],
  };
  let waitingBytes = 0;
  let isOpen = true;

  function flush(): void {
    while (isOpen) {
      const next = lanes.first.shift() ?? lanes.rows.shift();
      if (next === undefined) return;
      waitingBytes -= next.bytes.length;
      isOpen = write(next.bytes);
    }
  }

  return {
    put(bytes, lane, replaces) {
      const same = replaces === undefined ? undefined : lanes[lane].find((each) => each.name === replaces);
      if (same !== undefined) {
        waitingBytes += bytes.length - same.bytes.length;
        same.bytes = bytes;
        return true;
      }
      if (waitingBytes + bytes.length > MOST_WAITING_BYTES) return false;
      waitingBytes += bytes.length;
      lanes[lane].push({ bytes, name: replaces ?? null });
      flush();
      return true;
    },
    drained() {
      isOpen = true;
      flush();
    },
    get waitingBytes() {
      return waitingBytes;
    },
  };
}
