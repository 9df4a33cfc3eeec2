// `completion`: scripts that complete verbs, options and file names in bash, zsh and fish. Made from the parser, so
// that they know what this version knows. The packages install them.
import type { Command } from "commander";
import { everyVerb, type OptionInfo, readCommand, type Takes, type VerbInfo } from "./command-tree.ts";
import { write } from "./output.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** Prints the script; always good. */
export function completion(shell: Shell, program: Command): number {
  write(completionScript(shell, program));
  return 0;
}

/** The script for a shell, with a line break at its end. */
export function completionScript(shell: Shell, program: Command): string {
  const root = readCommand(program);
  switch (shell) {
    case "bash":
      return bash(root);
    case "zsh":
      return zsh(root);
    case "fish":
      return fish(root);
  }
}

const title = (verb: VerbInfo) => verb.path.join(" ");
const names = (option: OptionInfo) => [option.long, ...(option.short === null ? [] : [option.short])];

// bash: the verb is the one word after the other that is known as such; what stands before the cursor decides.

function bash(root: VerbInfo): string {
  const all = everyVerb(root);
  const steps = all
    .filter((verb) => verb.path.length > 0)
    .map((verb) => `      "${title({ ...verb, path: verb.path.slice(0, -1) })}/${verb.path.at(-1)}"`);
  const byKind = new Map<string, string[]>();
  const words: string[] = [];
  for (const verb of all) {
    const flags = verb.options.flatMap(names);
    const plain = [...verb.verbs.map((each) => each.path.at(-1) ?? ""), ...choices(verb), ...flags];
    words.push(`    "${title(verb)}") words="${plain.join(" ")}" ;;`);
    for (const option of verb.options) {
      const reply = bashReply(option.takes);
      if (reply === null) continue;
      const patterns = names(option).map((name) => `"${title(verb)}/${name}"`);
      byKind.set(reply, [...(byKind.get(reply) ?? []), ...patterns]);
    }
  }
  const takingFiles = all.filter((verb) => verb.arguments.some(({ takes }) => takes.kind === "file"));
  return `# Completion of inboxbell for bash. Made by: inboxbell completion bash
_inboxbell() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} verb="" words="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$verb/\${COMP_WORDS[i]}" in
${steps.join(" | \\\n")})
        verb="\${verb:+$verb }\${COMP_WORDS[i]}" ;;
    esac
  done
  case "$verb/$prev" in
${[...byKind].map(([reply, patterns]) => `    ${patterns.join(" | \\\n    ")})\n      ${reply} ;;`).join("\n")}
  esac
  case "$verb" in
${words.join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
${
  takingFiles.length === 0
    ? ""
    : `  if [[ $cur != -* ]]; then
    case "$verb" in
      ${takingFiles.map((verb) => `"${title(verb)}"`).join(" | ")})
        compopt -o filenames 2>/dev/null
        mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
  fi
`
}}
complete -F _inboxbell inboxbell
`;
}

/** What completes after an option; null if it takes nothing. */
function bashReply(takes: Takes): string | null {
  switch (takes.kind) {
    case "nothing":
      return null;
    case "file":
      return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return';
    case "directory":
      return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return';
    case "choice":
      return `mapfile -t COMPREPLY < <(compgen -W "${takes.choices.join(" ")}" -- "$cur"); return`;
    case "value":
      return "return";
  }
}

function choices(verb: VerbInfo): readonly string[] {
  return verb.arguments.flatMap(({ takes }) => (takes.kind === "choice" ? takes.choices : []));
}

// zsh: one function a verb, each with the shell's own _arguments.

