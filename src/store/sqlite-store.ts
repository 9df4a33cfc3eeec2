// The store on SQLite: one writer, group commits, reads on the same connection. See `types.ts` for its promises.
import { randomBytes } from "node:crypto";
import type Database from "better-sqlite3";
import { BellError } from "../errors.ts";
import type { Keyring } from "../keys/types.ts";
import { createLedger, type Ledger } from "./apply.ts";
import { clockTime, createClock } from "./clock.ts";
import { type CommitMarks, createCommitMarks } from "./commit-marks.ts";
import { isDiskError, isDiskFull, openDatabase, type Synchronous, toStoreError } from "./database.ts";
import { createGroupCommit, type GroupCommit } from "./group-commit.ts";
import { claimDatabase } from "./key-mark.ts";
import { createLazyFolders, type LazyFolders } from "./lazy-folders.ts";
import { beginFeed } from "./new-feed.ts";
import { createReplica, type Replica } from "./replica.ts";
import { createReserve, type Reserve } from "./reserve.ts";
import { createRingBook, type RingBook } from "./ring-book.ts";
import { createRows, idBytes, idText, type Rows } from "./rows.ts";
import { createSurvey, type Survey } from "./survey.ts";
import type { DueNews, EchoRange, Position, RegistrationView, Ring, Store } from "./types.ts";

/** What the store tells its owner, for metrics and logs. */
export interface StoreEvents {
  /** After each group commit: requests in it and duration in milliseconds. */
  readonly committed?: (requests: number, durationMs: number) => void;
  /** A commit failed; `reserveGivenUp` once, when the reserve file made room. */
  readonly failed?: (error: BellError, reserveGivenUp: boolean) => void;
  /** A registration's token does not open (its key is missing): it waits, the others go on. */
  readonly unreadable?: (error: BellError) => void;
  /** Commits work again after failures. */
  readonly recovered?: () => void;
}

export interface StoreOptions {
  readonly path: string;
  readonly keyring: Keyring;
  /** Path of the key file, for messages. */
  readonly keyFile?: string;
  /** Wall time, epoch milliseconds. */
  readonly now: () => number;
  readonly events?: StoreEvents;
  /** Size of the reserve file, bytes; 0 for none. */
  readonly reserveBytes?: number;
  readonly synchronous?: Synchronous;
  /** How long what changed elsewhere waits for more of it before it is rung, milliseconds; default 2 s. */
  readonly mergeChangesMs?: number;
}

const MERGE_CHANGES_MS = 2_000;

/** 64 MB: at the size of a row, hours of traffic of a large company. */
export const RESERVE_BYTES = 64 * 1024 * 1024;
// The clock may have been set back by so much without notice, milliseconds: no wait is as short.
const CLOCK_SLACK_MS = 1_000;
// Lazily kept folders written along with one commit: a bounded addition to its duration.
const LAZY_PER_COMMIT = 256;
// How long a heartbeat may stay in memory only, milliseconds.
const LAZY_FLUSH_MS = 30_000;

// A token that does not open is looked at again after this time, milliseconds: a key file may have been restored.
const UNREADABLE_RETRY_MS = 600_000;

interface Parts {
  readonly db: Database.Database;
  readonly rows: Rows;
  readonly ledger: Ledger;
  readonly book: RingBook;
  readonly commits: GroupCommit;
  readonly survey: Survey;
  readonly replica: Replica;
  readonly marks: CommitMarks;
  readonly position: () => Position;
  /** Inside a transaction; the database has to be opened anew afterwards. */
  readonly beginFeed: () => void;
}

