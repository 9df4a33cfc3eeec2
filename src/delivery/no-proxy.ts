// Which hosts are reached without the proxy (egress.no_proxy). Pure: names are not looked up, because behind a
// proxy this machine often cannot resolve the provider's name.
import { isIP } from "node:net";
import { isAddressOrBlock } from "../config/addresses.ts";
import { plainAddress } from "../net/address.ts";
import { createAllowList } from "../net/allow-list.ts";

/**
 * @param entries `push.example` is that host, `.corp.example` every host below it, `10.1.0.0/16` and `10.1.2.3`
 * hosts that are written as addresses
 * @returns whether a host (as a URL has it, IPv6 in brackets) is exempt
 */
export function exemptHosts(entries: readonly string[]): (host: string) => boolean {
  const blocks = entries.filter(isAddressOrBlock);
  // An empty allow list allows everything.
  const isListed = blocks.length === 0 ? () => false : createAllowList(blocks);
  const names = entries.filter((entry) => !isAddressOrBlock(entry)).map(plainName);
  return (written) => {
    const host = plainName(written.replace(/^\[(.*)\]$/, "$1"));
    if (isIP(host) !== 0) return isListed(plainAddress(host));
    return names.some((name) => (name.startsWith(".") ? host.endsWith(name) : host === name));
  };
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
