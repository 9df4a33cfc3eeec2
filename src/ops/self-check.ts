// The self-check that a service watchdog waits for: event loop, one real commit, and the dispatcher. Never the
// providers: no restart ends an outage at Apple or Google. The judgement is pure; what it needs is asked below it.
import { isBellError } from "../errors.ts";

/** What the dispatcher shows of its own life, milliseconds. */
export interface DispatcherSigns {
  /** For how long the oldest ring has been without an answer. */
  readonly oldestFlightMs: number;
  /** By how much the latest look for what is due is late. */
  readonly overdueMs: number;
}

/** How the last commit went, or how long one has been under way. `failing`: since the first failure in a row. */
export type CommitSign =
  | { readonly kind: "done" }
  | { readonly kind: "pending"; readonly forMs: number }
  | { readonly kind: "failing"; readonly forMs: number; readonly diskFull: boolean };

export interface Signs {
  /** How late the event loop's last timer was, milliseconds. */
  readonly loopLagMs: number;
  readonly commit: CommitSign;
  readonly dispatcher: DispatcherSigns;
}

export interface SelfCheckResult {
  /** Whether the process works; if not, a restart may help. */
  readonly ok: boolean;
  readonly parts: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

/** Milliseconds; each far beyond what happens in a node that works, since what follows is a restart. */
export const LIMITS = {
  // Exchange gives up on an answer after less.
  loopLagMs: 10_000,
  // A commit is a call of a few milliseconds; a disk that wakes up or is busy takes seconds.
  commitPendingMs: 20_000,
  // A disk that comes back, comes back within this; a file system that was mounted anew needs a new process.
  commitFailingMs: 120_000,
  // A ring's deadlines (queue, connection, answer, each twice, and an access token) add up to less than three minutes.
  flightMs: 600_000,
  // Each queue looks at least every 30 s.
  overdueMs: 120_000,
} as const;

/** Judges the signs of life. A full disk is no reason to restart: it stays full, and the node answers 503 meanwhile. */
export function judgeSigns({ loopLagMs, commit, dispatcher }: Signs): SelfCheckResult {
  const { oldestFlightMs, overdueMs } = dispatcher;
  const parts = [
    {
      name: "event loop",
      ok: loopLagMs <= LIMITS.loopLagMs,
      detail: `${seconds(loopLagMs)} late`,
    },
    { name: "commit", ...judgeCommit(commit) },
    {
      name: "dispatcher",
      ok: oldestFlightMs <= LIMITS.flightMs && overdueMs <= LIMITS.overdueMs,
      detail:
        overdueMs > LIMITS.overdueMs
          ? `has not looked for what is due for ${seconds(overdueMs)}`
          : `the oldest ring is under way for ${seconds(oldestFlightMs)}`,
    },
  ];
  return { ok: parts.every(({ ok }) => ok), parts };
}

/** What a self-check saw, in one line: what does not work, or that all does. */
export function selfCheckText({ parts }: SelfCheckResult): string {
  const bad = parts.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);
  return bad.length === 0 ? `${parts.map(({ name }) => name).join(", ")}: all work` : bad.join("; ");
}

function judgeCommit(commit: CommitSign): { readonly ok: boolean; readonly detail: string } {
  switch (commit.kind) {
    case "done":
      return { ok: true, detail: "the last commit succeeded" };
    case "pending":
      return {
        ok: commit.forMs <= LIMITS.commitPendingMs,
        detail: `a commit is under way for ${seconds(commit.forMs)}`,
      };
    case "failing":
      return {
        ok: commit.diskFull || commit.forMs <= LIMITS.commitFailingMs,
        detail: `${commit.diskFull ? "the disk is full" : "commits fail"}, for ${seconds(commit.forMs)}`,
      };
  }
}

export interface SelfCheckOptions {
  /** Makes one real commit. */
  readonly probe: () => Promise<unknown>;
  readonly loopLagMs: () => number;
  readonly dispatcher: () => DispatcherSigns;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
}

export interface SelfCheck {
  /**
   * Makes a commit and judges. Resolves within about `waitMs` whatever the disk does, and never rejects. A commit
   * that is still under way from an earlier check is waited for; no second one is begun.
   */
  check(waitMs: number): Promise<SelfCheckResult>;
}

export function createSelfCheck(options: SelfCheckOptions): SelfCheck {
  const { monotonicNow } = options;
  let underWay: { readonly since: number; readonly ended: Promise<void> } | null = null;
  let failing: { readonly since: number; readonly diskFull: boolean } | null = null;

  function commit(): Promise<void> {
    if (underWay === null) {
      const ended = options.probe().then(
        () => {
          failing = null;
        },
        (error: unknown) => {
          failing = { since: failing?.since ?? monotonicNow(), diskFull: isDiskFull(error) };
        },
      );
      underWay = {
        since: monotonicNow(),
        ended: ended.then(() => {
          underWay = null;
        }),
      };
    }
    return underWay.ended;
  }

  function sign(): CommitSign {
    const now = monotonicNow();
    if (underWay !== null) return { kind: "pending", forMs: now - underWay.since };
    if (failing !== null) return { kind: "failing", forMs: now - failing.since, diskFull: failing.diskFull };
    return { kind: "done" };
  }

  return {
    async check(waitMs) {
      await within(waitMs, commit());
      return judgeSigns({
        loopLagMs: options.loopLagMs(),
        commit: sign(),
        dispatcher: options.dispatcher(),
      });
    },
  };
}

async function within(limitMs: number, done: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, limitMs);
  await Promise.race([done, late]);
  clearTimeout(timer);
}

// SQLite's word for it, underneath the catalogue's error.
function isDiskFull(error: unknown): boolean {
  if (!isBellError(error, "store_unavailable")) return false;
  const code = (error.cause as { readonly code?: unknown } | null | undefined)?.code;
  return typeof code === "string" && code.startsWith("SQLITE_FULL");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