export function createStore(options: StoreOptions): Store {
  const { keyring, now, events = {} } = options;
  const lazy: LazyFolders = createLazyFolders();
  const reserve: Reserve = createReserve(`${options.path}.reserve`, options.reserveBytes ?? 0);
  let parts: Parts | null = null;
  let lazyTimer: ReturnType<typeof setInterval> | null = null;
  let failing = false;
  let onDue: (news: readonly DueNews[]) => void = () => {};
  let onCommitted: (seq: number, echoes: readonly EchoRange[]) => void = () => {};
  let echoes: EchoRange[] = [];
  let committedSeq = 0;
  let toldSeq = 0;
  // Collected while a batch's jobs are answered, told once after the batch.
  let dueNews: DueNews[] = [];
  // Whether the running batch wrote anything that must be durable before it is answered.
  let wrote = false;

  function opened(): Parts {
    if (parts === null) throw new BellError("store_unavailable", "The store is not open.");
    return parts;
  }

  function writeLazy(rows: Rows): void {
    for (const { registrationId, folder } of lazy.take(LAZY_PER_COMMIT))
      rows.writeFolder(idBytes(registrationId), folder);
  }

  function open(): Parts {
    const db = openDatabase(options.path, options.synchronous ?? "FULL");
    try {
      claimDatabase(db, keyring, { database: options.path, keys: options.keyFile ?? null });
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
    let seq = Number(meta.get("seq") ?? 0);
    committedSeq = seq;
    toldSeq = seq;
    const nextSeq = () => {
      wrote = true;
      seq += 1;
      return seq;
    };
    const rows = createRows(db, clock, nextSeq);
    const ledger = createLedger(
      rows,
      lazy,
      keyring,
      clock,
      feed,
      now,
      options.mergeChangesMs ?? MERGE_CHANGES_MS,
    );
    // The clock was set back while this was closed: what waits would wait for that much longer. Where nothing else is
    // known the hybrid clock has to do; it may also have run ahead after another node's.
    const behindMs = Number(meta.get("wall") ?? clockTime(clock.last)) - now();
    if (behindMs > CLOCK_SLACK_MS) rows.shiftDue(-behindMs, now());
    const begin = db.prepare("BEGIN IMMEDIATE");
    const commit = db.prepare("COMMIT");
    const rollback = db.prepare("ROLLBACK");

    function transactOnce(body: () => void): void {
      const seqBefore = seq;
      const unmark = marks.save();
      wrote = false;
      begin.run();
      try {
        body();
        if (wrote) {
          writeLazy(rows);
          setMeta.run("clock", clock.last);
          setMeta.run("seq", seq);
          setMeta.run("wall", now());
          marks.next();
        }
        commit.run();
        committedSeq = seq;
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
        failing = true;
        events.failed?.(toStoreError(error, options.path) as BellError, gaveUp);
        if (!gaveUp) throw toStoreError(error, options.path);
        transactOnce(body);
      }
      if (failing) {
        failing = false;
        events.recovered?.();
      }
    }

    return {
      db,
      rows,
      ledger,
      book: createRingBook(rows, ledger, keyring, feed),
      replica: createReplica({ db, rows, ledger, lazy, clock, seq: nextSeq }),
      marks,
      position: () => ({ feed, seq, commit: marks.newest }),
      beginFeed() {
        seq = beginFeed(db, randomBytes(8).toString("hex"), seq, clock.tick(), now());
        wrote = true;
      },
      survey: createSurvey(db),
      commits: createGroupCommit({
        transact,
        concernsAll: (error) => error instanceof BellError && error.code !== "internal",
        observe: (jobs, durationMs) => events.committed?.(jobs, durationMs),
        afterBatch: () => {
          if (committedSeq !== toldSeq) {
            toldSeq = committedSeq;
            const news = echoes;
            echoes = [];
            onCommitted(committedSeq, news);
          }
          if (dueNews.length === 0) return;
          const news = dueNews;
          dueNews = [];
          onDue(news);
        },
      }),
    };
  }

  /** Runs `work` in a group commit. Its last result counts, since it may run twice. */
  function inCommit<T>(work: (parts: Parts) => T, after: (result: T) => void = () => {}): Promise<T> {
    const current = opened();
    return new Promise<T>((resolve, reject) => {
      let result: { readonly value: T } | null = null;
      current.commits.add({
        run: () => {
          result = { value: work(current) };
        },
        done: () => {
          if (result === null) return;
          after(result.value);
          resolve(result.value);
        },
        failed: reject,
      });
    });
  }

  const store: Store = {
    async start() {
      parts = open();
      reserve.fill();
      lazyTimer = setInterval(() => {
        if (lazy.size > 0) store.probe().catch(() => {});
        if (!failing) reserve.fill();
      }, LAZY_FLUSH_MS);
      lazyTimer.unref();
    },

    async stop() {
      if (lazyTimer !== null) clearInterval(lazyTimer);
      lazyTimer = null;
      const closing = parts;
      if (closing === null) return;
      closing.commits.flush();
      while (lazy.size > 0) {
        const before = lazy.size;
        await store.probe().catch(() => {});
        if (lazy.size >= before) break;
      }
      parts = null;
      try {
        closing.db.pragma("wal_checkpoint(TRUNCATE)");
      } finally {
        closing.db.close();
      }
    },

    submit(request) {
      return inCommit(
        ({ ledger, rows }) => {
          const state = ledger.state(request.registrationId);
          const own = idBytes(request.registrationId);
          const boundElsewhere = (request.subscriptionMacs ?? []).filter((mac) =>
            rows.bound(mac).some((folder) => !folder.registration.equals(own)),
          );
          const { change, result } = request.decide(state, boundElsewhere);
          const due = change === undefined ? null : ledger.apply(request.registrationId, state, change);
          return { result, due };
        },
        ({ due }) => {
          if (due === null) return;
          const { registrationId, origin = null } = request;
          dueNews.push({ registrationId, ...due, origin });
        },
      ).then(({ result }) => result);
    },

    async read(registrationIds) {
      const { ledger, rows } = opened();
      return registrationIds.map((registrationId): RegistrationView => {
        const id = idBytes(registrationId);
        const last = rows
          .deliveries(id)
          .map((row) => row.last)
          .sort((a, b) => b.at - a.at)[0];
        return {
          state: ledger.state(registrationId),
          lastRing: last ?? null,
          owedSince: rows.due(id)?.since ?? null,
        };
      });
    },

    async findSubscription(subscriptionMac) {
      const [found] = opened().rows.bound(subscriptionMac);
      if (found === undefined) return null;
      return {
        registrationId: idText(found.registration),
        folder: found.name,
        generation: found.boundGeneration,
      };
    },

    async due(queue, at, limit) {
      return opened().survey.due(queue, at, limit);
    },

    async nextDueAt(queue, after) {
      return opened().survey.nextDueAt(queue, after);
    },

    async begin(registrationIds) {
      const { book } = opened();
      const at = now();
      const stale: string[] = [];
      const unreadable: string[] = [];
      const rings: Ring[] = [];
      for (const registrationId of registrationIds) {
        try {
          const begun = book.begin(registrationId, at);
          if (begun.ring !== null) rings.push(begun.ring);
          else if (begun.stale) stale.push(registrationId);
        } catch (error) {
          // One token that does not open must not stop the others' rings.
          if (!(error instanceof BellError)) throw error;
          unreadable.push(registrationId);
          events.unreadable?.(error);
        }
      }
      if (stale.length + unreadable.length > 0) {
        await inCommit(({ ledger, rows }) => {
          for (const registrationId of stale) {
            const due = ledger.refreshDue(registrationId);
            if (due !== null) dueNews.push({ registrationId, ...due, origin: null });
          }
          for (const registrationId of unreadable) {
            const id = idBytes(registrationId);
            const stored = rows.registration(id);
            if (stored?.kind !== "present") continue;
            const since = rows.due(id)?.since ?? at;
            const heldUntil = at + UNREADABLE_RETRY_MS;
            rows.writeDue(id, stored.registration, {
              notBefore: heldUntil,
              heldUntil,
              attempt: 0,
              since,
            });
          }
        });
      }
      return rings;
    },

    async settle(settlements) {
      await inCommit(
        ({ book }) => {
          return settlements.map((settlement) => book.settle(settlement));
        },
        (more) => {
          settlements.forEach(({ ring: { registrationId } }, at) => {
            const due = more[at];
            if (due) dueNews.push({ registrationId, ...due, origin: null });
          });
        },
      );
    },

    async clockJumped(deltaMs) {
      await inCommit(({ rows }) => rows.shiftDue(deltaMs, now()));
    },

    async counts() {
      return opened().survey.counts();
    },

    async position() {
      return opened().position();
    },

    async rowsAfter(seq, limit) {
      return opened().replica.rowsAfter(seq, limit);
    },

    async page(seq, limit) {
      const { replica, position } = opened();
      const rows = replica.rowsAfter(seq, limit);
      const at = position();
      const last = rows.length < limit ? at.seq : (rows.at(-1)?.seq ?? at.seq);
      return { rows, upTo: { ...at, seq: last }, head: at.seq };
    },

    async merge(theirs, upTo) {
      await inCommit(
        ({ replica }) => replica.merge(theirs, upTo),
        (merged) => {
          dueNews.push(...merged.due.map((each) => ({ ...each, origin: null })));
          const { feed } = upTo ?? {};
          if (feed !== undefined) echoes.push(...merged.verbatim.map((range) => ({ ...range, feed })));
        },
      );
    },

    async peerKnowledge() {
      return opened().replica.peer.known;
    },

    placeOf({ seq, commit }) {
      return opened().marks.place(seq, commit);
    },

    keepCommits(commits) {
      opened().marks.keep(commits);
    },

    committedSeq: () => committedSeq,

    onCommitted(listener) {
      onCommitted = listener;
    },

    async beginFeed() {
      await inCommit((current) => current.beginFeed());
      const before = opened();
      before.commits.flush();
      before.db.close();
      parts = open();
    },

    async walk(afterId, limit) {
      return opened()
        .survey.walk(afterId, limit)
        .map((phone) => ({
          ...phone,
          folders: phone.folders.map((folder) => lazy.newest(phone.registrationId, folder)),
        }));
    },

    async sweep(at, idleMs) {
      const ids = opened().survey.idle(at - idleMs);
      const sweeps = ids.map((id) =>
        inCommit(({ rows }) => {
          const stored = rows.registration(id);
          // Asked again inside the transaction: it may have been renewed since.
          if (stored?.kind !== "present" || stored.registration.renewedAt > at - idleMs) return 0;
          const { revision, createdAt, renewedAt } = stored.registration;
          rows.bury(id, revision, createdAt, renewedAt, { idleAt: at });
          lazy.forget(idText(id));
          return 1;
        }),
      );
      return (await Promise.all(sweeps)).reduce<number>((sum, done) => sum + done, 0);
    },

    async probe() {
      const started = performance.now();
      await inCommit(() => {
        wrote = true;
      });
      return performance.now() - started;
    },

    onDue(listener) {
      onDue = listener;
    },
  };
  return store;
}
