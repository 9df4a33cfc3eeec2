// The command line: verbs, their options and help. Each verb's work is in its own file.
import { Command, Option } from "commander";
import { BellError } from "../errors.ts";
import { check } from "./check.ts";
import { DEFAULT_CONFIG, DEFAULT_SOCKET } from "./defaults.ts";
import { healthcheck } from "./healthcheck.ts";
import { rehearse } from "./rehearse.ts";
import { reload } from "./reload.ts";
import { outcome } from "./run.ts";
import { serve } from "./serve.ts";
import { status } from "./status.ts";
import { VERSION_TEXT, version } from "./version.ts";

// Known by name, so that the answer is a sentence and not "unknown command".
export const UNAVAILABLE: Readonly<Record<string, string>> = {
  setup: "write a configuration step by step",
  doctor: "examine every hop",
  why: "tell why a phone was silent",
  ring: "send a test ring",
  forget: "delete a registration",
  registrations: "list registrations",
  backup: "write a backup",
  restore: "restore a backup",
  migrate: "migrate the database",
  pair: "join, switch and watch a pair",
  completion: "print completions for a shell",
};

/** Makes the parser. It throws instead of exiting; `run.ts` turns that into an exit code. */
export function createProgram(): Command {
  const program = new Command("inboxbell")
    .description("Rings the phone when the inbox changes.")
    .version(VERSION_TEXT, "-V, --version", "print the version")
    .exitOverride()
    .showHelpAfterError("(run inboxbell --help to see the verbs)")
    .helpCommand(false);
  const verb = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .showHelpAfterError(`(run inboxbell ${name} --help to see what it takes)`);
  const config = () => new Option("--config <file>", "configuration file").default(DEFAULT_CONFIG);
  // Without defaults, to tell what was given from what was not: what is given counts, and the socket before the file.
  const node = (command: Command) =>
    command
      .option("--config <file>", `configuration that names the control socket (default: "${DEFAULT_CONFIG}")`)
      .option(
        "--socket <path>",
        `control socket of the running node (default: that of the configuration, or "${DEFAULT_SOCKET}")`,
      );
  const json = () => new Option("--json", "print JSON").default(false);
  const ends = <T>(work: (options: T) => Promise<number> | number) => {
    return async (options: T, command: Command) => {
      outcome.verb = command.name();
      outcome.code = await work(options);
    };
  };

  verb("serve", "run the appliance").addOption(config()).action(ends(serve));
  verb("check", "check the configuration and the files it names; prints every problem at once")
    .addOption(config())
    .addOption(json())
    .action(ends(check));
  node(verb("status", "show the running node in one screen")).addOption(json()).action(ends(status));
  node(verb("reload", "have the running node read its configuration and the files it names again"))
    .addOption(json())
    .action(ends(reload));
  node(verb("healthcheck", "ask the running node whether it is ready; for container and service managers"))
    .addOption(json())
    .action(ends(healthcheck));
  verb("rehearse", "run the appliance with simulated Exchange, APNs, FCM and phones around it")
    .option("--for <duration>", "stop by itself after this time, for example 10s")
    .option("--phones <n>", "how many phones", "60")
    .option("--rate <n>", "mailbox changes a second", "5")
    .option("--simulators-only", "start the simulators alone and write a configuration for them", false)
    .option("--seed <text>", "repeat a run's choices")
    .option("--keep", "keep the directory with configuration, keys and database", false)
    .option("--plain", "line by line, no live view", false)
    .addOption(json())
    .action(ends(rehearse));
  verb("version", "print the version").addOption(json()).action(ends(version));

  for (const [name, description] of Object.entries(UNAVAILABLE)) {
    program
      .command(name, { hidden: true })
      .description(description)
      .allowUnknownOption()
      .allowExcessArguments()
      .argument("[arguments...]")
      .action(() => {
        throw new BellError(
          "not_available",
          `The verb ${name} (${description}) is not available in this version.`,
        );
      });
  }
  return program;
}
