// Reads the header that a proxy puts before the client's first byte to tell whose connection it passes on: the
// PROXY protocol, versions 1 (text) and 2 (binary). Pure. Rules: haproxy.org, proxy-protocol.txt, section 2.
import { canonicalAddress } from "./address.ts";

export type ProxyHeader =
  /** So far it is the beginning of a header. */
  | { readonly kind: "incomplete" }
  /** It is none, or a wrong one. */
  | { readonly kind: "invalid" }
  | {
      readonly kind: "complete";
      /** Its length; the client's own bytes follow. */
      readonly bytes: number;
      /** The client's address in its one spelling; null where the proxy speaks for itself or does not know. */
      readonly address: string | null;
    };

const INCOMPLETE: ProxyHeader = { kind: "incomplete" };
const INVALID: ProxyHeader = { kind: "invalid" };

const V1_START = Buffer.from("PROXY ");
const V2_START = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
// Section 2.1: no line is longer, its CR LF included.
const V1_BYTES = 107;
// Section 2.2: signature, version and command, family and protocol, length.
const V2_FIXED_BYTES = 16;
// Addresses take 216 bytes at most; the rest is for a client certificate's fields, which some proxies add.
const V2_BYTES = 4096;

/** Whether a header begins here; `maybe` while there are too few bytes to tell. */
export function startsProxyHeader(bytes: Buffer): "yes" | "no" | "maybe" {
  for (const start of [V1_START, V2_START]) {
    const length = Math.min(bytes.length, start.length);
    if (bytes.compare(start, 0, length, 0, length) === 0) return length < start.length ? "maybe" : "yes";
  }
  return "no";
}

/** @param bytes everything that has arrived on the connection so far */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  const start = startsProxyHeader(bytes);
  if (start === "no") return INVALID;
  if (start === "maybe") return INCOMPLETE;
  return bytes[0] === V1_START[0] ? readText(bytes) : readBinary(bytes);
}

// Source and destination address, source and destination port.
const TCP_LINE = /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/;
const MAX_PORT = 65_535;

function readText(bytes: Buffer): ProxyHeader {
  const line = bytes.subarray(0, V1_BYTES);
  const end = line.indexOf("\r\n");
  if (end < 0) return line.length < V1_BYTES ? INCOMPLETE : INVALID;
  const text = line.toString("latin1", 0, end);
  const header = (address: string | null): ProxyHeader => ({ kind: "complete", bytes: end + 2, address });
  // Whatever follows that word is to be ignored.
  if (text === "PROXY UNKNOWN" || text.startsWith("PROXY UNKNOWN ")) return header(null);
  const [, family, source = "", target = "", ...ports] = TCP_LINE.exec(text) ?? [];
  if (family === undefined || ports.some((port) => Number(port) > MAX_PORT)) return INVALID;
  const isOfFamily = [source, target].every((each) => each.includes(":") === (family === "6"));
  const address = canonicalAddress(source);
  if (!isOfFamily || address === null || canonicalAddress(target) === null) return INVALID;
  return header(address);
}

const VERSION_2 = 0x20;
const LOCAL = 0;
const PROXY = 1;
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX_STREAM = 0x31;

function readBinary(bytes: Buffer): ProxyHeader {
  if (bytes.length < V2_FIXED_BYTES) return INCOMPLETE;
  const command = bytes.readUInt8(12) - VERSION_2;
  const family = bytes.readUInt8(13);
  const length = V2_FIXED_BYTES + bytes.readUInt16BE(14);
  if ((command !== LOCAL && command !== PROXY) || length > V2_BYTES) return INVALID;
  const rest = length - V2_FIXED_BYTES;
  const header = (address: string | null): ProxyHeader => ({ kind: "complete", bytes: length, address });
  const read = (least: number, address: () => string | null): ProxyHeader => {
    if (rest < least) return INVALID;
    return bytes.length < length ? INCOMPLETE : header(address());
  };
  // The proxy's own connection, a health check for example: its family is to be ignored.
  if (command === LOCAL) return read(0, () => null);
  switch (family) {
    case TCP4:
      return read(12, () => bytes.subarray(16, 20).join("."));
    case TCP6:
      return read(36, () => canonicalAddress(groups(bytes.subarray(16, 32))));
    case UNSPECIFIED:
    case UNIX_STREAM:
      return read(0, () => null);
    default:
      // Datagrams, and families that do not exist.
      return INVALID;
  }
}

function groups(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(2 * n).toString(16)).join(":");
}
