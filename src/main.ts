// Picks the verb. The only place that sets the exit code: 0 good, 1 a check failed, 2 usage.
import { createProgram } from "./cli/program.ts";
import { runProgram } from "./cli/run.ts";

// Whoever reads along, such as head, may have had enough: the rest is for nobody, and no failure of the verb's.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error) => {
    if (!("code" in error) || error.code !== "EPIPE") throw error;
  });
}

process.exitCode = await runProgram(createProgram(), process.argv);
