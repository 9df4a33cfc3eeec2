// The command line: verbs, their options and help. Each verb's work is in its own file.
import { Argument, Command, Option } from "commander";
import { LISTED_STATES, PLATFORMS } from "../phones/list.ts";
import { backup } from "./backup.ts";
import { check } from "./check.ts";
import { completion, SHELLS, type Shell } from "./completion.ts";
import { DEFAULT_CONFIG, DEFAULT_SOCKET } from "./defaults.ts";
import { doctor } from "./doctor.ts";
import { forget } from "./forget.ts";
import { healthcheck } from "./healthcheck.ts";
import { migrate } from "./migrate.ts";
import { write } from "./output.ts";
import { addPairVerbs } from "./pair.ts";
import { registrations } from "./registrations.ts";
import { rehearse } from "./rehearse.ts";
import { reload } from "./reload.ts";
import { restore } from "./restore.ts";
import { ring } from "./ring.ts";
import { outcome } from "./run.ts";
import { serve } from "./serve.ts";
import { FLAGS } from "./setup/options.ts";
import { setup } from "./setup.ts";
import { status } from "./status.ts";
import { VERSION_TEXT, version } from "./version.ts";
import { why } from "./why.ts";

/** Makes the parser. It throws instead of exiting; `run.ts` turns that into an exit code. */
export function createProgram(): Command {
  const program = new Command("inboxbell")
    .description("Rings the phone when the inbox changes.")
    .version(VERSION_TEXT, "-V, --version", "print the version")
    .exitOverride()
    .showHelpAfterError("(run inboxbell --help to see the verbs)")
    .helpCommand(false)
    .configureOutput({ writeOut: write, outputError: (text, tell) => tell(spoken(text)) })
    .addHelpText(
      "after",
      [
        "",
        "To begin: inboxbell setup, start the service, inboxbell doctor.",
        "A verb's options: inboxbell <verb> --help. More: man inboxbell, man inboxbell.yaml,",
        "and the pages in /usr/share/doc/inboxbell, of which docs/install.md is the first.",
      ].join("\n"),
    );
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
      outcome.verb = fullName(command);
      outcome.code = await work(options);
    };
  };

  const endsOf = <T>(work: (argument: string, options: T) => Promise<number>) => {
    return async (argument: string, options: T, command: Command) => {
      outcome.verb = fullName(command);
      outcome.code = await work(argument, options);
    };
  };
  const phone = (command: Command) =>
    command.argument(
      "<registration id>",
      "its id, or - for a device token or SubscriptionId on standard input",
    );
  const passphrase = () =>
    new Option("--passphrase-file <file>", "file that holds the passphrase (default: it is asked for)");
  const keysFile = () =>
    new Option(
      "--keys-file <file>",
      "key file, where the configuration takes it from the service's credentials",
    );

  verb("serve", "run the appliance").addOption(config()).action(ends(serve));
  const setupVerb = verb(
    "setup",
    "write a configuration step by step, with certificates, keys and permissions",
  )
    .addOption(config())
    .option(
      "--user <name>",
      'service\'s user, who is to own the files (default: "inboxbell", when run as root)',
    )
    .option("--force", "replace what differs, keeping a copy", false)
    .option("--no-input", "ask nothing, even on a terminal");
  for (const [, flag, help, choices] of FLAGS) {
    const option = new Option(flag, help);
    setupVerb.addOption(choices === undefined ? option : option.choices(choices));
  }
  setupVerb.action(ends(setup));
  verb("check", "check the configuration and the files it names; prints every problem at once")
    .addOption(config())
    .addOption(json())
    .action(ends(check));
  verb("doctor", "examine every hop between Exchange, this node, the phones, Apple and Google")
    .addOption(config())
    .option("--socket <path>", "control socket of the running node (default: that of the configuration)")
    .option("--exchange", "print the PowerShell to run on an Exchange server instead", false)
    .option("--bundle <file>", "write a support bundle as well (tar.gz, without secrets)")
    .option("--log <file>", "log file for the bundle (default: the journal of the service)")
    .addOption(json())
    .action(ends(doctor));
  node(verb("status", "show the running node in one screen")).addOption(json()).action(ends(status));
  node(verb("reload", "have the running node read its configuration and the files it names again"))
    .addOption(json())
    .action(ends(reload));
  node(verb("healthcheck", "ask the running node whether it is ready; for container and service managers"))
    .addOption(json())
    .action(ends(healthcheck));
  node(phone(verb("why", "tell why one phone was rung or was silent, and what to do")))
    .addOption(json())
    .action(endsOf(why));
  node(verb("registrations", "list the phones that are registered"))
    .option("--app <id>", "of this app only")
    .addOption(new Option("--platform <name>", "of this platform only").choices(PLATFORMS))
    .addOption(new Option("--state <state>", "in this state only").choices(LISTED_STATES))
    .option("--owed", "only those to which a ring is owed", false)
    .option("--limit <n>", "so many at most, or all", "100")
    .option("--after <registration id>", "go on after this one")
    .addOption(json())
    .action(ends(registrations));
  node(phone(verb("ring", "send a test ring and follow it to the provider's answer")))
    .option("--wait <duration>", "how long to wait for the answer", "30s")
    .addOption(json())
    .action(endsOf(ring));
  node(phone(verb("forget", "delete a registration for good; Exchange is answered Unsubscribe")))
    .option("--yes", "do not ask", false)
    .addOption(json())
    .action(endsOf(forget));
  node(verb("backup", "write database and keys into one encrypted file, while the node works or not"))
    .argument("<file>", "new file; nothing is overwritten")
    .addOption(passphrase())
    .addOption(keysFile())
    .addOption(json())
    .action(endsOf(backup));
  node(verb("restore", "put a backup in the place of database and keys; the node must not run"))
    .argument("<file>", "the backup")
    .addOption(passphrase())
    .addOption(keysFile())
    .addOption(json())
    .action(endsOf(restore));
  verb("migrate", "bring the database to this version's schema; the node must not run")
    .addOption(config())
    .option("--dry-run", "try it on a copy and say what would be done", false)
    .addOption(json())
    .action(ends(migrate));
  addPairVerbs(verb("pair", "join, switch and watch a pair"), { node, json, ends, endsOf });
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
  verb("completion", "print a script that completes verbs and options in a shell")
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(SHELLS))
    .action(endsOf(async (shell) => completion(shell as Shell, program)));

  return program;
}

/** `pair join`, without the program's own name. */
function fullName(command: Command): string {
  const { parent } = command;
  return parent === null || parent.parent === null ? command.name() : `${fullName(parent)} ${command.name()}`;
}

/**
 * A complaint of the parser as this program words its own. What stands where nothing belongs is not repeated: it may be
 * a token that was meant for standard input.
 */
function spoken(complaint: string): string {
  return complaint.replace(/^error: /, "inboxbell: ").replace(/( but got \d+): .*\.$/ms, "$1.");
}
