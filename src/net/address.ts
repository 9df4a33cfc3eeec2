// IP addresses as texts: one spelling for each, so that two ways of writing a client are one client.
import { isIPv4, isIPv6 } from "node:net";

// RFC 4291, 2.5.5.2: how a dual-stack socket shows an IPv4 client.
const MAPPED = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;
// The same as the URL standard writes it, in two groups of hexadecimal digits.
const MAPPED_GROUPS = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/** An address as people write it: IPv4 clients of a dual-stack socket without their prefix. */
export function plainAddress(address: string): string {
  return MAPPED.exec(address)?.[1] ?? address;
}

/** The one spelling of an address that came as a text from elsewhere; null if it is none. Zones are none. */
export function canonicalAddress(text: string): string | null {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes("%")) return null;
  const spelled = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [, high, low] = MAPPED_GROUPS.exec(spelled) ?? [];
  if (high === undefined || low === undefined) return spelled;
  const bits = Number.parseInt(high, 16) * 0x1_0000 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join(".");
}

// What a provider gives to one customer at least (RFC 6177): a host can take any address of it.
const NETWORK_GROUPS = 4;

/**
 * Under which key a client is counted: its IPv4 address, or the first 64 bits of its IPv6 address.
 * @param address in its one spelling
 */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined && groups.length < NETWORK_GROUPS) {
    const last = tail === "" ? [] : tail.split(":");
    while (groups.length + last.length < 8) groups.push("0");
    groups.push(...last);
  }
  return `${groups.slice(0, NETWORK_GROUPS).join(":")}::/64`;
}
