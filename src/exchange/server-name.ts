// The name of the Exchange server that a subscription lives on, as its SubscriptionId holds it. Only a keyed hash of it
// is ever kept: it tells which subscriptions are lost together.

// A host name's limit (RFC 1035 section 2.3.4).
const MAX_NAME_BYTES = 255;
const LENGTH_BYTES = 2;
const HOST_NAME = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/;

/**
 * The server's name, lower case, or null if the id does not begin with one: ids are base64 of a host name with its
 * length in front (16 bits, low byte first), a GUID and more, but nothing promises that they stay so.
 */
export function serverName(subscriptionId: string): string | null {
  const needed = Math.ceil((LENGTH_BYTES + MAX_NAME_BYTES) / 3) * 4;
  const bytes = Buffer.from(subscriptionId.slice(0, needed), "base64");
  if (bytes.length < LENGTH_BYTES) return null;
  const length = bytes.readUInt16LE(0);
  if (length < 1 || length > MAX_NAME_BYTES || bytes.length < LENGTH_BYTES + length) return null;
  const name = bytes.toString("latin1", LENGTH_BYTES, LENGTH_BYTES + length).toLowerCase();
  return HOST_NAME.test(name) ? name : null;
}
