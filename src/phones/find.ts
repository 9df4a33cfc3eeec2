// Finds registrations by what an administrator has of a phone: its registration id, its device token, or the
// SubscriptionId that Exchange's event log prints.
import type { Keyring } from "../keys/types.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The id in its canonical text, or null if the text is no UUID. */
export function registrationIdOf(text: string): string | null {
  return UUID.test(text) ? text.toLowerCase() : null;
}

/** Where it is looked for. */
export interface Index {
  findToken(tokenMac: Buffer): Promise<readonly string[]>;
  findSubscription(subscriptionMac: Buffer): Promise<{ readonly registrationId: string } | null>;
}

/**
 * Registrations that a text may mean. More than one where an app lost its id and kept its token.
 * @param given as it was pasted: with line breaks, or as Apple's tools print a token (`<abcd ef01>`)
 */
export async function findRegistrations(
  given: string,
  keyring: Pick<Keyring, "mac">,
  index: Index,
): Promise<readonly string[]> {
  const text = given.replace(/\s+/g, "");
  const id = registrationIdOf(text);
  if (id !== null) return [id];
  if (text === "") return [];
  const bare = text.replace(/^<|>$/g, "");
  // Apple's tokens are kept in lower case, Google's as they are.
  const tokens = new Set([bare, bare.toLowerCase()]);
  const found = new Set<string>();
  for (const token of tokens) {
    for (const each of await index.findToken(keyring.mac("token", token))) found.add(each);
  }
  const bound = await index.findSubscription(keyring.mac("subscription", text));
  if (bound !== null) found.add(bound.registrationId);
  return [...found];
}
