// Whether `pair.peer` leads back to this machine, which only the machine can tell: a name that resolves to an address
// of its own, such as the 127.0.1.1 that Debian's installer gives to a host's own name.
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { isLoopbackAddress, isSameAddress, isWildcardAddress } from "../../config/addresses.ts";
import { hostPortText } from "../../config/host-port.ts";
import type { PairConfig } from "../../config/types.ts";
import { found, type Result } from "./findings.ts";

/** Looks where the other node's address leads. */
export async function examinePairAddress(pair: PairConfig): Promise<Result[]> {
  const addresses = await lookup(pair.peer.host, { all: true }).then(
    (all) => all.map(({ address }) => address),
    // A name that nobody knows is told with the link.
    () => [],
  );
  return judgePairAddress(pair, addresses, ownAddresses());
}

/**
 * Nothing, unless one of the addresses is where this node itself listens. Pure.
 * @param addresses of the other node's host
 * @param own addresses of this machine
 */
export function judgePairAddress(
  { peer, listen }: Pick<PairConfig, "peer" | "listen">,
  addresses: readonly string[],
  own: readonly string[],
): Result[] {
  if (peer.port !== listen.port) return [];
  const isHere = (address: string) =>
    isWildcardAddress(listen.address)
      ? isLoopbackAddress(address) || own.some((each) => isSameAddress(each, address))
      : isSameAddress(listen.address, address);
  const here = addresses.find(isHere);
  return here === undefined ? [] : [found("pair_self", hostPortText(peer), `${here} is this machine's own`)];
}

function ownAddresses(): string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
  } catch {
    // Where AF_NETLINK is closed to this process, as in the unit's sandbox.
    return [];
  }
}
