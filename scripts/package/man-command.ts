// inboxbell(1), made from the parser that also prints --help.
import type { Command } from "commander";
import { everyVerb, type OptionInfo, readCommand, type VerbInfo } from "../../src/cli/command-tree.ts";
import { DEFAULT_CONFIG, DEFAULT_SOCKET } from "../../src/cli/defaults.ts";
import { DESCRIPTION, MAINTAINER, SUMMARY } from "./facts.ts";
import { bold, entry, escaped, example, italic, paragraph, section, subsection, titleLine } from "./roff.ts";

/** The page as troff. */
export function commandPage(program: Command, date: Date, version: string): string {
  const root = readCommand(program);
  const verbs = everyVerb(root).filter((verb) => verb !== root && verb.verbs.length === 0);
  return `${[
    titleLine("inboxbell", 1, date, version, "Inboxbell"),
    section("Name"),
    `inboxbell \\- ${escaped(SUMMARY)}`,
    section("Synopsis"),
    `.B inboxbell\n${italic("verb")}\n[${italic("option")} ...]`,
    section("Description"),
    DESCRIPTION.map(paragraph).join("\n.PP\n"),
    ".PP",
    paragraph(
      "The service runs `inboxbell serve`. The other verbs set it up, examine it and ask the running node, through its control socket.",
    ),
    section("Verbs"),
    ...verbs.flatMap(verbSection),
    section("Options"),
    ...root.options.map(optionEntry),
    section("Exit status"),
    entry("0", "All is well."),
    entry("1", "A check failed, or what was asked for could not be done."),
    entry("2", "The command line could not be understood."),
    section("Environment"),
    entry(
      bold("BUN_TMPDIR"),
      "Where the program unpacks its SQLite library: a directory that only its user may write to, and that is not mounted noexec. Otherwise the system's directory for temporary files.",
    ),
    entry(
      bold("CREDENTIALS_DIRECTORY"),
      "Set by systemd: the service's credentials, which the configuration may name.",
    ),
    entry(
      `${bold("NOTIFY_SOCKET")}, ${bold("WATCHDOG_USEC")}`,
      "Set by systemd: where `inboxbell serve` tells how it is, and how often.",
    ),
    section("Files"),
    entry(bold(DEFAULT_CONFIG), "The configuration."),
    entry(bold("/var/lib/inboxbell"), "Database and keys."),
    entry(bold(DEFAULT_SOCKET), "Control socket, for root and members of the group inboxbell."),
    entry(
      bold("/usr/share/inboxbell/drop-ins"),
      "Drop-ins for the unit: ports below 1024, credentials, stricter.",
    ),
    section("Examples"),
    "Write a configuration, start the service and examine every hop:",
    example("sudo inboxbell setup\nsudo systemctl enable --now inboxbell\nsudo inboxbell doctor"),
    ".PP",
    "Ask why a phone was silent, by its device token:",
    example("sudo inboxbell why - < token.txt"),
    section("See also"),
    ".BR inboxbell.yaml (5),\n.BR systemctl (1),\n.BR journalctl (1)",
    ".PP",
    escaped("/usr/share/doc/inboxbell"),
    section("Authors"),
    escaped(MAINTAINER),
  ].join("\n")}\n`;
}

function verbSection(verb: VerbInfo): readonly string[] {
  const words = ["inboxbell", ...verb.path].map(escaped).join(" ");
  const terms = verb.arguments.map(({ term }) => ` ${italic(term)}`).join("");
  const options = verb.options.filter(({ long }) => long !== "--help");
  return [
    subsection(verb.path.join(" ")),
    `\\fB${words}\\fR${terms}${options.length === 0 ? "" : ` [${italic("option")} ...]`}`,
    ".PP",
    paragraph(sentence(verb.description)),
    ...verb.arguments.map(({ term, description }) => entry(italic(term), sentence(description))),
    ...options.map(optionEntry),
  ];
}

function optionEntry({ long, short, placeholder, takes, description, standard }: OptionInfo): string {
  const names = [long, ...(short === null ? [] : [short])].map(bold).join(", ");
  const value = placeholder === "" ? "" : ` ${italic(placeholder)}`;
  const told = takes.kind === "choice" ? `${description}: ${takes.choices.join(", ")}` : description;
  const text = standard === null ? told : `${told} (default: ${standard})`;
  return entry(`${names}${value}`, sentence(text));
}

function sentence(text: string): string {
  const first = `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  return /[.)]$/.test(first) && !first.endsWith(")") ? first : `${first}.`;
}
