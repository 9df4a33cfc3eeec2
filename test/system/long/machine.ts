// A Debian that is booted by its own systemd, in a container on this machine's network. Everything waits within
// bounds, and only what was started here is ended.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Ended, freshDirectory, run, start, until } from "../helpers.ts";
import { canUnpackDebian, copyDebian } from "./debian-tree.ts";
import { missing } from "./packages.ts";

// Seen: 12 s on two cores.
const BOOT_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 30_000;
// init(1): what a container's systemd takes for "power off".
const SIGRTMIN_PLUS_4 = 38;

export const canBoot = canUnpackDebian && missing("systemd-nspawn", "nsenter").length === 0;

export interface Machine {
  /** Its root directory, as this machine sees it, without what is mounted inside. */
  readonly root: string;
  /** As `root`, with what is mounted inside. */
  readonly live: string;
  /** Runs a program inside. */
  run(command: readonly string[], limitMs?: number): Promise<Ended>;
  /** As `run`; throws if it fails. Gives what it printed. */
  must(...command: readonly string[]): Promise<string>;
  /** Powers it off and removes it. */
  stop(): Promise<void>;
}

// Two machines at a time have to have different names.
let booted = 0;

export async function bootMachine(): Promise<Machine> {
  const directory = freshDirectory("machine");
  const root = join(directory.path, "tree");
  await copyDebian(root);
  booted += 1;
  const name = `ib-${process.pid}-${booted}`;
  const container = start(
    [
      "systemd-nspawn",
      "-D",
      root,
      `--machine=${name}`,
      "--register=no",
      "--keep-unit",
      "--console=pipe",
      "-b",
    ],
    { ownGroup: true },
  );
  const leader = () => {
    const file = `/proc/${container.pid}/task/${container.pid}/children`;
    const [first] = existsSync(file) ? readFileSync(file, "utf8").trim().split(" ") : [];
    return first ? Number(first) : null;
  };
  const inside = (command: readonly string[]) => [
    "nsenter",
    `--target=${leader()}`,
    ...["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"],
    ...["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root"],
    ...command,
  ];
  const machine: Machine = {
    root,
    get live() {
      return `/proc/${leader()}/root`;
    },
    run: (command, limitMs = 60_000) => run(inside(command), { limitMs }),
    async must(...command) {
      const { code, out, err } = await machine.run(command, 120_000);
      if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${err}${out}`);
      return out.trim();
    },
    async stop() {
      const init = leader();
      if (init !== null) process.kill(init, SIGRTMIN_PLUS_4);
      const limit = performance.now() + STOP_LIMIT_MS;
      while (container.ended() === null && performance.now() < limit) await Bun.sleep(100);
      if (container.ended() === null) {
        // The init first: with it everything inside ends.
        if (init !== null) process.kill(init, "SIGKILL");
        container.kill("SIGKILL");
      }
      await container.exited;
      directory.remove();
    },
  };
  try {
    await until(
      async () => {
        const ended = container.ended();
        if (ended !== null) throw new Error(`the machine ended with ${ended.code}: ${ended.err}${ended.out}`);
        if (leader() === null || !existsSync(join(machine.live, "run", "systemd", "system"))) return false;
        const { out } = await machine.run(["systemctl", "is-system-running"]);
        // One unit that does not fit into a container makes it "degraded".
        return ["running", "degraded"].includes(out.trim());
      },
      "the machine has booted",
      BOOT_LIMIT_MS,
    );
  } catch (error) {
    await machine.stop();
    throw error;
  }
  return machine;
}
