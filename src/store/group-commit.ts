// Group commit: everything that arrived in the last moment shares one transaction and one fsync. A lone request
// does not wait for others; under load a short wait makes each fsync serve more of them.
import { performance } from "node:perf_hooks";

/** Work inside a transaction. May be called again if a neighbour of the same batch fails. */
export interface Job {
  /** Runs inside the transaction. */
  run(): void;
  /** Called once the batch is durable. */
  done(): void;
  /** Called if this job, or the commit, failed. */
  failed(error: unknown): void;
}

export interface GroupCommitOptions {
  /** Runs `body` inside one transaction and makes it durable; throws if that fails. */
  readonly transact: (body: () => void) => void;
  /** Told after each commit: jobs in it, duration in milliseconds. */
  readonly observe: (jobs: number, durationMs: number) => void;
  /** Whether a failure is the database's (a full disk), so that trying the jobs one by one is no use. */
  readonly concernsAll: (error: unknown) => boolean;
  /** Called after the jobs of a batch were answered. */
  readonly afterBatch: () => void;
}

// Enough to make the fsync cheap for each, few enough to keep the pause short (about 5 ms).
const MAX_BATCH = 64;
// Ceiling of the wait under load, milliseconds.
const MAX_WAIT_MS = 4;

/**
 * How long the next batch may wait for company.
 * @param recentBatch moving average of jobs in a batch
 * @param recentCommitMs moving average of a commit's duration, milliseconds
 * @returns milliseconds; 0 means with the next turn of the event loop
 */
export function commitWaitMs(recentBatch: number, recentCommitMs: number): number {
  // Alone on the line: waiting would only add delay.
  if (recentBatch < 1.5) return 0;
  return Math.min(MAX_WAIT_MS, 2 * recentCommitMs);
}

export interface GroupCommit {
  add(job: Job): void;
  /** Runs what is pending now. */
  flush(): void;
  readonly pending: number;
}

export function createGroupCommit(options: GroupCommitOptions): GroupCommit {
  const pending: Job[] = [];
  let timer: ReturnType<typeof setTimeout> | null = null;
  let immediate: ReturnType<typeof setImmediate> | null = null;
  let recentBatch = 0;
  let recentCommitMs = 0;

  function schedule(): void {
    const waitMs = commitWaitMs(recentBatch, recentCommitMs);
    if (waitMs < 1 || pending.length >= MAX_BATCH) {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      immediate ??= setImmediate(flush);
    } else if (immediate === null) {
      timer ??= setTimeout(flush, waitMs);
    }
  }

  function flush(): void {
    if (timer !== null) clearTimeout(timer);
    if (immediate !== null) clearImmediate(immediate);
    timer = null;
    immediate = null;
    const jobs = pending.splice(0, MAX_BATCH);
    if (jobs.length > 0) commit(jobs);
    if (pending.length > 0) schedule();
  }

  function commit(jobs: readonly Job[]): void {
    const started = performance.now();
    try {
      options.transact(() => {
        for (const job of jobs) job.run();
      });
    } catch (error) {
      // Nothing of the batch is stored. One bad job must not fail its neighbours: each gets its own transaction.
      if (jobs.length === 1 || options.concernsAll(error)) for (const job of jobs) job.failed(error);
      else for (const job of jobs) commit([job]);
      return;
    }
    const durationMs = performance.now() - started;
    recentBatch = recentBatch * 0.8 + jobs.length * 0.2;
    recentCommitMs = recentCommitMs * 0.8 + durationMs * 0.2;
    options.observe(jobs.length, durationMs);
    for (const job of jobs) job.done();
    options.afterBatch();
  }

  return {
    add(job) {
      pending.push(job);
      schedule();
    },
    flush() {
      while (pending.length > 0) flush();
    },
    get pending() {
      return pending.length;
    },
  };
}
