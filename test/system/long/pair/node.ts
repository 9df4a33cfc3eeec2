// One node of the pair: the compiled binary in its namespace, what can be done to its process, its clock and its disk.
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { askNode } from "../../../../src/ops/control.ts";
import { isPairStatus, PAIR_VERBS, type PairStatus } from "../../../../src/pair/status.ts";
import { type Ended, type Running, run, start, until } from "../../helpers.ts";
import type { NodeName } from "./evidence.ts";
import type { Network } from "./network.ts";
import type { NodeFiles, PairProps } from "./props.ts";

export const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const PASSPHRASE = "a passphrase of a pair under test";
const STATUS_WITHIN_MS = 1_000;
const ANSWERS_WITHIN_MS = 30_000;

export interface PairNode {
  readonly name: NodeName;
  readonly files: NodeFiles;
  readonly pid: number;
  /** Log lines of all its processes so far. */
  lines(): readonly string[];
  isRunning(): boolean;
  /** Starts the process and waits until it answers on its control socket. */
  start(command?: readonly string[]): Promise<void>;
  /** Starts the process only. */
  launch(command?: readonly string[]): Running;
  kill(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<Ended>;
  freeze(): void;
  thaw(): void;
  /** Sets the process's wall clock so many seconds off. */
  setClock(seconds: number): void;
  /** Fills the disk, again and again, until `makeRoom`. */
  fillDisk(): void;
  makeRoom(): void;
  /** The database's files as a power cut would leave them, under this name; says where the database is. */
  copyStore(name: string): string;
  /** Puts such a copy in the place of the database of a node that does not run. */
  putBack(name: string): void;
  /** A new disk in the place of that of a node that does not run: nothing is on it. */
  replaceDisk(): void;
  /** `inboxbell backup` and `inboxbell restore`. */
  backup(name: string): Promise<void>;
  restore(name: string): Promise<void>;
  /** Null if it does not answer. */
  status(): Promise<PairStatus | null>;
  ask(verb: string, input?: unknown): Promise<unknown>;
}

export interface PairNodeOptions {
  readonly name: NodeName;
  readonly props: PairProps;
  readonly network: Network;
  readonly binary: string;
  readonly env: Readonly<Record<string, string>>;
  /** Whether its clock can be set. */
  readonly hasFakeClock: boolean;
  /** Its database gets a small disk of its own, of so many megabytes; null: it shares the directory's. */
  readonly diskMegabytes: number | null;
}

export async function createPairNode(options: PairNodeOptions): Promise<PairNode> {
  const { name, props, network, binary } = options;
  const files = props.nodes[name];
  const copies = join(files.directory, "copies");
  mkdirSync(copies);
  writeFileSync(join(copies, "passphrase"), `${PASSPHRASE}\n`, { mode: 0o600 });
  if (options.diskMegabytes !== null) {
    // In the mount namespace of this process, with which it ends.
    const size = `size=${options.diskMegabytes}m,mode=0700`;
    const mounted = await run(["mount", "-t", "tmpfs", "-o", size, "inboxbell-test", files.store]);
    if (mounted.code !== 0) throw new Error(`mount: ${mounted.err}`);
  }
  const env = {
    ...options.env,
    ...(options.hasFakeClock
      ? {
          LD_PRELOAD: FAKETIME,
          FAKETIME_TIMESTAMP_FILE: files.clockFile,
          FAKETIME_CACHE_DURATION: "1",
          FAKETIME_DONT_FAKE_MONOTONIC: "1",
          DONT_FAKE_MONOTONIC: "1",
        }
      : {}),
  };
  const former: string[] = [];
  let running: Running | null = null;
  let clockChanges = 0;
  let filling: ReturnType<typeof setInterval> | null = null;
  const filler = join(files.store, "filler");
  const isAlive = () => running !== null && running.ended() === null;
  const ofStore = (names: readonly string[]) => names.filter((each) => /^inboxbell\.db/.test(each));

  function fill(): void {
    Bun.spawnSync(["sh", "-c", `cat /dev/zero >> ${filler} 2>/dev/null; true`]);
  }
  async function verb(...args: readonly string[]): Promise<void> {
    const command = [binary, ...args, "--config", files.configFile];
    const ended = await run(command, { temporary: join(files.directory, "tmp"), limitMs: 60_000 });
    if (ended.code !== 0) throw new Error(`${args[0]} on ${name}: ${ended.out} ${ended.err}`);
  }

  const node: PairNode = {
    name,
    files,
    get pid() {
      return running?.pid ?? 0;
    },
    lines: () => [...former, ...(running?.lines ?? [])],
    isRunning: isAlive,
    launch(command = [binary, "serve", "--config", files.configFile]) {
      if (running !== null) former.push(...running.lines);
      const started = start(network.inside(name, command), {
        env,
        temporary: join(files.directory, "tmp"),
        ownGroup: true,
      });
      running = started;
      return started;
    },
    async start(command) {
      const started = node.launch(command);
      await until(
        async () => {
          if (started.ended() !== null) throw new Error(`${name} ended: ${started.lines.join("\n")}`);
          return (await node.status()) !== null;
        },
        () => `${name} answers; it said ${started.lines.slice(-20).join("\n")}`,
        ANSWERS_WITHIN_MS,
      );
    },
    async kill() {
      if (running === null) return;
      // With a tracer that it may have: what a killed tracer leaves goes on.
      if (running.ended() === null) process.kill(-running.pid, "SIGKILL");
      await running.exited;
    },
    async stop() {
      if (running === null) throw new Error(`${name} was not started`);
      return running.stop();
    },
    freeze: () => running?.kill("SIGSTOP"),
    thaw: () => running?.kill("SIGCONT"),
    setClock(seconds) {
      writeFileSync(files.clockFile, `${seconds < 0 ? "" : "+"}${seconds}\n`);
      // Read anew when its time of change is another one.
      clockChanges += 1;
      utimesSync(files.clockFile, clockChanges, clockChanges);
    },
    fillDisk() {
      fill();
      // The node gives its reserve up, which is then filled as well.
      filling ??= setInterval(fill, 250);
    },
    makeRoom() {
      if (filling !== null) clearInterval(filling);
      filling = null;
      rmSync(filler, { force: true });
    },
    copyStore(copy) {
      const wasRunning = isAlive();
      if (wasRunning) node.freeze();
      const to = join(copies, copy);
      rmSync(to, { recursive: true, force: true });
      mkdirSync(to);
      for (const file of ofStore(readdirSync(files.store))) cpSync(join(files.store, file), join(to, file));
      if (wasRunning) node.thaw();
      return join(to, basename(files.database));
    },
    putBack(copy) {
      const from = join(copies, copy);
      for (const file of ofStore(readdirSync(files.store))) rmSync(join(files.store, file), { force: true });
      for (const file of readdirSync(from)) cpSync(join(from, file), join(files.store, file));
    },
    replaceDisk() {
      for (const file of readdirSync(files.store)) rmSync(join(files.store, file), { recursive: true });
    },
    backup: (copy) => verb("backup", join(copies, copy), "--passphrase-file", join(copies, "passphrase")),
    restore: (copy) => verb("restore", join(copies, copy), "--passphrase-file", join(copies, "passphrase")),
    async status() {
      if (!existsSync(files.socket)) return null;
      const answer = await askNode(files.socket, PAIR_VERBS.status, { timeoutMs: STATUS_WITHIN_MS }).catch(
        () => null,
      );
      return isPairStatus(answer) ? answer : null;
    },
    ask: (which, input) => askNode(files.socket, which, { input, timeoutMs: 60_000 }),
  };
  return node;
}
