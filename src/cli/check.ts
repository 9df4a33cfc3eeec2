// `check`: the configuration and the files it names, with every problem at once. Exit 0 good, 1 not.
import { examineFiles } from "../config/examine.ts";
import { type ConfigReading, readConfig } from "../config/load.ts";
import { byPosition, type ConfigProblem, type Finding, formatProblem } from "../config/problems.ts";
import { type BellError, isBellError } from "../errors.ts";

/**
 * Prints every problem, then the warnings, then how many problems there are.
 * @returns the exit code: 0 when there is no problem, whatever the warnings
 */
export async function check(options: { readonly config: string; readonly json: boolean }): Promise<number> {
  const { problems, warnings } = examineAll(options.config);
  const ok = problems.length === 0;
  if (options.json) {
    console.log(JSON.stringify({ ok, problems, warnings }, null, 2));
    return ok ? 0 : 1;
  }
  for (const problem of problems) console.log(formatProblem(problem));
  for (const warning of warnings) console.log(`${formatProblem(warning)} (warning)`);
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  console.log(ok ? "The configuration is good." : `${count}.`);
  return ok ? 0 : 1;
}

interface Report {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

function examineAll(path: string): Report {
  let reading: ConfigReading;
  try {
    reading = readConfig(path, process.env);
  } catch (error) {
    if (!isBellError(error, "config_unreadable")) throw error;
    return { problems: [unreadable(path, error)], warnings: [] };
  }
  const examined = examineFiles(reading.files, process.env, Date.now());
  const named = (findings: readonly Finding[]) =>
    findings.map((found): ConfigProblem => ({ file: reading.file, ...found }));
  return {
    problems: [...reading.problems, ...named(examined.problems)].sort(byPosition),
    warnings: [...reading.warnings, ...named(examined.warnings)].sort(byPosition),
  };
}

function unreadable(file: string, error: BellError): ConfigProblem {
  return { file, line: 1, column: 1, keyPath: "", code: error.code, message: error.message };
}
