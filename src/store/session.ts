// An open database with everything that works on it: opened, claimed for its keys, its clock and positions read, and the
// one way to write to it, the group commits.
import { randomBytes } from "node:crypto";
import type Database from "better-sqlite3";
import { BellError } from "../errors.ts";
import { createLedger, type Ledger } from "./apply.ts";
import { clockTime, createClock } from "./clock.ts";
import { type CommitMarks, createCommitMarks } from "./commit-marks.ts";
import { isDiskError, isDiskFull, openDatabase, toStoreError } from "./database.ts";
import type { Position } from "./feed-types.ts";
import { createFormerRows, type FormerRows } from "./former.ts";
import { createGroupCommit, type GroupCommit } from "./group-commit.ts";
import { createInspector, type Inspector } from "./inspect.ts";
import { claimDatabase } from "./key-mark.ts";
import type { LazyFolders } from "./lazy-folders.ts";
import { type FeedProgress, firstProgress, forgetRings, switchFeed } from "./new-feed.ts";
import type { StoreOptions } from "./options.ts";
import { createReplica, type Replica } from "./replica.ts";
import type { Reserve } from "./reserve.ts";
import { goOnAfterRestore, restoredAt } from "./restored.ts";
import { createRingBook, type RingBook } from "./ring-book.ts";
import { createRows, idBytes, type Rows } from "./rows.ts";
import { createSpentRows, type SpentRows } from "./spent.ts";
import { createSurvey, type Survey } from "./survey.ts";
import { prepareTally, type Tally } from "./tally.ts";

const MERGE_CHANGES_MS = 2_000;
// The clock may have been set back by so much without notice, milliseconds: no wait is as short.
const CLOCK_SLACK_MS = 1_000;
// NTP slews by less than this for a long time; a smaller step delays nothing that matters. Milliseconds.
const LEAST_JUMP_MS = 500;
// Lazily kept folders written along with one commit: a bounded addition to its duration.
const LAZY_PER_COMMIT = 256;
// Phones of a new feed written in one commit: some milliseconds.
const PHONES_PER_COMMIT = 500;

export interface Session {
  readonly db: Database.Database;
  readonly rows: Rows;
  readonly ledger: Ledger;
  readonly book: RingBook;
  readonly commits: GroupCommit;
  readonly survey: Survey;
  /** Begins a count over all registrations. */
  readonly tally: () => Tally;
  readonly inspector: Inspector;
  readonly replica: Replica;
  readonly spent: SpentRows;
  readonly former: FormerRows;
  readonly marks: CommitMarks;
  readonly position: () => Position;
  /** When this database was last restored from a backup, epoch milliseconds, or null. */
  readonly restoredAt: number | null;
  /** The last position of this node's feed that is durable. */
  readonly committedSeq: number;
  /** Commits fail at present. */
  readonly isFailing: boolean;
  /** Inside a transaction: it is to be durable even if no row is written. */
  readonly touch: () => void;
  /** Begins to work on a new feed. */
  readonly newFeed: () => FeedProgress;
  /** Inside a transaction: the next phones; null after the last. */
  readonly forgetRings: (progress: FeedProgress) => FeedProgress | null;
  /** Inside a transaction; the database has to be opened anew afterwards. */
  readonly switchFeed: (feed: string) => void;
}

/**
 * Opens the database.
 * @param afterBatch called after the jobs of each commit were answered
 * @throws `store_*` or `keys_invalid`; nothing stays open then
 */
