// Completions hold all that the command line has: in each shell every verb is offered, every option of every verb, and
// the values of options that have few. The shells are asked for all of it at once.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { everyVerb, readCommand } from "../../src/cli/command-tree.ts";
import { completionScript, SHELLS, type Shell } from "../../src/cli/completion.ts";
import { createProgram } from "../../src/cli/program.ts";

const LIMIT_MS = 60_000;
const directory = mkdtempSync(join(tmpdir(), "ib-completions-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const program = createProgram();
const scriptOf = (shell: Shell) => join(directory, `completion.${shell}`);
for (const shell of SHELLS) writeFileSync(scriptOf(shell), completionScript(shell, program));

/** A line as it is typed, and what has to be offered at its end. */
interface Question {
  readonly line: string;
  readonly wanted: readonly string[];
  /** Nothing else may be offered. */
  readonly isAll: boolean;
}

const questions: readonly Question[] = everyVerb(readCommand(program)).flatMap((verb) => {
  const line = ["inboxbell", ...verb.path].join(" ");
  const below = verb.verbs.map(({ path }) => path.at(-1) ?? "");
  return [
    ...(below.length === 0 ? [] : [{ line: `${line} `, wanted: below, isAll: false }]),
    { line: `${line} --`, wanted: verb.options.map(({ long }) => long), isAll: true },
    ...[
      ...verb.options.map((each) => [each.long, each.takes] as const),
      ...verb.arguments.map((each) => ["", each.takes] as const),
    ].flatMap(([after, takes]) => {
      if (takes.kind !== "choice") return [];
      return [
        { line: `${line} ${after === "" ? "" : `${after} `}`, wanted: takes.choices, isAll: after !== "" },
      ];
    }),
  ];
});

function say(command: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    cwd: directory,
    env: {
      ...process.env,
      HOME: directory,
      XDG_CONFIG_HOME: directory,
      XDG_DATA_HOME: directory,
      TERM: "dumb",
    },
    timeout: LIMIT_MS,
  });
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  return stdout.toString();
}

/** Runs the parts of a script, one for each question; what each of them prints. */
function answers(output: string): readonly (readonly string[])[] {
  return output
    .split(/^=\d+$/m)
    .slice(1)
    .map((part) => part.split("\n").filter(Boolean));
}

const quoted = (text: string) => `'${text}'`;

function bash(): string {
  const parts = questions.map(({ line }, at) => {
    const words = line.split(" ");
    return `echo =${at}; COMP_WORDS=(${words.map(quoted).join(" ")}); COMP_CWORD=${words.length - 1}; COMPREPLY=()
_inboxbell; printf '%s\\n' "\${COMPREPLY[@]}"`;
  });
  return say(["bash", "-c", `source ${scriptOf("bash")}\ncompopt() { :; }\n${parts.join("\n")}`]);
}

function fish(): string {
  const parts = questions.map(
    ({ line }, at) => `echo =${at}; complete -C ${quoted(line)} | string split -f 1 \\t`,
  );
  return say(["fish", "--no-config", "-c", `source ${scriptOf("fish")}\n${parts.join("\n")}\ntrue`]);
}

/** The tabulator is pressed in a terminal of zsh's own; what its completion adds is noted in a file. */
function zsh(): string {
  const seen = join(directory, "zsh-seen");
  writeFileSync(seen, "");
  const setUp = join(directory, "zsh-set-up");
  writeFileSync(
    setUp,
    `stty columns 200 lines 200; bindkey -e; LISTMAX=10000
autoload -U compinit; compinit -u -d ${directory}/dump; source ${scriptOf("zsh")}
compadd() {
  # Those that only compute are none that are offered.
  if [[ " \${@[1,(i)(-|--)]} " == *" -"[OAD]" "* ]]; then builtin compadd "$@"; return; fi
  local -a offered
  builtin compadd -A offered "$@"
  print -rl -- $offered >> ${seen}
  builtin compadd "$@"
}
note() { at=$1; print -r -- "=$at" >> ${seen} }
# What is typed before the line is edited the terminal itself would take, and make a control character its own.
zle-line-init() { print -n "EDITED$at." }
zle -N zle-line-init
`,
  );
  const parts = questions.map(
    ({ line }, at) => `zpty -w shell 'note ${at}'
zpty -r shell out '*EDITED${at}.*'
zpty -w -n shell ${quoted(line)}$'\\t\\x15'`,
  );
  say([
    "zsh",
    "-f",
    "-c",
    `zmodload zsh/zpty
zpty shell 'PS1= zsh -f -i'
zpty -w shell 'source ${setUp}; print READ""Y'
zpty -r shell out '*READY*'
${parts.join("\n")}
zpty -w shell 'print EN""D.'
zpty -r shell out '*END.*'
zpty -d shell`,
  ]);
  return readFileSync(seen, "utf8");
}

const ASK: Readonly<Record<Shell, () => string>> = { bash, zsh, fish };

test("there is enough to ask for", () => {
  expect(questions.length).toBeGreaterThan(30);
  const choices = questions.filter(({ wanted, isAll }) => isAll && !wanted[0]?.startsWith("--"));
  expect(choices.map(({ line, wanted }) => [line, wanted])).toEqual([
    ["inboxbell setup --apns-environment ", ["production", "sandbox"]],
    ["inboxbell registrations --platform ", ["apns", "fcm"]],
    ["inboxbell registrations --state ", ["live", "expected", "resubscribe", "dead", "idle"]],
  ]);
});

for (const shell of SHELLS) {
  describe.skipIf(Bun.which(shell) === null)(`${shell} (needs ${shell}) offers`, () => {
    let offered: readonly (readonly string[])[];
    beforeAll(() => {
      offered = answers(ASK[shell]());
    }, LIMIT_MS);

    test.each(questions.map((question, at) => [question.line, question, at] as const))(
      "all that may stand at the end of: %s",
      (_, { wanted, isAll }, at) => {
        const here = [...new Set(offered[at])].sort();
        if (isAll) expect(here).toEqual([...wanted].sort());
        else expect(here).toEqual(expect.arrayContaining([...wanted]));
      },
    );
  });
}
