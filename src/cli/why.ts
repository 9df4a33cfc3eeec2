// `why`: why one phone was rung or was silent, and what to do.
import { isBellError } from "../errors.ts";
import { askNode, notInboxbell } from "../ops/control.ts";
import { type PhoneFacts, phoneFacts } from "../phones/facts.ts";
import { findRegistrations } from "../phones/find.ts";
import type { WhyReply } from "../phones/verbs.ts";
import { explain, type WhyAnswer } from "../phones/why.ts";
import { NOT_RUNNING, readOffline } from "./offline.ts";
import { print } from "./output.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";
import { type Which, whichPhone } from "./which-phone.ts";

export type PhoneOptions = NodeOptions & { readonly json: boolean };

/**
 * Explains each registration that may be meant.
 * @param argument a registration id, or `-` for what comes on standard input
 * @returns the exit code: 0 if a registration is known, be it deleted or idle
 */
export async function why(argument: string, options: PhoneOptions): Promise<number> {
  const which = await whichPhone(argument);
  const { phones, isOffline } = await factsFor(which, options);
  const known = phones.filter(({ standing }) => standing !== "unknown");
  if (options.json) {
    const told = phones.map((facts) => ({ ...explain(facts), facts: readable(facts) }));
    print(JSON.stringify({ offline: isOffline, phones: told }, null, 2));
  } else {
    if (isOffline) print(`${NOT_RUNNING}\n`);
    const texts = phones.map((facts) => whyText(facts.registrationId, explain(facts)));
    print(texts.length === 0 ? NOBODY : texts.join("\n\n"));
  }
  return known.length === 0 ? 1 : 0;
}

const NOBODY = `No registration holds this device token or SubscriptionId.

next  Nothing: such a phone is not rung from here.
do    Open the app on the phone. It may have registered with another token, or at another server.
      A SubscriptionId is known from the first notification on; before, look for the registration id.`;

/**
 * Facts from the running node, or else from the database.
 * @throws what keeps both from being asked
 */
export async function factsFor(
  which: Which,
  options: NodeOptions,
): Promise<{ readonly phones: readonly PhoneFacts[]; readonly isOffline: boolean }> {
  const socket = controlSocket(options);
  try {
    const reply = await askNode(socket, "why", { input: which });
    if (!isWhyReply(reply)) throw notInboxbell(socket);
    return { phones: reply.phones, isOffline: false };
  } catch (error) {
    if (!isBellError(error, "not_running")) throw error;
    // With a socket alone nobody said where the database is.
    if (options.socket !== undefined && options.config === undefined) throw error;
    return { phones: await readFacts(which, options), isOffline: true };
  }
}

function readFacts(which: Which, options: NodeOptions): Promise<readonly PhoneFacts[]> {
  return readOffline(options, async ({ inspector, index, places, keyring }) => {
    const now = Date.now();
    const ids = "id" in which ? [which.id] : await findRegistrations(which.given, keyring(), index);
    const { config } = places;
    const known = config === null ? null : { apps: config.apps, idleMs: config.retention.idleRegistrationMs };
    return ids.map((id) => phoneFacts(inspector.inspect(id, now), { now, config: known, node: null }));
  });
}

function isWhyReply(value: unknown): value is WhyReply {
  return typeof value === "object" && value !== null && "phones" in value && Array.isArray(value.phones);
}

/** The answer as text for a terminal. */
export function whyText(registrationId: string, { verdict, lines, next, todo }: WhyAnswer): string {
  const rows: (readonly [string, string])[] = [
    ["registration", registrationId],
    ...lines,
    ["next", next],
    ...todo.map((text, n): [string, string] => [n === 0 ? "do" : "", text]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [verdict, "", ...rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`)].join("\n");
}

const TIME_KEY = /(?:At|^since|^now|^notBefore|^heldUntil|^at)$/;

/** With times that people read. */
export function readable(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner: unknown) =>
    typeof inner === "number" && TIME_KEY.test(key) && inner > 0 ? new Date(inner).toISOString() : inner,
  ) as unknown;
}
