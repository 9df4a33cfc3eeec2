// Types the shell blocks of one page as an administrator would, on a machine of its own. Started in namespaces by
// `unshare`; its argument is a file with the blocks, and the result is written beside it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Machine, makeMachine } from "./machine.ts";

export interface PlayInput {
  readonly blocks: readonly string[];
  /** Empty, and this page's own. */
  readonly scratch: string;
}

export interface PlayedBlock {
  /** Of its last command; -1 if the shell did not come that far. */
  readonly exitCode: number;
  /** Commands that did not end with 0, each with its exit code. */
  readonly failures: readonly string[];
}

export interface PlayOutput {
  readonly blocks: readonly PlayedBlock[];
  /** All that was to be seen on the terminal. */
  readonly terminal: string;
  /** The node's log. */
  readonly log: string;
}

const LIMIT_MS = 90_000;

async function play({ blocks, scratch }: PlayInput): Promise<PlayOutput> {
  const machine = await makeMachine(scratch);
  try {
    await machine.start();
    const terminal = await type(blocks, scratch, machine);
    const seen = readFileSync(join(scratch, "seen"), "utf8").split("\n");
    return { blocks: blocks.map((_, at) => blockOf(seen, at)), terminal, log: machine.log() };
  } catch (error) {
    throw new Error(machine.log(), { cause: error });
  } finally {
    await machine.stop();
  }
}

/** Types all blocks into one shell, as somebody does who reads the page from its beginning, and says yes when asked. */
async function type(blocks: readonly string[], scratch: string, machine: Machine): Promise<string> {
  const driver = [
    "set -E",
    `exec 3>${join(scratch, "seen")}`,
    `trap 'echo "failed $block $? $BASH_COMMAND" >&3' ERR`,
    ...blocks.flatMap((_, at) => [
      `block=${at}`,
      `. ${join(scratch, `block-${at}`)}`,
      `echo "ended ${at} $?" >&3`,
    ]),
  ];
  blocks.forEach((text, at) => {
    writeFileSync(join(scratch, `block-${at}`), `${text}\n`);
  });
  writeFileSync(join(scratch, "driver"), `${driver.join("\n")}\n`);
  const child = Bun.spawn(["script", "-qefc", `bash ${join(scratch, "driver")}`, "/dev/null"], {
    cwd: machine.directory,
    env: machine.environment,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  let terminal = "";
  let answered = 0;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    terminal += chunk;
    const asked = terminal.split("[yes/no]").length - 1;
    for (; answered < asked; answered += 1) child.stdin.write("yes\n");
    await child.stdin.flush();
  }
  await child.exited;
  clearTimeout(timer);
  return terminal;
}

function blockOf(seen: readonly string[], at: number): PlayedBlock {
  const wordsAfter = (start: string) =>
    seen.filter((line) => line.startsWith(`${start} ${at} `)).map((line) => line.split(" ").slice(2));
  return {
    exitCode: Number(wordsAfter("ended")[0]?.[0] ?? -1),
    failures: wordsAfter("failed")
      // Reading the block ends as its last command did.
      .filter(([, program]) => program !== ".")
      .map(([code, ...words]) => `${words.join(" ")} (${code})`),
  };
}

const [, , file = ""] = process.argv;
const input = JSON.parse(readFileSync(file, "utf8")) as PlayInput;
writeFileSync(`${file}.result`, JSON.stringify(await play(input)));
process.exit(0);
