// Which phone a verb is about: a registration id on the command line, or a device token or SubscriptionId on standard
// input. Those are no arguments: every user of the machine can read a process's arguments, and shells keep them.
import { BellError } from "../errors.ts";
import { registrationIdOf } from "../phones/find.ts";
import { readInput } from "./terminal.ts";

export type Which = { readonly id: string } | { readonly given: string };

/**
 * @param argument a registration id, or `-`
 * @throws `usage`; the message never repeats the argument, which may be a token
 */
export async function whichPhone(argument: string): Promise<Which> {
  if (argument === "-") {
    const given = await readInput("Device token or SubscriptionId: ");
    const id = registrationIdOf(given);
    return id === null ? { given } : { id };
  }
  const id = registrationIdOf(argument);
  if (id !== null) return { id };
  throw new BellError(
    "usage",
    "The argument is no registration id (a UUID). Give a device token or a SubscriptionId on standard input instead, with - as the argument: arguments can be read by every user of this machine.",
  );
}
