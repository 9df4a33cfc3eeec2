// The verbs as data, read from the parser: what the completions and the manual page are made of, so that neither can
// tell of an option that --help does not know.
import type { Argument, Command, Option } from "commander";

/** What stands after an option or in the place of an argument. */
export type Takes =
  | { readonly kind: "nothing" }
  | { readonly kind: "file" }
  | { readonly kind: "directory" }
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  | { readonly kind: "value" };

export interface OptionInfo {
  /** With both dashes, as `--config`. */
  readonly long: string;
  /** With its dash, as `-h`; null if there is none. */
  readonly short: string | null;
  /** As `<file>`; empty if it takes nothing. */
  readonly placeholder: string;
  readonly takes: Takes;
  readonly description: string;
  /** Null if there is none worth telling. */
  readonly standard: string | null;
}

export interface ArgumentInfo {
  /** As `<file>`, or `[arguments...]`. */
  readonly term: string;
  readonly takes: Takes;
  readonly description: string;
}

export interface VerbInfo {
  /** Names from the program's own down to this one; empty for the program itself. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly OptionInfo[];
  readonly arguments: readonly ArgumentInfo[];
  readonly verbs: readonly VerbInfo[];
}

const NAMES_A_FILE = /^(?:file|path|socket)$/;

/** Reads the parser; hidden verbs and options are left out. */
export function readCommand(command: Command, path: readonly string[] = []): VerbInfo {
  const help = command.createHelp();
  // commander's `visibleCommands` would add its own `help`, which the program switched off.
  const verbs = help.visibleCommands(command).filter((each) => command.commands.includes(each));
  return {
    path,
    description: command.description(),
    options: help.visibleOptions(command).flatMap(readOption),
    arguments: command.registeredArguments.map(readArgument),
    verbs: verbs.map((each) => readCommand(each, [...path, each.name()])),
  };
}

/** The program and everything beneath it, each before what is beneath it. */
export function everyVerb(verb: VerbInfo): readonly VerbInfo[] {
  return [verb, ...verb.verbs.flatMap(everyVerb)];
}

function readOption(option: Option): readonly OptionInfo[] {
  if (!option.long) return [];
  const placeholder = /[<[].*$/.exec(option.flags)?.[0] ?? "";
  const standard = option.defaultValueDescription ?? option.defaultValue;
  return [
    {
      long: option.long,
      short: option.short ?? null,
      placeholder,
      takes: placeholder === "" ? { kind: "nothing" } : takes(placeholder, option.argChoices),
      description: option.description,
      standard: standard === undefined || typeof standard === "boolean" ? null : String(standard),
    },
  ];
}

function readArgument(argument: Argument): ArgumentInfo {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  const term = argument.required ? `<${name}>` : `[${name}]`;
  return { term, takes: takes(term, argument.argChoices), description: argument.description };
}

function takes(placeholder: string, choices: readonly string[] | undefined): Takes {
  if (choices !== undefined) return { kind: "choice", choices };
  const name = placeholder.replaceAll(/[<>[\]]/g, "");
  if (name === "directory") return { kind: "directory" };
  return { kind: NAMES_A_FILE.test(name) ? "file" : "value" };
}
