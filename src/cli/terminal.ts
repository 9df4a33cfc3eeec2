// What is typed at a terminal or piped in: a secret that is not shown, a yes, a token. Questions go to standard error,
// so that standard output is the answer alone.
import { BellError } from "../errors.ts";

// A device token has 4 096 characters at most; more is another file sent here by mistake. Bytes.
const MOST_INPUT_BYTES = 65_536;

/** Whether somebody sits at both ends. */
export function isInteractive(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/**
 * All of standard input; of a terminal one line.
 * @param prompt written where somebody types
 * @throws `usage` if there is nothing, or far too much
 */
export async function readInput(prompt: string): Promise<string> {
  if (isInteractive()) return readLine(prompt, false);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const part = Buffer.from(chunk as Uint8Array);
    bytes += part.length;
    if (bytes > MOST_INPUT_BYTES)
      throw new BellError("usage", "Standard input holds far more than one token.");
    chunks.push(part);
  }
  const text = Buffer.concat(chunks).toString("utf8").trim();
  if (text === "") throw new BellError("usage", "Nothing came on standard input.");
  return text;
}

/** Asks on a terminal; only "yes" or "y" is a yes. */
export async function confirmed(question: string): Promise<boolean> {
  const answer = await readLine(`${question} [yes/no] `, false);
  return /^y(es)?$/i.test(answer.trim());
}

/** Asks on a terminal for what nobody else shall see. */
export function readSecret(prompt: string): Promise<string> {
  return readLine(prompt, true);
}

const ENTER = new Set(["\r", "\n"]);
const ERASE = new Set(["\u007f", "\b"]);
// Ctrl-C, and Ctrl-D on an empty line.
const INTERRUPT = "\u0003";
const END = "\u0004";

function readLine(prompt: string, hidden: boolean): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  return new Promise((resolve, reject) => {
    let line: string[] = [];
    if (hidden) stdin.setRawMode(true);
    stdin.setEncoding("utf8");
    const finish = (end: () => void) => {
      if (hidden) {
        stdin.setRawMode(false);
        stderr.write("\n");
      }
      stdin.off("data", take);
      stdin.off("end", ended);
      stdin.pause();
      end();
    };
    const ended = () => finish(() => reject(new BellError("usage", "Nothing was typed.")));
    const take = (text: string) => {
      for (const character of text) {
        if (ENTER.has(character)) return finish(() => resolve(line.join("")));
        if (hidden && (character === INTERRUPT || (character === END && line.length === 0))) return ended();
        if (hidden && ERASE.has(character)) line = line.slice(0, -1);
        else line.push(character);
      }
    };
    stdin.on("data", take);
    stdin.on("end", ended);
    stdin.resume();
  });
}
