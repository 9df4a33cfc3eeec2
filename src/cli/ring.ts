// `ring`: a test ring, followed to the provider's answer. Exit 0 only if Apple or Google took it.

import { parseDurationMs } from "../config/durations.ts";
import { answerWords } from "../delivery/answer-words.ts";
import { BellError } from "../errors.ts";
import { askNode } from "../ops/control.ts";
import type { PhoneFacts } from "../phones/facts.ts";
import { page } from "../phones/pages.ts";
import type { RingReply } from "../phones/verbs.ts";
import { waits } from "../phones/waits.ts";
import { print } from "./output.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";
import { whichPhone } from "./which-phone.ts";
import { factsFor, readable } from "./why.ts";

export interface RingOptions extends NodeOptions {
  readonly wait: string;
  readonly json: boolean;
}

/** How a test ring stands. */
export type Followed =
  | { readonly kind: "accepted" | "refused" | "gone"; readonly text: string }
  /** Still owed. */
  | { readonly kind: "waits"; readonly text: string };

// Between two looks at the phone, milliseconds.
const LOOK_MS = 200;

/**
 * Owes a test ring and waits for its answer.
 * @returns the exit code: 0 if the provider accepted it
 * @throws `registration_unknown`, `not_running`, `control_denied` or `usage`
 */
export async function ring(argument: string, options: RingOptions): Promise<number> {
  const waitMs = parseDurationMs(options.wait);
  if (waitMs === null) throw new BellError("usage", `--wait ${options.wait}: expected a time such as 30s.`);
  const which = await whichPhone(argument);
  const socket = controlSocket(options);
  const id = "id" in which ? which.id : await onlyOne(which, options);
  const { askedAt } = (await askNode(socket, "ring", { input: { id } })) as RingReply;
  const until = performance.now() + waitMs;
  let followed = await look(id, askedAt, options);
  while (followed.kind === "waits" && performance.now() < until) {
    await Bun.sleep(Math.min(LOOK_MS, Math.max(0, until - performance.now())));
    followed = await look(id, askedAt, options);
  }
  if (options.json) {
    print(JSON.stringify(readable({ registrationId: id, askedAt, ...followed }), null, 2));
  } else {
    print(followed.text);
  }
  return followed.kind === "accepted" ? 0 : 1;
}

async function look(id: string, askedAt: number, options: NodeOptions): Promise<Followed> {
  const { phones } = await factsFor({ id }, options);
  const [facts] = phones;
  return facts === undefined ? GONE : followedTo(facts, askedAt);
}

const GONE: Followed = { kind: "gone", text: "The registration is no more: it was deleted meanwhile." };

/**
 * How the test ring stands that was asked for at `askedAt` (epoch milliseconds). Pure.
 */
export function followedTo(facts: PhoneFacts, askedAt: number): Followed {
  const { phone, owed, lastRing, node } = facts;
  if (phone === null) return GONE;
  const isOwed = owed?.reasons.some(({ reason }) => reason === "test") === true;
  if (phone.dead !== "no") {
    const word = lastRing === null ? "refused its token" : answerWords(phone.platform, lastRing.outcome);
    return {
      kind: "refused",
      text: `The phone is not rung: ${word}. It is rung again once its app has registered anew: open the app.`,
    };
  }
  if (!isOwed) {
    const noted = lastRing?.reason === "test" && lastRing.at >= askedAt ? lastRing : null;
    const test = node?.test ?? null;
    const answer = noted ?? (test !== null && test.at >= askedAt ? test : null);
    if (answer?.outcome === "accepted") {
      return {
        kind: "accepted",
        text: `Accepted: ${answerWords(phone.platform, "accepted")}. If the phone shows nothing, see ${page("phone.md")}.`,
      };
    }
    const word =
      answer === null ? "nobody waited for it any more" : answerWords(phone.platform, answer.outcome);
    return { kind: "refused", text: `Not accepted: ${word}.` };
  }
  const wait = waits(facts);
  const told =
    wait === null ? "It is owed." : [`It waits: ${wait.because}.`, wait.next, ...wait.todo].join("\n");
  return { kind: "waits", text: told };
}

async function onlyOne(which: { readonly given: string }, options: NodeOptions): Promise<string> {
  const { phones } = await factsFor(which, options);
  const [first, second] = phones;
  if (first === undefined) {
    throw new BellError("registration_unknown", "No registration holds this device token or SubscriptionId.");
  }
  if (second !== undefined) {
    const ids = phones.map(({ registrationId }) => registrationId).join(", ");
    throw new BellError("usage", `Several registrations hold this token; name one of them: ${ids}.`);
  }
  return first.registrationId;
}
