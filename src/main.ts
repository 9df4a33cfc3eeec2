// Picks the verb. The only place that sets the exit code: 0 good, 1 a check failed, 2 usage.
import { createProgram } from "./cli/program.ts";
import { runProgram } from "./cli/run.ts";

process.exitCode = await runProgram(createProgram(), process.argv);
