// Rules that concern more than one option of `pair`. Pure.
import { isIP } from "node:net";
import { addressesOverlap, isLoopbackHost, isSameAddress, isWildcardAddress } from "./addresses.ts";
import type { RuleInput } from "./cross-rules.ts";
import { parseDurationMs } from "./durations.ts";
import { hostAndPort } from "./host-port.ts";
import { type Finding, finding } from "./problems.ts";

export function pairFindings({ raw, hostname, isWrong, place }: RuleInput): Finding[] {
  const { pair } = raw;
  if (pair === undefined) return [];
  const findings: Finding[] = [];
  const add = (keyPath: string, message: string, hint?: string) =>
    findings.push(finding("config_invalid", place(keyPath), keyPath, message, hint));

  const { takeover_after: takeover = "", alone_after: alone = "" } = pair;
  const [takeoverMs, aloneMs] = [parseDurationMs(takeover), parseDurationMs(alone)];
  const areDurations = !isWrong("pair.takeover_after") && !isWrong("pair.alone_after");
  if (areDurations && takeoverMs !== null && aloneMs !== null && aloneMs >= takeoverMs) {
    // Otherwise whoever asks the node that was replaced would wait for a node that has long taken over.
    add("pair.alone_after", `expected less than pair.takeover_after (${takeover})`);
  }

  const peer = hostAndPort(pair.peer ?? "");
  if (peer !== null && !isWrong("pair.peer_name") && !isWrong("node")) {
    if (pair.peer_name === undefined && isIP(peer.host) !== 0) {
      add("pair.peer", "expected pair.peer_name beside an address", "write the other node's `node` there");
    }
    const peerName = pair.peer_name ?? peer.host;
    const node = raw.node ?? hostname;
    if (peerName.toLowerCase() === node.toLowerCase()) {
      const at = pair.peer_name === undefined ? "pair.peer" : "pair.peer_name";
      add(at, "that is this node's own name", "the two nodes need different names, each in its own `node`");
    }
  }

  const { address, port } = pair.listen ?? {};
  if (peer !== null && address !== undefined && peer.port === port && !isWrong("pair.listen")) {
    if (leadsTo(address, peer.host)) {
      add("pair.peer", "that is where this node itself listens", "write the other node's host and port");
    }
  }
  if (address === undefined || port === undefined || port === 0 || isWrong("pair.listen")) return findings;
  for (const name of ["registration", "exchange", "admin"] as const) {
    const other = raw.listen?.[name];
    if (other?.address === undefined || other.port !== port || isWrong(`listen.${name}`)) continue;
    if (addressesOverlap(other.address, address)) {
      add("pair.listen.port", `the address and port are those of listen.${name}`);
    }
  }
  return findings;
}

/**
 * Whether a connection to a host comes to a listener on an address of the same machine. What a name resolves to is not
 * asked; where only one address listens, another loopback address may be a tunnel.
 */
function leadsTo(address: string, host: string): boolean {
  if (isWildcardAddress(address)) return isLoopbackHost(host) || isWildcardAddress(host);
  return isSameAddress(address, host) || (address === "127.0.0.1" && host === "localhost");
}
