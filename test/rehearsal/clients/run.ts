// Runs a foreign client under Node, the runtime it was written for, in a process of its own.
import { join } from "node:path";

/**
 * @param script a file beside this one
 * @param input handed over as JSON on standard input
 * @returns the JSON that it wrote to standard output
 */
export async function runClient<Result>(script: string, input: unknown): Promise<Result> {
  const child = Bun.spawn(["node", join(import.meta.dir, script)], {
    stdin: new Blob([JSON.stringify(input)]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, out, errors] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${errors}`);
  return JSON.parse(out);
}
