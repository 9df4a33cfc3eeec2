// `check`: the configuration and the files it names, with every problem at once. Exit 0 good, 1 not.
import { countText, formatProblem } from "../config/problems.ts";
import { print } from "./output.ts";
import { examineForService } from "./service-credentials.ts";

/**
 * Prints every problem, then the warnings, then how many problems there are, and what to do about the service's credentials.
 * @returns the exit code: 0 when there is no problem, whatever the warnings
 */
export async function check(options: { readonly config: string; readonly json: boolean }): Promise<number> {
  const { problems, warnings, lacking, advice } = examineForService(options.config, process.env, Date.now());
  const ok = problems.length === 0 && lacking.length === 0;
  if (options.json) {
    print(JSON.stringify({ ok, problems, warnings, ...(advice === null ? {} : { advice }) }, null, 2));
    return ok ? 0 : 1;
  }
  for (const problem of problems) print(formatProblem(problem));
  for (const warning of warnings) print(`${formatProblem(warning)} (warning)`);
  const count = countText(problems.length, warnings.length);
  const isGood = problems.length === 0;
  print(isGood ? `The configuration is good${count === "" ? "" : `, with ${count}`}.` : `${count}.`);
  if (advice !== null) print(advice);
  return ok ? 0 : 1;
}