export function openSession(
  options: StoreOptions,
  lazy: LazyFolders,
  reserve: Reserve,
  afterBatch: () => void,
): Session {
  const { keyring, now, events = {} } = options;
  const db = openDatabase(options.path, options.synchronous ?? "FULL");
  try {
    claimDatabase(db, keyring, { database: options.path, keys: options.keyFile ?? null });
    const backupMadeAt = goOnAfterRestore(db, now);
    if (backupMadeAt !== null) events.restored?.(backupMadeAt);
  } catch (error) {
    db.close();
    throw toStoreError(error, options.path);
  }
  const meta = db.prepare("SELECT value FROM meta WHERE key = ?").pluck();
  const setMeta = db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)");
  if (meta.get("feed") === undefined) setMeta.run("feed", randomBytes(8).toString("hex"));
  const feed = String(meta.get("feed"));
  const clock = createClock(now, Number(meta.get("clock") ?? 0));
  const marks = createCommitMarks(db);
  const mergeChangesMs = options.mergeChangesMs ?? MERGE_CHANGES_MS;
  let seq = Number(meta.get("seq") ?? 0);
  let committedSeq = seq;
  let isFailing = false;
  // Whether the running batch wrote anything that must be durable before it is answered.
  let wrote = false;
  const nextSeq = () => {
    wrote = true;
    seq += 1;
    return seq;
  };
  const rows = createRows(db, clock, nextSeq);
  const ledger = createLedger(rows, lazy, keyring, clock, feed, now, mergeChangesMs);
  // The clock was set back while this was closed: what waits would wait for that much longer. Where nothing else is
  // known the hybrid clock has to do; it may also have run ahead after another node's.
  const behindMs = Number(meta.get("wall") ?? clockTime(clock.last)) - now();
  if (behindMs > CLOCK_SLACK_MS) rows.shiftDue(-behindMs, now());
  // What the wall clock is ahead of the monotonic one; not known without that.
  const offset = () => (options.monotonicNow === undefined ? 0 : now() - options.monotonicNow());
  let knownOffset = offset();
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");

  function writeLazy(): void {
    for (const { registrationId, folder } of lazy.take(LAZY_PER_COMMIT))
      rows.writeFolder(idBytes(registrationId), folder);
  }

  function transactOnce(body: () => void): void {
    const seqBefore = seq;
    const unmark = marks.save();
    wrote = false;
    begin.run();
    try {
      const setMs = offset() - knownOffset;
      // Before anything that is timed by the clock as it is now.
      const wasSet = Math.abs(setMs) >= LEAST_JUMP_MS;
      if (wasSet) rows.shiftDue(setMs, now());
      body();
      if (wrote) {
        writeLazy();
        setMeta.run("clock", clock.last);
        setMeta.run("seq", seq);
        setMeta.run("wall", now());
        marks.next();
      }
      commit.run();
      committedSeq = seq;
      if (wasSet) knownOffset += setMs;
    } catch (error) {
      if (db.inTransaction) rollback.run();
      seq = seqBefore;
      unmark();
      throw error;
    }
  }

  function transact(body: () => void): void {
    try {
      transactOnce(body);
    } catch (error) {
      if (!isDiskError(error)) throw error;
      const gaveUp = isDiskFull(error) && reserve.giveUp();
      isFailing = true;
      events.failed?.(toStoreError(error, options.path) as BellError, gaveUp);
      if (!gaveUp) throw toStoreError(error, options.path);
      transactOnce(body);
    }
    if (isFailing) {
      isFailing = false;
      events.recovered?.();
    }
  }

  const restored = restoredAt(db);
  return {
    db,
    rows,
    ledger,
    book: createRingBook(rows, ledger, keyring, feed, restored),
    replica: createReplica({ db, rows, ledger, lazy, clock, seq: nextSeq }),
    spent: createSpentRows(db),
    former: createFormerRows(db, rows, feed, now),
    marks,
    position: () => ({ feed, seq, commit: marks.newest }),
    survey: createSurvey(db),
    tally: prepareTally(db),
    inspector: createInspector(db, rows, lazy, mergeChangesMs),
    restoredAt: restored,
    get committedSeq() {
      return committedSeq;
    },
    get isFailing() {
      return isFailing;
    },
    touch() {
      wrote = true;
    },
    newFeed: () => firstProgress(db, randomBytes(8).toString("hex")),
    forgetRings(progress) {
      const forgotten = forgetRings(db, progress, PHONES_PER_COMMIT, seq, clock.tick(), now());
      seq = forgotten.seq;
      wrote = true;
      return forgotten.progress;
    },
    switchFeed(feed) {
      switchFeed(db, feed);
      wrote = true;
    },
    commits: createGroupCommit({
      transact,
      concernsAll: (error) => error instanceof BellError && error.code !== "internal",
      observe: (jobs, durationMs) => events.committed?.(jobs, durationMs),
      afterBatch,
    }),
  };
}
