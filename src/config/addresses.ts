// Questions about IP addresses and hosts that the rules of the configuration ask. Pure.
import { BlockList, isIP, isIPv4 } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");
// IPv4-mapped addresses (RFC 4291, 2.5.5.2).
LOOPBACK.addSubnet("::ffff:127.0.0.0", 104, "ipv6");

/** Whether only this machine can reach the address. False for what is not an IP address. */
export function isLoopbackAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && LOOPBACK.check(address, family === 4 ? "ipv4" : "ipv6");
}

/** Whether the host of a URL is this machine; IPv6 hosts stand in brackets there. */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || isLoopbackAddress(host.replace(/^\[(.*)\]$/, "$1"));
}

const ANY_IPV6 = new BlockList();
ANY_IPV6.addAddress("::", "ipv6");

/** Whether it stands for every address of the machine. */
export function isWildcardAddress(address: string): boolean {
  return address === "0.0.0.0" || (isIP(address) === 6 && ANY_IPV6.check(address, "ipv6"));
}

/** Whether two IP addresses are one, however each is written; false for what is no address. */
export function isSameAddress(a: string, b: string): boolean {
  if (isIP(a) === 0 || isIP(b) === 0) return false;
  const one = new BlockList();
  one.addAddress(a, isIPv4(a) ? "ipv4" : "ipv6");
  return one.check(b, isIPv4(b) ? "ipv4" : "ipv6");
}

/** Whether a listener on `a` keeps another one from listening on `b` at the same port. */
export function addressesOverlap(a: string, b: string): boolean {
  if (a === b) return true;
  // "::" takes IPv4 too (dual stack), 0.0.0.0 takes IPv4 only.
  const takes = (wide: string, narrow: string) =>
    isWildcardAddress(wide) && (isIP(wide) === 6 || isIPv4(narrow));
  return takes(a, b) || takes(b, a);
}

/** Whether the text is an IP address or a CIDR block (RFC 4632, RFC 4291). */
export function isAddressOrBlock(text: string): boolean {
  const [address = "", prefix, ...rest] = text.split("/");
  const family = address.includes("%") ? 0 : isIP(address);
  if (family === 0 || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^(0|[1-9][0-9]{0,2})$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}
