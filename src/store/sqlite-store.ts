// The store on SQLite: one writer, group commits, reads on the same connection. See `types.ts` for its promises.
import { BellError } from "../errors.ts";
import type { EchoRange } from "./feed-types.ts";
import { createHousekeeping } from "./housekeeping.ts";
import { createLazyFolders, type LazyFolders } from "./lazy-folders.ts";
import type { FeedProgress } from "./new-feed.ts";
import type { StoreOptions } from "./options.ts";
import { createReserve, type Reserve } from "./reserve.ts";
import { idBytes, idText } from "./rows.ts";
import { openSession, type Session } from "./session.ts";
import { copyDatabase } from "./snapshot.ts";
import type { DueNews, RegistrationView, Ring, Store } from "./types.ts";

/** 64 MB: at the size of a row, hours of traffic of a large company. */
export const RESERVE_BYTES = 64 * 1024 * 1024;
// How long a heartbeat may stay in memory only, milliseconds.
const LAZY_FLUSH_MS = 30_000;

// A token that does not open is looked at again after this time, milliseconds: a key file may have been restored.
const UNREADABLE_RETRY_MS = 600_000;

export function createStore(options: StoreOptions): Store {
  const { now, events = {} } = options;
  const lazy: LazyFolders = createLazyFolders();
  const reserve: Reserve = createReserve(`${options.path}.reserve`, options.reserveBytes ?? 0);
  let parts: Session | null = null;
  let lazyTimer: ReturnType<typeof setInterval> | null = null;
  let onDue: (news: readonly DueNews[]) => void = () => {};
  let onCommitted: (seq: number, echoes: readonly EchoRange[]) => void = () => {};
  let echoes: EchoRange[] = [];
  let committedSeq = 0;
  let toldSeq = 0;
  // Collected while a batch's jobs are answered, told once after the batch.
  let dueNews: DueNews[] = [];

  function opened(): Session {
    if (parts === null) throw new BellError("store_unavailable", "The store is not open.");
    return parts;
  }

  function open(): Session {
    const session = openSession(options, lazy, reserve, tellNews);
    committedSeq = session.committedSeq;
    toldSeq = committedSeq;
    return session;
  }

  /** After each commit, once its jobs were answered. */
  function tellNews(): void {
    committedSeq = opened().committedSeq;
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
  }

  /** Runs `work` in a group commit. Its last result counts, since it may run twice. */
  function inCommit<T>(work: (parts: Session) => T, after: (result: T) => void = () => {}): Promise<T> {
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
        if (parts?.isFailing === false) reserve.fill();
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

    async findToken(tokenMac) {
      return opened().inspector.findToken(tokenMac);
    },

    async inspect(registrationId) {
      return opened().inspector.inspect(registrationId, now());
    },

    async list(page) {
      return opened().inspector.list(page);
    },

    async copyTo(path) {
      await copyDatabase(opened().db, path);
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
            const since = rows.due(id)?.since ?? now();
            const heldUntil = now() + UNREADABLE_RETRY_MS;
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
          return settlements.map((settlement) => book.settle(settlement, now()));
        },
        (more) => {
          settlements.forEach(({ ring: { registrationId } }, at) => {
            const due = more[at];
            if (due) dueNews.push({ registrationId, ...due, origin: null });
          });
        },
      );
    },

    async clockJumped() {
      // Each commit sees to it first.
      await inCommit(() => {});
    },

    async counts(at) {
      const counted = opened();
      const tally = counted.tally();
      for (let after = tally.countOn(null); after !== null; after = tally.countOn(after)) {
        // Whoever came meanwhile is served in between.
        await new Promise((resolve) => setImmediate(resolve));
        // A new feed has opened the database anew.
        if (opened() !== counted) return store.counts(at);
      }
      return tally.sums();
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
          for (const folder of merged.heard) events.heardElsewhere?.(folder);
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
      const first = opened().newFeed();
      for (let progress: FeedProgress | null = first; progress !== null; ) {
        const at: FeedProgress = progress;
        progress = await inCommit((current) => current.forgetRings(at));
        // Whoever came meanwhile is served in between.
        await new Promise((resolve) => setImmediate(resolve));
      }
      await inCommit((current) => current.switchFeed(first.feed));
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

    ...createHousekeeping({ opened, inCommit, lazy }),

    async probe() {
      const started = performance.now();
      await inCommit(({ touch }) => touch());
      return performance.now() - started;
    },

    makeRoom: () => reserve.giveUp(),

    onDue(listener) {
      onDue = listener;
    },
  };
  return store;
}
