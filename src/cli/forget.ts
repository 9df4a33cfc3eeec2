// `forget`: deletes registrations as their apps would, so that Exchange's next notification is answered Unsubscribe.
import { BellError } from "../errors.ts";
import { askNode } from "../ops/control.ts";
import type { PhoneFacts } from "../phones/facts.ts";
import { at } from "../phones/times.ts";
import type { ForgetReply } from "../phones/verbs.ts";
import { print } from "./output.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";
import { confirmed, isInteractive } from "./terminal.ts";
import { whichPhone } from "./which-phone.ts";
import { factsFor } from "./why.ts";

export interface ForgetOptions extends NodeOptions {
  readonly yes: boolean;
  readonly json: boolean;
}

/**
 * Deletes every registration that is meant, once somebody has said yes.
 * @returns the exit code: 0 if they are deleted now
 * @throws `registration_unknown`, `not_running`, `control_denied` or `usage`
 */
export async function forget(argument: string, options: ForgetOptions): Promise<number> {
  const which = await whichPhone(argument);
  const socket = controlSocket(options);
  // Asked before the phone is looked for: without a node nothing can be deleted.
  await askNode(socket, "ping");
  const { phones } = await factsFor(which, options);
  const known = phones.filter(({ standing }) => standing === "present" || standing === "deleted");
  if (known.length === 0) {
    throw new BellError(
      "registration_unknown",
      "id" in which
        ? `No registration has the id ${which.id}.`
        : "No registration holds this device token or SubscriptionId.",
    );
  }
  const present = known.filter(({ standing }) => standing === "present");
  if (present.length > 0 && !(await mayForget(present, options))) {
    print("Nothing was deleted.");
    return 1;
  }
  const ids = known.map(({ registrationId }) => registrationId);
  const reply = (await askNode(socket, "forget", { input: { ids } })) as ForgetReply;
  print(options.json ? JSON.stringify(reply, null, 2) : forgetText(reply));
  return 0;
}

async function mayForget(phones: readonly PhoneFacts[], { yes }: ForgetOptions): Promise<boolean> {
  if (yes) return true;
  if (!isInteractive()) {
    throw new BellError("usage", "It cannot be undone: say --yes where nobody can be asked.");
  }
  for (const { registrationId, phone } of phones) {
    const about =
      phone === null ? "" : `, ${phone.app} on ${phone.platform}, registered ${at(phone.createdAt)}`;
    console.error(`${registrationId}${about}`);
  }
  return confirmed("Delete for good? The app has to make a new registration.");
}

function forgetText({ forgotten, already }: ForgetReply): string {
  return [
    ...forgotten.map(
      (id) =>
        `Deleted ${id}. Exchange's next notification for it is answered Unsubscribe; its app registers under a new id.`,
    ),
    ...already.map((id) => `${id} was deleted before.`),
  ].join("\n");
}
