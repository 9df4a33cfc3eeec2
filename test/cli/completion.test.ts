// Completions are asked for as the shells ask: bash, zsh and fish themselves load the script and say what they offer.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { everyVerb, readCommand } from "../../src/cli/command-tree.ts";
import { completionScript, SHELLS } from "../../src/cli/completion.ts";
import { createProgram } from "../../src/cli/program.ts";

const directory = mkdtempSync(join(tmpdir(), "ib-completion-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const program = createProgram();
const scripts = new Map(
  SHELLS.map((shell) => {
    const file = join(directory, `completion.${shell}`);
    writeFileSync(file, completionScript(shell, program));
    return [shell, file] as const;
  }),
);
writeFileSync(join(directory, "a file.yaml"), "");

function say(command: readonly string[]): readonly string[] {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    cwd: directory,
    env: {
      ...process.env,
      HOME: directory,
      XDG_CONFIG_HOME: directory,
      XDG_DATA_HOME: directory,
      TERM: "dumb",
    },
  });
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  return stdout.toString().split("\n").filter(Boolean);
}

/** What bash offers at the end of a command line. */
function bashOffers(line: string): readonly string[] {
  const words = line.split(" ");
  const script = `source ${scripts.get("bash")}
compopt() { :; }
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
_inboxbell; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return say(["bash", "-c", script]);
}

function fishOffers(line: string): readonly string[] {
  const script = `source ${scripts.get("fish")}; complete -C '${line}'`;
  return say(["fish", "--no-config", "-c", script]).map((each) => each.split("\t")[0] ?? "");
}

const tree = readCommand(program);
const verbs = tree.verbs.map(({ path }) => path.join(" "));
const withoutFish = Bun.which("fish") === null;
const withoutZsh = Bun.which("zsh") === null;

describe("the verbs as data", () => {
  test("are those that --help shows, with their options", () => {
    const help = program.helpInformation();
    for (const verb of verbs) expect(help).toContain(`\n  ${verb} `);
    expect(verbs).toContain("completion");
    const backup = everyVerb(tree).find(({ path }) => path.join(" ") === "backup");
    expect(backup?.arguments.map(({ term, takes }) => [term, takes.kind])).toEqual([["<file>", "file"]]);
    expect(backup?.options.find(({ long }) => long === "--passphrase-file")?.takes.kind).toBe("file");
    expect(backup?.options.find(({ long }) => long === "--json")?.takes.kind).toBe("nothing");
  });
});

describe("in bash, completion", () => {
  test("offers the verbs, and those that begin as typed", () => {
    expect(bashOffers("inboxbell ")).toEqual(expect.arrayContaining([...verbs, "--version", "--help"]));
    expect(bashOffers("inboxbell reg")).toEqual(["registrations"]);
  });

  test("offers a verb's own options only", () => {
    const offered = bashOffers("inboxbell migrate --");
    expect(offered).toEqual(expect.arrayContaining(["--dry-run", "--config", "--json", "--help"]));
    expect(offered).not.toContain("--phones");
  });

  test("offers files after an option or in a place that takes one, blanks in names included", () => {
    expect(bashOffers("inboxbell check --config a")).toEqual(["a file.yaml"]);
    expect(bashOffers("inboxbell restore a")).toEqual(["a file.yaml"]);
    expect(bashOffers("inboxbell rehearse --phones a")).toEqual([]);
  });

  test("offers the shells, and goes on within a verb that has verbs", () => {
    expect(bashOffers("inboxbell completion ")).toEqual(expect.arrayContaining(["bash", "zsh", "fish"]));
    for (const verb of tree.verbs.filter((each) => each.verbs.length > 0)) {
      const below = verb.verbs.map(({ path }) => path.at(-1) ?? "");
      expect(bashOffers(`inboxbell ${verb.path.join(" ")} `)).toEqual(expect.arrayContaining(below));
    }
  });
});

describe("in fish, completion (needs fish)", () => {
  test.skipIf(withoutFish)("offers verbs, options and shells", () => {
    expect(fishOffers("inboxbell ")).toEqual(expect.arrayContaining(verbs));
    expect(fishOffers("inboxbell migrate --d")).toContain("--dry-run");
    expect(fishOffers("inboxbell migrate --ph")).toEqual([]);
    expect(fishOffers("inboxbell completion ")).toEqual(expect.arrayContaining(["bash", "zsh", "fish"]));
  });
});

describe("in zsh, completion (needs zsh)", () => {
  test.skipIf(withoutZsh)("offers verbs, options, shells and files", () => {
    // Pressing the tabulator in a terminal of zsh's own; what it lists comes back as the screen shows it.
    const ask = (line: string) =>
      say([
        "zsh",
        "-f",
        "-c",
        `zmodload zsh/zpty
zpty shell 'PS1= zsh -f -i'
zpty -w shell 'stty columns 200 lines 200; autoload -U compinit; compinit -u -d ${directory}/dump; source ${scripts.get("zsh")}; LISTMAX=1000; echo READ""Y'
zpty -r shell seen '*READY*'
zpty -w -n shell ${JSON.stringify(line)}$'\\t\\t'
sleep 1.5
zpty -w -n shell $'\\x15echo DON""E\\n'
zpty -r shell seen '*DONE*'
print -r -- $seen
zpty -d shell`,
      ]).join("\n");
    const offered = ask("inboxbell ");
    for (const verb of verbs) expect(offered).toContain(verb);
    expect(ask("inboxbell migrate --")).toContain("--dry-run");
    expect(ask("inboxbell completion ")).toMatch(/bash.*fish.*zsh/s);
    expect(ask("inboxbell check --config a")).toContain("a\\ file.yaml");
  });
});
