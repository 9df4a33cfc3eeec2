// Picks the verb. The only place that sets the exit code: 0 good, 1 a check failed, 2 usage.
import { watchStreams } from "./cli/output.ts";
import { createProgram } from "./cli/program.ts";
import { runProgram } from "./cli/run.ts";

watchStreams();

process.exitCode = await runProgram(createProgram(), process.argv);
