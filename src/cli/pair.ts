// `pair` and its verbs, for the command line.
import { type Command, Option } from "commander";
import { DEFAULT_CONFIG } from "./defaults.ts";
import { pairInvite } from "./pair-invite.ts";
import { pairJoin } from "./pair-join.ts";
import { pairStatus } from "./pair-status.ts";
import { pairFirst, pairForget, pairSwitch } from "./pair-wishes.ts";

/** How the program makes the parts that its verbs share. */
export interface PairParts {
  /** Adds --config and --socket. */
  readonly node: (command: Command) => Command;
  readonly json: () => Option;
  /** Runs a verb with its options. */
  readonly ends: <T>(
    work: (options: T) => Promise<number> | number,
  ) => (options: T, command: Command) => Promise<void>;
  /** Runs a verb with its argument and options. */
  readonly endsOf: <T>(
    work: (argument: string, options: T) => Promise<number>,
  ) => (argument: string, options: T, command: Command) => Promise<void>;
}

/** @param pair the command `pair`, to which its verbs are added */
export function addPairVerbs(pair: Command, { node, json, ends, endsOf }: PairParts): void {
  pair.helpCommand(false);
  const verb = (name: string, description: string) =>
    pair
      .command(name)
      .description(description)
      .showHelpAfterError(`(run inboxbell pair ${name} --help to see what it takes)`);
  const config = () => new Option("--config <file>", "configuration file").default(DEFAULT_CONFIG);

  verb("invite", "wait for the second node and print the code that it joins with")
    .addOption(config())
    .option(
      "--address <host:port>",
      "where the second node reaches this one's link (default: the node's name, 7443)",
    )
    .option(
      "--peer <host:port>",
      "where this node reaches the second one's link (default: what that one says)",
    )
    .option("--port <n>", "wait at another port than that of the link")
    .option("--valid <duration>", "how long the code works", "15m")
    .action(ends(pairInvite));
  verb("join", "join the pair that a code from `pair invite` invites to")
    .argument(
      "[code]",
      "better left out: it is asked for, or read from standard input, and nobody sees it in ps",
    )
    .addOption(config())
    .option("--node <name>", "this node's name (default: that of its configuration, or the host name)")
    .option(
      "--address <host:port>",
      "where the first node reaches this one's link (default: the node's name, 7443)",
    )
    .option("--without-certificates", "keep this node's own certificates of the listeners", false)
    .option("--yes", "write without asking", false)
    .action(endsOf(pairJoin));
  node(verb("status", "show both nodes side by side; exits 0 only while the pair is protected"))
    .addOption(json())
    .action(ends(pairStatus));
  node(verb("switch", "have the node that is passive become active"))
    .option("--here", "this node is to be active", false)
    .option("--away", "the other node is to be active", false)
    .addOption(json())
    .action(ends(pairSwitch));
  node(verb("forget", "make this a single node, because the other one is gone for good"))
    .option("--yes", "do not ask", false)
    .addOption(json())
    .action(ends(pairForget));
  node(verb("first", "say that this node's empty database is the first of the pair"))
    .addOption(json())
    .action(ends(pairFirst));
}
