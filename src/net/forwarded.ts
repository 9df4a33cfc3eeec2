// Whom an HTTP proxy's `X-Forwarded-For` names as the client. Pure.

import { canonicalAddress } from "./address.ts";
import type { AllowList } from "./allow-list.ts";

/**
 * Each proxy adds the address that it was reached from at the end. So the list is read from its end, and only as far
 * as those that wrote it are trusted: what a client made up stands before that and is never reached.
 * @param peer the address that the connection comes from
 * @param forwardedFor the header's value, repeated headers joined; undefined without one
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, isTrusted: AllowList): string {
  let client = peer;
  if (forwardedFor === undefined) return client;
  const hops = forwardedFor.split(",");
  while (hops.length > 0 && isTrusted(client)) {
    const address = hopAddress(hops.pop() ?? "");
    // "unknown", or a name: nobody knows who is behind.
    if (address === null) break;
    client = address;
  }
  return client;
}

// Some proxies add the port: 192.0.2.1:4711, [2001:db8::1]:4711. Brackets alone occur too.
const WITH_PORT = /^(?:\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5})$/;

function hopAddress(hop: string): string | null {
  const text = hop.trim();
  const [, six, four] = WITH_PORT.exec(text) ?? [];
  return canonicalAddress(six ?? four ?? text);
}
