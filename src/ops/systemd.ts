// What the service manager is told: that the node is ready, reloads or stops, in one line how it is, and, for its
// watchdog, that a real self-check succeeded. The messages are those of sd_notify(3).
import type { Check, Role } from "./health.ts";
import type { Logger } from "./log.ts";
import { type NotifySocket, openNotifySocket } from "./notify-socket.ts";
import { type SelfCheckResult, selfCheckText } from "./self-check.ts";

/** What of the node is looked at. */
export interface NodeSigns {
  /** Role and health, one line. */
  readonly condition: () => string;
  readonly selfCheck: (waitMs: number) => Promise<SelfCheckResult>;
}

export interface ServiceManager {
  /** The node serves: tells so, and begins to feed the watchdog and to keep the line about it fresh. */
  ready(node: NodeSigns): void;
  /** A reload begins; what is returned tells that it has ended. */
  reloading(): () => void;
  /** The node stops; from now on it tells nothing more. */
  stopping(): void;
  /** The node cannot start: why, for `systemctl status`, which keeps it until the next start. */
  failed(reason: string): void;
}

export interface ServiceManagerOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Of this process. */
  readonly pid: number;
}

// How often the line is looked at, milliseconds; it is sent only when it has changed.
const STATUS_MS = 5_000;
// After a self-check that failed, the next one comes this soon, milliseconds: a node that recovers is not killed.
const RETRY_MS = 1_000;
// systemd takes 4 096 bytes in one message; in a status line nobody reads as many. Characters.
const LONGEST_REASON = 1_000;
// How long a self-check waits for its commit at most, milliseconds.
const COMMIT_WAIT_MS = 2_000;

/**
 * How often the watchdog is fed: half of what the manager waits, as sd_watchdog_enabled(3) advises.
 * @returns milliseconds; null if there is no watchdog, or it is for another process
 */
export function watchdogIntervalMs(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | null {
  const microseconds = Number(env.WATCHDOG_USEC);
  if (!Number.isSafeInteger(microseconds) || microseconds <= 0) return null;
  if (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== String(pid)) return null;
  return microseconds / 2_000;
}

/** The link to the service manager; where there is none, nothing of this does anything. */
export function createServiceManager(options: ServiceManagerOptions): ServiceManager {
  const { env, log } = options;
  const socket: NotifySocket | null = openNotifySocket(env, log);
  if (socket === null) return { ready() {}, reloading: () => () => {}, stopping() {}, failed() {} };
  const to = socket;
  const intervalMs = watchdogIntervalMs(env, options.pid);
  let state: "starting" | "ready" | "stopping" = "starting";
  let statusTimer: ReturnType<typeof setInterval> | null = null;
  let feedTimer: ReturnType<typeof setTimeout> | null = null;
  let shown = "";
  let failing = false;

  function show(node: NodeSigns): void {
    const text = oneLine(node.condition());
    if (text === shown) return;
    shown = text;
    to.send([`STATUS=${text}`]);
  }

  async function feed(node: NodeSigns, everyMs: number): Promise<void> {
    const result = await node.selfCheck(Math.min(COMMIT_WAIT_MS, everyMs / 2));
    if (state !== "ready") return;
    if (result.ok) to.send(["WATCHDOG=1"]);
    if (result.ok === failing) tellChange(result);
    failing = !result.ok;
    feedTimer = setTimeout(() => void feed(node, everyMs), result.ok ? everyMs : Math.min(RETRY_MS, everyMs));
  }

  function tellChange(result: SelfCheckResult): void {
    if (result.ok) log.info({}, "The self-check succeeds again.");
    else {
      log.error(
        { reason: selfCheckText(result) },
        "The self-check fails; the service manager ends this node unless it recovers.",
      );
    }
  }

  return {
    ready(node) {
      state = "ready";
      shown = oneLine(node.condition());
      to.send(["READY=1", `STATUS=${shown}`]);
      statusTimer = setInterval(() => show(node), STATUS_MS);
      statusTimer.unref();
      // Sends first of all, since the manager's time began with the start. Never rejects: a self-check does not.
      if (intervalMs !== null) void feed(node, intervalMs);
    },
    reloading() {
      // A READY=1 at its end would otherwise call a node ready that still starts.
      if (state !== "ready") return () => {};
      const at = to.monotonicMicroseconds();
      // systemd 253 and later read the time, to tell this reload from one that was asked for before.
      to.send(["RELOADING=1", ...(at === null ? [] : [`MONOTONIC_USEC=${at}`])]);
      return () => {
        if (state === "ready") to.send(["READY=1"]);
      };
    },
    stopping() {
      state = "stopping";
      if (statusTimer !== null) clearInterval(statusTimer);
      if (feedTimer !== null) clearTimeout(feedTimer);
      to.send(["STOPPING=1", "STATUS=Stopping: rings in flight may finish."]);
    },
    failed: (reason) => to.send([`STATUS=${oneLine(`Not started: ${reason}`).slice(0, LONGEST_REASON)}`]),
  };
}

/** Role and health in one line, as `systemctl status` shows it: what is not as it should be, essential or not. */
export function conditionOf(role: Role, checks: readonly Check[]): string {
  const bad = checks.flatMap(({ name, essential, look }) => {
    const { ok, detail } = look();
    return ok ? [] : [{ essential, text: `${name}: ${detail}` }];
  });
  const state = bad.some(({ essential }) => essential) ? "not ready" : "ready";
  return [`Role ${role}, ${state}`, ...bad.map(({ text }) => text)].join("; ");
}

// A line break would begin another assignment.
function oneLine(text: string): string {
  return text
    .replaceAll(/:\s*\n\s*/g, ": ")
    .replaceAll(/\s*\n\s*/g, "; ")
    .trim();
}
