// Questions on a terminal, with node:readline: it is a part of the runtime, works on a serial console and with a screen
// reader, and the few questions here need no menus that a library would draw.
import { createInterface } from "node:readline/promises";
import { BellError, isBellError } from "../../errors.ts";
import { print } from "../output.ts";

export interface Prompt {
  /**
   * Asks until there is an answer that `check` does not refuse.
   * @param usual what an empty answer means; null where there must be one
   */
  ask(question: string, usual: string | null, check: (answer: string) => void): Promise<string>;
  confirm(question: string, usual: boolean): Promise<boolean>;
  say(text: string): void;
  /** Aborted once Ctrl-C was pressed or the terminal closed, also while nothing is asked. */
  readonly over: AbortSignal;
  close(): void;
}

/** That somebody broke off before anything was written. */
export function brokenOff(cause?: unknown): BellError {
  return new BellError("broken_off", "Broken off; nothing was written.", cause);
}

/** @throws BellError `broken_off` from a question when the terminal is closed or Ctrl-C is pressed */
export function createPrompt(): Prompt {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const over = new AbortController();
  terminal.on("SIGINT", () => over.abort());
  terminal.on("close", () => over.abort());

  async function question(text: string): Promise<string> {
    try {
      return (await terminal.question(text, { signal: over.signal })).trim();
    } catch (cause) {
      throw brokenOff(cause);
    }
  }

  return {
    async ask(text, usual, check) {
      for (;;) {
        const shown = usual === null ? "" : usual === "" ? " [none]" : ` [${usual}]`;
        const answer = (await question(`${text}${shown}: `)) || (usual ?? "");
        if (answer === "" && usual === null) {
          print("  An answer is needed here.");
          continue;
        }
        try {
          if (answer !== "") check(answer);
          return answer;
        } catch (error) {
          if (!isBellError(error)) throw error;
          print(`  ${error.message}`);
        }
      }
    },
    async confirm(text, usual) {
      for (;;) {
        const answer = (await question(`${text} [${usual ? "Y/n" : "y/N"}]: `)).toLowerCase();
        if (answer === "") return usual;
        if (/^y(es)?$/.test(answer)) return true;
        if (/^no?$/.test(answer)) return false;
      }
    },
    say: (text) => print(text),
    over: over.signal,
    close: () => terminal.close(),
  };
}
