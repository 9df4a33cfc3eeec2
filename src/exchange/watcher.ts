// Watches over the subscriptions: looks at all of them once a minute, marks those that have been quiet for too long, and
// sees to it that their phones are asked to subscribe again. The rules are in `watch.ts`.
import { isBellError } from "../errors.ts";
import type { Keyring } from "../keys/types.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";
import { folderState, newestGeneration } from "../store/folder-state.ts";
import type { Folder, Store, WalkedPhone } from "../store/types.ts";
import { createCensus } from "./census.ts";
import { createHeardTimes } from "./heard-times.ts";
import type { RingsFor } from "./ring-folders.ts";
import { createServerTimes, serverKey } from "./server-times.ts";
import { createSpread, SPREAD_MS } from "./spread.ts";
import { type Asks, asksDue, decideLook, isLost, type Listening, type Looked } from "./watch.ts";

export interface WatcherOptions {
  readonly store: Pick<Store, "walk" | "submit">;
  readonly keyring: Pick<Keyring, "logId">;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "resubscribeAsks" | "resubscribeGivenUp" | "exchangeServersSilent">;
  readonly rings: RingsFor;
  /** Wall time, epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly listening: () => Listening;
  /** Whether what Exchange posts can be answered, which takes a database that can be written. */
  readonly canAnswer: () => boolean;
  /** How many times faster than real its time passes, for tests with a server in a hurry. Default 1. */
  readonly timeScale?: number;
}

export interface Watcher {
  /** Begins to watch. What was heard before counts for nothing. */
  start(): void;
  /** Resolves when no look is under way; phones that had to wait are asked after the next start. */
  stop(): Promise<void>;
  /** A subscription was heard. */
  heard(folder: Heard, serverMac: Buffer | null): void;
  /** Whether a phone of this server may be asked to subscribe again at this moment, outside of the looks. */
  mayAsk(serverMac: Buffer | null): boolean;
  /** It was asked. */
  asked(serverMac: Buffer | null): void;
  /** The wall clock was set, or this machine stood still, by so many milliseconds. */
  clockJumped(deltaMs: number): void;
  /** Looks at all subscriptions once, as it does every minute. */
  look(): Promise<void>;
}

type Heard = { readonly registrationId: string; readonly folder: string };

// Between two looks at all subscriptions, milliseconds: little beside the shortest quiet that counts.
const EVERY_MS = SPREAD_MS;
// Phones judged in one go, and the pause after them, milliseconds: a hundred thousand are through in 40 s, and the event
// loop is held for a few milliseconds at a time.
const PAGE = 100;
const PAUSE_MS = 40;
// How often it notes that this node listens, milliseconds.
const ATTEND_MS = 1_000;
// A process that stood still for so long may have let Exchange down: what it did not hear means nothing. Shorter pauses
// cost Exchange some patience and no notification. Milliseconds.
const GAP_MS = 10_000;
// Registrations named in one line of the log.
const NAMED = 20;

