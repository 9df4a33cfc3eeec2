// Small texts that requests, answers and log lines carry: correlation ids, the Date header, an error's place.

const ID_BYTES = 6;
// Ids drawn from the system's randomness at once: one draw for each request would cost more than the id is worth.
const IDS_A_DRAW = 256;
const SECOND_MS = 1000;

/** Makes a source of correlation ids: 12 hexadecimal digits each. */
export function correlationIds(random: (bytes: number) => Buffer): () => string {
  let pool: Buffer = Buffer.alloc(0);
  let offset = 0;
  return () => {
    if (offset >= pool.length) {
      pool = random(ID_BYTES * IDS_A_DRAW);
      offset = 0;
    }
    offset += ID_BYTES;
    return pool.toString("hex", offset - ID_BYTES, offset);
  };
}

/** Makes a source of Date header values (RFC 9110, 5.6.7), written anew once a second. */
export function httpDate(wallClock: () => number): () => string {
  let second = -1;
  let text = "";
  return () => {
    const current = Math.floor(wallClock() / SECOND_MS);
    if (current !== second) {
      second = current;
      text = new Date(current * SECOND_MS).toUTCString();
    }
    return text;
  };
}

/** The place an error comes from, for a log line: a message could carry what must not be logged. */
export function firstFrame(error: Error): string {
  const frame = (error.stack ?? "").split("\n").find((line) => line.trimStart().startsWith("at "));
  return frame?.trim().slice(0, 200) ?? "";
}
