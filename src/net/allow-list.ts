// Which addresses may connect: CIDR blocks and single addresses, IPv4, IPv6 and IPv4 written as IPv6.
import { BlockList, isIPv4, isIPv6 } from "node:net";
import { BellError } from "../errors.ts";
import { plainAddress } from "./address.ts";

// The prefix of an IPv4 address written as IPv6 covers the first 96 bits.
const MAPPED_BITS = 96;

/** Whether an address (as `plainAddress` gives it) may connect. */
export type AllowList = (address: string) => boolean;

/**
 * @param entries blocks (`10.1.0.0/16`, `2001:db8::/32`) and addresses; empty allows every address
 * @throws BellError config_invalid for an entry that is neither
 */
export function createAllowList(entries: readonly string[]): AllowList {
  if (entries.length === 0) return () => true;
  const list = new BlockList();
  for (const entry of entries) addEntry(list, entry);
  return (address) => list.check(address, address.includes(":") ? "ipv6" : "ipv4");
}

function addEntry(list: BlockList, entry: string): void {
  const [written = "", bits, ...rest] = entry.split("/");
  const address = plainAddress(written);
  const isFour = isIPv4(address);
  const isValid =
    (isFour || isIPv6(address)) && rest.length === 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
  const width = isFour ? 32 : 128;
  let prefix = bits === undefined ? width : Number(bits);
  if (bits !== undefined && address !== written) prefix -= MAPPED_BITS;
  if (!isValid || prefix < 0 || prefix > width) {
    throw new BellError(
      "config_invalid",
      `"${entry}" in an allow list is neither an address nor a CIDR block.`,
    );
  }
  list.addSubnet(address, prefix, isFour ? "ipv4" : "ipv6");
}

/**
 * Which addresses are proxies whose word on the client's address is believed.
 * @param entries as those of an allow list; empty trusts nobody
 * @throws BellError config_invalid for an entry that is neither an address nor a block
 */
export function createTrustList(entries: readonly string[]): AllowList {
  return entries.length === 0 ? () => false : createAllowList(entries);
}