export function createWatcher(options: WatcherOptions): Watcher {
  const { store, keyring, log, metrics, now, monotonicNow, random, listening } = options;
  const timeScale = options.timeScale ?? 1;
  const seed = () => Math.floor(random() * 2 ** 32);
  const times = createHeardTimes([seed(), seed()]);
  const servers = createServerTimes();
  const spread = createSpread(random);
  const census = createCensus();
  /** Phones that wait for their turn to be asked, and when it comes. The allowances bound them. */
  const waiting = new Map<string, number>();
  let attendedAt = monotonicNow();
  /** Quiet before this moment is none: this node did not listen. */
  let listeningSince = time();
  let ticker: ReturnType<typeof setInterval> | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let wake = () => {};
  let looking: Promise<void> | null = null;
  let running: Promise<void> | null = null;
  let stopped = false;
  let sums = noSums();

  function time(): number {
    return monotonicNow() * timeScale;
  }

  function attend(): void {
    const at = monotonicNow();
    const isDeaf = at - attendedAt > ATTEND_MS + GAP_MS || !listening().active || !options.canAnswer();
    attendedAt = at;
    if (isDeaf) listeningSince = time();
  }

  function judge(phone: WalkedPhone, atMs: number): Promise<void> | null {
    const { registrationId, app } = phone;
    const nowMs = now();
    const lost: Folder[] = [];
    const folders = phone.folders.map((folder) => {
      const server = serverKey(folder.serverMac);
      const heardAt = times.lastHeard({ registrationId, name: folder.name }, newestGeneration(folder), atMs);
      const state = folderState(folder);
      if (state === "live" || state === "silent") census.count(server);
      const quietMs = atMs - Math.max(heardAt, listeningSince);
      const serverQuietMs = atMs - servers.lastHeard(server);
      if (!isLost({ folder, quietMs, serverQuietMs }, listening())) return folder;
      lost.push(folder);
      return { ...folder, silentAt: nowMs };
    });
    const askable = phone.dead ? [] : folders.filter(({ kind }) => options.rings(app, kind));
    const due = asksDue(askable, nowMs);
    const mayAsk = due.ask.length + due.giveUp.length > 0 && isTurnOf(registrationId, due, atMs);
    return lost.length > 0 || mayAsk ? settle(registrationId, lost, mayAsk) : null;
  }

  /** Whether this phone may be asked now; if it is to be asked soon, it is kept in mind. */
  function isTurnOf(registrationId: string, { ask: [first] }: Asks, atMs: number): boolean {
    if (first === undefined) return true;
    if (waiting.has(registrationId)) return false;
    const delayMs = spread.take(serverKey(first.serverMac), atMs);
    if (delayMs !== null && delayMs > 0) waiting.set(registrationId, atMs + delayMs);
    return delayMs === 0;
  }

  async function settle(registrationId: string, lost: readonly Folder[], mayAsk: boolean): Promise<void> {
    const watched = { lost, mayAsk, nowMs: now(), rings: options.rings };
    const looked = await store.submit<Looked>({
      registrationId,
      decide: (state) => decideLook(state, watched),
    });
    for (const folder of looked.silenced) census.fellSilent(serverKey(folder.serverMac));
    for (const state of looked.asked) metrics.resubscribeAsks.inc({ state });
    metrics.resubscribeGivenUp.inc(looked.gaveUp);
    sums.silenced += looked.silenced.length;
    sums.asked += looked.asked.length;
    sums.gaveUp += looked.gaveUp;
    if (looked.gaveUp > 0 && sums.named.length < NAMED) sums.named.push(keyring.logId(registrationId));
  }

  /** Asks the phones whose turn has come. */
  async function askWaiting(): Promise<void> {
    const atMs = time();
    const due = [...waiting].filter(([, turn]) => turn <= atMs).map(([registrationId]) => registrationId);
    for (const registrationId of due) waiting.delete(registrationId);
    // Not any more the node that asks: the other one finds in its rows whom to ask.
    if (listening().active) await allOf(due.map((registrationId) => settle(registrationId, [], true)));
  }

  async function lookAtAll(): Promise<void> {
    await askWaiting();
    census.beginLook();
    let last: string | null = null;
    for (;;) {
      attend();
      if (stopped || !listening().active) return;
      const page: readonly WalkedPhone[] = await store.walk(last, PAGE);
      const atMs = time();
      await allOf(page.map((phone) => judge(phone, atMs)));
      last = page.at(-1)?.registrationId ?? null;
      if (last === null || page.length < PAGE) break;
      await pause(PAUSE_MS);
    }
    times.endLook();
    tell(census.endLook(time()));
  }

  function tell({ began, ended }: ReturnType<typeof census.endLook>): void {
    metrics.exchangeServersSilent.set(census.alarms);
    for (const { server, silent, subscriptions } of began) {
      log.error(
        { code: "exchange_forgot", server: keyring.logId(server), silent, subscriptions },
        "An Exchange server has forgotten its subscriptions, or does not reach this node any more. Its phones are asked to subscribe again, one after the other.",
      );
    }
    for (const server of ended) {
      log.info(
        { server: keyring.logId(server) },
        "No more subscriptions of that Exchange server fall silent.",
      );
    }
    const { silenced, asked, gaveUp, named } = sums;
    sums = noSums();
    if (silenced + asked > 0) log.info({ silent: silenced, asked }, "Subscriptions were lost.");
    if (gaveUp > 0) {
      log.warn(
        { gaveUp, registrations: named.join(" ") },
        "Phones that never subscribed again are not asked any more; their apps are told when they look.",
      );
    }
  }

  function pause(ms: number): Promise<void> {
    if (stopped) return Promise.resolve();
    return new Promise((resolve) => {
      wake = resolve;
      timer = setTimeout(resolve, ms / timeScale);
      timer.unref();
    });
  }

  function look(): Promise<void> {
    looking ??= lookAtAll()
      .catch(report)
      .finally(() => {
        looking = null;
      });
    return looking;
  }

  /** A database that cannot be written is told by the store; the next look finds what this one could not note. */
  function report(error: unknown): void {
    if (stopped || isBellError(error, "store_unavailable")) return;
    log.error({ reason: String(error) }, "The subscriptions could not be looked at; it is tried again.");
  }

  async function run(): Promise<void> {
    while (!stopped) {
      await look();
      await pause(EVERY_MS);
    }
  }

  return {
    start() {
      attendedAt = monotonicNow();
      listeningSince = time();
      ticker = setInterval(() => {
        attend();
        askWaiting().catch(report);
      }, ATTEND_MS / timeScale);
      ticker.unref();
      running = run();
    },

    async stop() {
      stopped = true;
      if (ticker !== null) clearInterval(ticker);
      if (timer !== null) clearTimeout(timer);
      wake();
      waiting.clear();
      await running;
      await looking;
    },

    heard({ registrationId, folder }, serverMac) {
      const atMs = time();
      times.heard({ registrationId, name: folder }, atMs);
      servers.heard(serverKey(serverMac), atMs);
    },

    mayAsk: (serverMac) => listening().active && spread.isFree(serverKey(serverMac), time()),

    asked(serverMac) {
      spread.take(serverKey(serverMac), time());
    },

    clockJumped(deltaMs) {
      // A machine that slept, or was frozen by its host, sees nothing but its clock jump ahead.
      if (deltaMs > GAP_MS) listeningSince = time();
    },

    look,
  };
}

interface Sums {
  silenced: number;
  asked: number;
  gaveUp: number;
  /** Log ids of registrations that were given up. */
  readonly named: string[];
}

function noSums(): Sums {
  return { silenced: 0, asked: 0, gaveUp: 0, named: [] };
}

/** Waits for all of them, and then throws the first error. */
async function allOf(works: readonly (Promise<void> | null)[]): Promise<void> {
  for (const each of await Promise.allSettled(works)) if (each.status === "rejected") throw each.reason;
}
