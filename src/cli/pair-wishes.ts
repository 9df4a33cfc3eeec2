// `pair switch`, `pair forget` and `pair first`: what an administrator asks of a running pair.
import { BellError } from "../errors.ts";
import { askNode, notInboxbell } from "../ops/control.ts";
import {
  isPairStatus,
  isPairWishAnswer,
  PAIR_VERBS,
  PAIR_WISH_TIMEOUT_MS,
  type PairSwitchInput,
  type PairWishAnswer,
} from "../pair/status.ts";
import { print } from "./output.ts";
import { createPrompt } from "./setup/prompt.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";

type WishOptions = NodeOptions & { readonly json: boolean };

/**
 * Has the other node become the active one; with `here` or `away` this node is to be active, or not.
 * @throws BellError `usage`, `pair_wish` if it did not come about, `not_running` or `control_denied`
 */
export async function pairSwitch(
  options: WishOptions & { readonly here: boolean; readonly away: boolean },
): Promise<number> {
  if (options.here && options.away) throw new BellError("usage", "Either --here or --away, not both.");
  const input: PairSwitchInput = options.here ? { to: "here" } : options.away ? { to: "away" } : {};
  return await wish(PAIR_VERBS.switch, options, input);
}

/** Makes the running node a single one. @throws BellError as `pairSwitch` */
export async function pairForget(options: WishOptions & { readonly yes: boolean }): Promise<number> {
  if (!options.yes && !(await isConfirmed(options))) {
    print("Nothing was changed.");
    return 1;
  }
  return await wish(PAIR_VERBS.forget, options);
}

/** Says that this node's empty database is the first of the pair. @throws BellError as `pairSwitch` */
export async function pairFirst(options: WishOptions): Promise<number> {
  return await wish(PAIR_VERBS.first, options);
}

async function isConfirmed(options: NodeOptions): Promise<boolean> {
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true) {
    throw new BellError(
      "usage",
      "There is no terminal to ask on: add --yes to make this a single node unasked.",
    );
  }
  const status = await askNode(controlSocket(options), PAIR_VERBS.status);
  const prompt = createPrompt();
  try {
    if (isPairStatus(status) && status.link?.up === true) {
      prompt.say(`${status.peer?.name ?? "The other node"} is connected and works: stop its service first.`);
    }
    prompt.say(
      "This node will be a single one: it waits for nobody, and answers Unsubscribe by what it knows itself.",
    );
    prompt.say("Do this only if the other node is gone for good. One that comes back has to join again.");
    return await prompt.confirm("Forget the other node?", false);
  } finally {
    prompt.close();
  }
}

async function wish(verb: string, options: WishOptions, input?: PairSwitchInput): Promise<number> {
  const socket = controlSocket(options);
  const answer = await askNode(socket, verb, {
    timeoutMs: PAIR_WISH_TIMEOUT_MS,
    ...(input === undefined ? {} : { input }),
  });
  if (!isPairWishAnswer(answer)) throw notInboxbell(socket);
  if (!isGranted(answer)) throw new BellError("pair_wish", answer.detail);
  print(options.json ? JSON.stringify(answer, null, 2) : answer.detail);
  return 0;
}

function isGranted({ result }: PairWishAnswer): boolean {
  return result === "done" || result === "already";
}