function zsh(root: VerbInfo): string {
  const functions = everyVerb(root).map((verb) => {
    const name = zshFunction(verb);
    const options = verb.options.map((option) => `    ${zshOption(option)}`);
    if (verb.verbs.length === 0) {
      const positions = verb.arguments.map(
        ({ term, takes }, index) => `    ${quote(`${index + 1}:${zshText(term)}:${zshAction(takes)}`)}`,
      );
      return `${name}() {\n  _arguments -s \\\n${[...options, ...positions].join(" \\\n")}\n}`;
    }
    const verbs = verb.verbs.map((each) => `    ${quote(`${each.path.at(-1)}:${each.description}`)}`);
    const cases = verb.verbs.map((each) => `        ${each.path.at(-1)}) ${zshFunction(each)} ;;`);
    return `${name}() {
  local context state state_descr line
  typeset -A opt_args
  local -a verbs=(
${verbs.join("\n")}
  )
  _arguments -C -s \\
${options.join(" \\\n")} \\
    '1:verb:->verb' '*::argument:->argument'
  case $state in
    verb) _describe -t verbs verb verbs ;;
    argument)
      case $words[1] in
${cases.join("\n")}
      esac ;;
  esac
}`;
  });
  return `#compdef inboxbell
# Completion of inboxbell for zsh. Made by: inboxbell completion zsh

${functions.join("\n\n")}

# Read by \`source\`, or called as an autoloaded function of this file.
if [ "$funcstack[1]" = "_inboxbell" ]; then
  _inboxbell "$@"
else
  compdef _inboxbell inboxbell
fi
`;
}

function zshFunction(verb: VerbInfo): string {
  return ["_inboxbell", ...verb.path.map((name) => name.replaceAll("-", "_"))].join("_");
}

function zshOption(option: OptionInfo): string {
  const value =
    option.takes.kind === "nothing" ? "" : `:${zshText(option.placeholder)}:${zshAction(option.takes)}`;
  const text = `[${zshText(option.description)}]${value}`;
  const [long = "", short] = names(option);
  if (short === undefined) return quote(`${long}${text}`);
  return `'(${long} ${short})'{${long},${short}}${quote(text)}`;
}

function zshAction(takes: Takes): string {
  switch (takes.kind) {
    case "file":
      return "_files";
    case "directory":
      return "_files -/";
    case "choice":
      return `(${takes.choices.join(" ")})`;
    case "nothing":
    case "value":
      return " ";
  }
}

/** In a specification of _arguments brackets and colons have a meaning. */
function zshText(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, "\\$&");
}

/** One word of a shell, whatever stands in it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// fish: one line for each thing, with the condition under which it is offered.

function fish(root: VerbInfo): string {
  const lines = everyVerb(root).flatMap((verb) => {
    const condition = fishCondition(root, verb);
    const at = `complete -c inboxbell -n ${fishQuote(condition)}`;
    const verbs = verb.verbs.map((each) => `${at} -a ${each.path.at(-1)} -d ${fishQuote(each.description)}`);
    const given = choices(verb).map((choice) => `${at} -a ${choice}`);
    const files = verb.arguments.some(({ takes }) => takes.kind === "file") ? [`${at} -F`] : [];
    const options = verb.options.map((option) => {
      const short = option.short === null ? "" : ` -s ${option.short.slice(1)}`;
      const value = fishValue(option.takes);
      return `${at} -l ${option.long.slice(2)}${short}${value} -d ${fishQuote(option.description)}`;
    });
    return [...verbs, ...given, ...files, ...options];
  });
  return `# Completion of inboxbell for fish. Made by: inboxbell completion fish
complete -c inboxbell -f
${lines.join("\n")}
`;
}

/** True where this verb, and none beneath it, has been typed. */
function fishCondition(root: VerbInfo, verb: VerbInfo): string {
  const below = verb.verbs.map((each) => each.path.at(-1)).join(" ");
  if (verb === root) return "__fish_use_subcommand";
  const typed = verb.path.map((name) => `__fish_seen_subcommand_from ${name}`);
  return [...typed, ...(below === "" ? [] : [`not __fish_seen_subcommand_from ${below}`])].join("; and ");
}

function fishValue(takes: Takes): string {
  switch (takes.kind) {
    case "nothing":
      return "";
    case "file":
      return " -r -F";
    case "directory":
      return " -x -a '(__fish_complete_directories)'";
    case "choice":
      return ` -x -a ${fishQuote(takes.choices.join(" "))}`;
    case "value":
      return " -x";
  }
}

function fishQuote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
