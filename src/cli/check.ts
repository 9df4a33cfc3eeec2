// `check`: the configuration and the files it names, with every problem at once. Exit 0 good, 1 not.
import { examineFiles } from "../config/examine.ts";
import { readConfig } from "../config/load.ts";
import { byPosition, type ConfigProblem, formatProblem } from "../config/problems.ts";

export async function check(options: { readonly config: string; readonly json: boolean }): Promise<number> {
  const reading = readConfig(options.config, process.env);
  const examined = examineFiles(reading.files, process.env, Date.now());
  const named = (findings: readonly Omit<ConfigProblem, "file">[]) =>
    findings.map((found): ConfigProblem => ({ file: reading.file, ...found }));
  const problems = [...reading.problems, ...named(examined.problems)].sort(byPosition);
  const warnings = [...reading.warnings, ...named(examined.warnings)].sort(byPosition);
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
