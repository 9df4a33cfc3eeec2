// Programs that the benchmark starts: pinned to a core, ended when the benchmark ends, and what the kernel knows
// of them (memory, CPU time).
import { readFileSync } from "node:fs";
import type { FileSink, Subprocess } from "bun";

/** The core of what is measured, and the core of everything that loads it. */
export const MEASURED_CORE = 0;
export const LOAD_CORE = 1;

export type Child = Subprocess<"pipe" | "ignore", "pipe" | "ignore", "pipe" | "ignore" | "inherit">;

const running = new Set<Child>();

/** Kills what is still running: for the end of the benchmark, however it comes. */
export function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: "pipe" | "ignore";
  readonly stdout?: "pipe" | "ignore";
  readonly stderr?: "pipe" | "ignore" | "inherit";
}

/** Starts a program on one core. `taskset` becomes the program, so the process id is the program's. */
export function spawnOn(core: number, command: readonly string[], options: SpawnOptions = {}): Child {
  const child: Child = Bun.spawn(["taskset", "-c", String(core), ...command], {
    stdin: options.stdin ?? "ignore",
    stdout: options.stdout ?? "ignore",
    stderr: options.stderr ?? "inherit",
    env: { ...process.env, ...options.env },
  });
  running.add(child);
  void child.exited.then(() => running.delete(child));
  return child;
}

/** The core of a pair's other node where it has one of its own: the load's, unless there is a third. */
export const OTHER_NODE_CORE = navigator.hardwareConcurrency > 2 ? 2 : LOAD_CORE;

/** Moves a running program to a core, with all its threads. */
export function moveTo(core: number, pid: number): void {
  Bun.spawnSync(["taskset", "-acp", String(core), String(pid)]);
}

/** Runs a program to its end and returns its standard output. Throws with its standard error if it fails. */
export async function runOn(
  core: number,
  command: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly input?: string } = {},
): Promise<string> {
  const child = spawnOn(core, command, {
    ...(options.env === undefined ? {} : { env: options.env }),
    stdin: options.input === undefined ? "ignore" : "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const { stdout, stderr } = child;
  if (options.input !== undefined) {
    const input = inputOf(child);
    input.write(options.input);
    await input.end();
  }
  const [out, errors, code] = await Promise.all([textOf(stdout), textOf(stderr), child.exited]);
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${errors.trim() || out.trim()}`);
  return out;
}

function textOf(stream: Child["stdout"] | Child["stderr"]): Promise<string> {
  return stream instanceof ReadableStream ? new Response(stream).text() : Promise.resolve("");
}

/** Where a process started with an input reads it. */
export function inputOf({ stdin }: Child): FileSink {
  if (stdin === undefined || typeof stdin === "number")
    throw new Error("The process was started without input.");
  return stdin;
}

/** What a process started with an output writes, line by line. */
export async function* linesOf({ stdout }: Child): AsyncGenerator<string, undefined> {
  if (!(stdout instanceof ReadableStream)) throw new Error("The process was started without output.");
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stdout) {
    const parts = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

/** Asks a process to end, and kills it if it has not within `limitMs`. */
export async function end(child: Child, limitMs = 20_000): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  await child.exited;
  clearTimeout(timer);
}

// USER_HZ, in which /proc counts: 100 on every Linux that Inboxbell runs on.
const TICKS_PER_SECOND = 100;

/** CPU seconds that a process has used so far, user and system (proc(5), fields 14 and 15 of stat). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory in bytes: now, and the most it ever was. */
export interface Memory {
  readonly rss: number;
  readonly peak: number;
  /** Of `rss`, what is the process's own and not pages of files. */
  readonly anonymous: number;
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { rss: bytes("VmRSS"), peak: bytes("VmHWM"), anonymous: bytes("RssAnon") };
}

/** The first child of a process: nginx's worker. */
export function childOf(pid: number): number {
  const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  const child = Number(first);
  if (!Number.isInteger(child) || child === 0) throw new Error(`Process ${pid} has no child.`);
  return child;
}

/** Waits until `holds`, looking every `everyMs`; throws after `limitMs` what was waited for. */
export async function until(
  what: string,
  limitMs: number,
  holds: () => boolean | Promise<boolean>,
  everyMs = 50,
): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > limit) throw new Error(`Waited ${limitMs / 1000} s in vain until ${what}.`);
    await Bun.sleep(everyMs);
  }
}
