// Runs a parsed command line and turns what went wrong into a sentence and an exit code.
import { type Command, CommanderError } from "commander";
import { CATALOGUE, isBellError } from "../errors.ts";

/** Holds the exit code that a verb ended with: commander's actions return nothing. */
export const outcome = { code: 0 };

/**
 * Runs the program.
 * @param argv as `process.argv`
 * @returns the exit code
 */
export async function runProgram(program: Command, argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync([...argv]);
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed its message already. It counts help and version as good ends.
      return error.exitCode === 0 ? 0 : 2;
    }
    if (isBellError(error)) {
      console.error(`inboxbell: ${error.message}`);
      console.error(`  ${CATALOGUE[error.code].remedy} (${error.code})`);
      return error.code === "usage" || error.code === "not_available" ? 2 : 1;
    }
    console.error("inboxbell: something failed that should not have:", error);
    return 1;
  }
}
