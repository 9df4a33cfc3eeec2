// Runs a parsed command line and turns what went wrong into a sentence and an exit code.
import { type Command, CommanderError } from "commander";
import { BellError, CATALOGUE, isBellError } from "../errors.ts";
import { harmless, outputFailure, print } from "./output.ts";

/** Holds the exit code that a verb ended with, and its name: commander's actions return nothing. */
export const outcome: { code: number; verb: string | null } = { code: 0, verb: null };

/**
 * Runs the program.
 * @param argv as `process.argv`
 * @returns the exit code
 */
export async function runProgram(program: Command, argv: readonly string[]): Promise<number> {
  const code = await run(program, argv);
  const failure = outputFailure();
  if (failure === null) return code;
  tell(new BellError("output_unwritable", `Standard output could not be written (${failure}).`), false);
  return code === 0 ? 1 : code;
}

async function run(program: Command, argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync([...argv]);
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed its message already. It counts help and version as good ends.
      return error.exitCode === 0 ? 0 : 2;
    }
    if (isBellError(error)) {
      const isUsage = error.code === "usage" || error.code === "not_available";
      // What was typed wrongly is for whoever typed it; everything else may be for a script.
      tell(error, argv.includes("--json") && !isUsage);
      return isUsage ? 2 : 1;
    }
    console.error("inboxbell: something failed that should not have:", error);
    return 1;
  }
}

function tell(error: BellError, json: boolean): void {
  const { code, message } = error;
  const remedy =
    code === "usage" && outcome.verb !== null
      ? `Run inboxbell ${outcome.verb} --help to see what it takes.`
      : CATALOGUE[code].remedy;
  if (json) {
    // A script reads standard output, whatever became of its question.
    print(JSON.stringify({ code, error: message, remedy }, null, 2));
    if (outputFailure() === null) return;
  }
  console.error(`inboxbell: ${harmless(message)}`);
  console.error(`  ${remedy} (${code})`);
}
