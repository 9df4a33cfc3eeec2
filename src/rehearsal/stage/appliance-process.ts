// The appliance under rehearsal: the same program in another process, so that neither can help the other.
import { spawn } from "node:child_process";

export interface ApplianceProcess {
  /** Resolves with its exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  readonly pid: number | undefined;
  /** Its last log lines. */
  readonly lastLines: readonly string[];
  /** Asks it to stop in order, and kills it if it does not within `limitMs`. */
  stop(limitMs: number): Promise<number | string>;
  kill(signal: NodeJS.Signals): void;
}

const KEPT_LINES = 30;

/** The command that runs a verb of this very program, compiled or from source. */
export function ownCommand(...verb: readonly string[]): readonly [string, ...string[]] {
  // In a compiled binary the entry point lies in the embedded file system.
  const compiled = Bun.main.startsWith("/$bunfs/");
  return compiled ? [process.execPath, ...verb] : [process.execPath, Bun.main, ...verb];
}

/**
 * Starts it.
 * @param command program and arguments
 * @param temporary private directory for what the binary unpacks
 */
export function startProcess(command: readonly [string, ...string[]], temporary: string): ApplianceProcess {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    // A process group of its own: Ctrl-C is for the rehearsal, which then stops the appliance in order.
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, BUN_TMPDIR: temporary },
  });
  const lastLines: string[] = [];
  let rest = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    lastLines.push(...lines);
    if (lastLines.length > KEPT_LINES) lastLines.splice(0, lastLines.length - KEPT_LINES);
  });
  const exited = new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
  return {
    exited,
    pid: child.pid,
    lastLines,
    kill: (signal) => void child.kill(signal),
    async stop(limitMs) {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
      const result = await exited;
      clearTimeout(timer);
      return result;
    },
  };
}
