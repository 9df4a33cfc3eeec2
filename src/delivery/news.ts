// What the store announced and nobody has rung for yet. All of it is in the store too: what does not fit in here is
// found there, only without its origin.
import type { DueNews, Ring } from "../store/types.ts";
import { BATCH } from "./puller.ts";

export interface NewsOptions {
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly isFlying: (registrationId: string) => boolean;
  /** Whether the news' queue may begin rings now; if not, its owner finds them in the store once it may. */
  readonly hasRoom: (news: DueNews) => boolean;
  /** It waits on purpose: to be looked at when its time has come. */
  readonly later: (news: DueNews) => void;
  readonly begin: (registrationIds: readonly string[]) => Promise<readonly Ring[]>;
  readonly launch: (ring: Ring, origin: DueNews["origin"]) => void;
  /** These cannot be begun from here: their queues have to look into the store. */
  readonly leave: (news: readonly DueNews[], because: "store" | "overflow", error?: unknown) => void;
}

export interface News {
  announce(news: readonly DueNews[]): void;
  /** This phone's ring landed: what was announced meanwhile is looked at now. */
  landed(registrationId: string): void;
  /** Keeps in mind where a ring came from that has to wait. */
  keepOrigin(registrationId: string, origin: DueNews["origin"]): void;
  /** Where a ring that had to wait came from; forgets it. */
  takeOrigin(registrationId: string): DueNews["origin"];
  /** Begins nothing more; resolves when nothing is being begun. */
  stop(): Promise<void>;
}

// Announced registrations kept in memory; beyond it the store is asked instead.
const MAX_KEPT = 5_000;

export function createNews(options: NewsOptions): News {
  const { now, isFlying } = options;
  const announced = new Map<string, DueNews>();
  // Announced while its ring was in flight: looked at again when that ring has been noted.
  const again = new Map<string, DueNews>();
  const origins = new Map<string, DueNews["origin"]>();
  let immediate: ReturnType<typeof setImmediate> | null = null;
  let beginning: Promise<void> | null = null;
  let stopping = false;

  function schedule(): void {
    if (!stopping && beginning === null && announced.size > 0) immediate ??= setImmediate(beginBatch);
  }

  function beginBatch(): void {
    immediate = null;
    const batch = new Map<string, DueNews>();
    for (const [id, news] of announced) {
      if (batch.size >= BATCH) break;
      announced.delete(id);
      // Asked again: what was begun meanwhile may have filled the queue.
      if (isFlying(id)) keepForLanding(news);
      else if (!options.hasRoom(news)) keepOrigin(id, news.origin);
      else batch.set(id, news);
    }
    if (batch.size === 0) {
      schedule();
      return;
    }
    beginning = options
      .begin([...batch.keys()])
      .then(
        (rings) => {
          for (const ring of rings) {
            const kept = takeOrigin(ring.registrationId);
            options.launch(ring, batch.get(ring.registrationId)?.origin ?? kept);
          }
        },
        (error: unknown) => options.leave([...batch.values()], "store", error),
      )
      .finally(() => {
        beginning = null;
        schedule();
      });
  }

  function keepForLanding(news: DueNews): void {
    const origin = news.origin ?? again.get(news.registrationId)?.origin ?? null;
    again.set(news.registrationId, { ...news, origin });
  }

  function keepOrigin(registrationId: string, origin: DueNews["origin"]): void {
    if (origin === null) return;
    const [oldest] = origins.size < MAX_KEPT ? [] : origins.keys();
    if (oldest !== undefined) origins.delete(oldest);
    origins.set(registrationId, origin);
  }

  function takeOrigin(registrationId: string): DueNews["origin"] {
    const origin = origins.get(registrationId) ?? null;
    origins.delete(registrationId);
    return origin;
  }

  function announceOne(news: DueNews): void {
    const { registrationId, at, origin } = news;
    if (isFlying(registrationId)) {
      keepForLanding(news);
    } else if (at > now()) {
      // No delay that `ring_seconds` is about.
      if (origin !== null) keepOrigin(registrationId, { ...origin, receivedAtMs: null });
      options.later(news);
    } else if (!options.hasRoom(news)) {
      keepOrigin(registrationId, origin);
    } else if (announced.size < MAX_KEPT) {
      announced.set(registrationId, news);
    } else {
      options.leave([news], "overflow");
    }
  }

  return {
    announce(news) {
      if (stopping) return;
      for (const one of news) announceOne(one);
      schedule();
    },

    landed(registrationId) {
      const news = again.get(registrationId);
      again.delete(registrationId);
      if (news === undefined || stopping) return;
      announceOne(news);
      schedule();
    },

    keepOrigin,
    takeOrigin,

    async stop() {
      stopping = true;
      if (immediate !== null) clearImmediate(immediate);
      await beginning;
    },
  };
}
