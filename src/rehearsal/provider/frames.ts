// HTTP/2 frames written by hand, for what `node:http2` has no way to say (RFC 9113 §6.4, §6.8).

const FRAME_HEADER_BYTES = 9;
const TYPE_RST_STREAM = 3;
const TYPE_GOAWAY = 7;

function frame(type: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

/**
 * A GOAWAY frame. `session.goaway()` turns a last stream id of 0 ("nothing was processed") into the newest id.
 * @param debug goes into the frame's debug data; APNs writes `{"reason": …}` there
 */
export function goawayFrame(code: number, lastStreamId: number, debug: string): Buffer {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt32BE(lastStreamId, 0);
  fixed.writeUInt32BE(code, 4);
  return frame(TYPE_GOAWAY, 0, Buffer.concat([fixed, Buffer.from(debug)]));
}

/** A RST_STREAM frame. Bun's `stream.close(code)` before an answer sends an empty DATA frame instead. */
export function rstStreamFrame(streamId: number, code: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code, 0);
  return frame(TYPE_RST_STREAM, streamId, payload);
}
