// A dispatcher over a real store, with providers whose answers the test gives, and clocks that the test moves.
import { createDispatcher, type DispatcherOptions } from "../../src/delivery/dispatcher.ts";
import type { Verdict } from "../../src/delivery/outcome.ts";
import type { QueueSender } from "../../src/delivery/senders.ts";
import { createLogger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import type { Change, Platform, Ring, Store } from "../../src/store/types.ts";
import { change, folder, id, keyring, openTestStore } from "../store/helpers.ts";
import { APP, manualTime, until } from "./helpers.ts";

/** A ring on its way to a provider, waiting for the test to answer. */
export interface Flying {
  readonly ring: Ring;
  answer(verdict: Verdict): void;
}

export interface HandSender extends QueueSender {
  /** Every ring that was sent, in order. */
  readonly sent: Ring[];
  /** Rings without an answer. */
  readonly flying: Flying[];
  /** Answers every ring at once with this from now on; null: by hand. */
  auto: ((ring: Ring) => Verdict) | null;
  /** The most rings that one registration ever had on their way at once. */
  mostForOne: number;
  stops: number;
  renewals: number;
  warmed: number;
}

export function handSender(platform: Platform = "apns", app = APP): HandSender {
  const sent: Ring[] = [];
  const flying: Flying[] = [];
  const self: HandSender = {
    queue: { app, platform },
    sent,
    flying,
    auto: null,
    mostForOne: 0,
    stops: 0,
    renewals: 0,
    warmed: 0,
    sender: {
      send(ring) {
        sent.push(ring);
        if (self.auto !== null) return Promise.resolve(self.auto(ring));
        return new Promise((resolve) => {
          const one: Flying = {
            ring,
            answer(verdict) {
              flying.splice(flying.indexOf(one), 1);
              resolve(verdict);
            },
          };
          flying.push(one);
          const same = flying.filter((other) => other.ring.registrationId === ring.registrationId).length;
          self.mostForOne = Math.max(self.mostForOne, same);
        });
      },
      warm() {
        self.warmed += 1;
      },
      renew() {
        self.renewals += 1;
      },
      stop() {
        self.stops += 1;
        for (const one of [...flying])
          one.answer({ kind: "unreachable", reason: "stopped", retryAfterMs: null });
      },
    },
  };
  return self;
}

export const accepted: Verdict = { kind: "accepted" };
export const STALLED_AFTER_MS = 120_000;

/** @param wrap puts something between the dispatcher and the store, for faults */
export async function dispatcherOver(
  senders: readonly QueueSender[],
  wrap: (store: Store) => Store = (s) => s,
  more: Partial<DispatcherOptions> = {},
) {
  const opened = await openTestStore();
  const clock = manualTime();
  const lines: string[] = [];
  const random = { value: 0 };
  const metrics = createMetrics({ version: "0", commit: "0" });
  const make = (using: readonly QueueSender[]) => {
    const dispatcher = createDispatcher({
      store: wrap(opened.store),
      senders: using,
      keyring,
      log: createLogger("debug", "json", (line) => lines.push(line), true),
      metrics,
      stalledAfterMs: STALLED_AFTER_MS,
      now: () => opened.time.now,
      monotonicNow: clock.now,
      random: () => random.value,
      timers: clock.timers,
      ...more,
    });
    opened.store.onDue((news) => dispatcher.notify(news));
    return dispatcher;
  };
  let dispatcher = make(senders);
  return {
    opened,
    clock,
    lines,
    random,
    metrics,
    get store() {
      return opened.store;
    },
    get dispatcher() {
      return dispatcher;
    },
    /** A new process on the same file. */
    async restart(using: readonly QueueSender[]) {
      await opened.reopen();
      dispatcher = make(using);
      dispatcher.start();
    },
    /** Both clocks go on together. */
    advance(ms: number) {
      opened.time.now += ms;
      clock.advance(ms);
    },
    /** Steps on until `done`; each step runs what became due. */
    async advanceUntil(done: () => boolean, what: string, stepMs = 1_000, limit = 2_000) {
      for (let step = 0; step < limit; step += 1) {
        if (done()) return;
        opened.time.now += stepMs;
        clock.advance(stepMs);
        await settled();
      }
      throw new Error(`in ${limit} steps never: ${what}`);
    },
    register(n: number, platform: Platform = "apns", app = APP, revision = 1) {
      return change(opened.store, id(n), {
        registration: {
          app,
          platform,
          token: platform === "apns" ? n.toString(16).padStart(64, "0") : `fcm:${n}`,
          secretHash: keyring.mac("secret", `secret-${n}`),
          subjectMac: null,
          revision,
          locale: null,
          renewedAt: opened.time.now,
        },
        folders: [folder("inbox", revision)],
      });
    },
    mail(n: number, count: number) {
      return owe(n, { badge: { count, eventAt: opened.time.now }, reasons: [{ reason: "mail" }] });
    },
    owe,
    async owed() {
      return (await opened.store.counts(opened.time.now)).owed;
    },
    async close() {
      await dispatcher.stop(0);
      await opened.close();
    },
  };

  function owe(n: number, wanted: Change, origin?: { correlationId: string; receivedAtMs: number }) {
    return opened.store.submit({
      registrationId: id(n),
      decide: () => ({ change: wanted, result: undefined }),
      ...(origin === undefined ? {} : { origin }),
    });
  }
}

/** Lets everything run that waits for nothing but the event loop. */
export async function settled(turns = 12) {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export { id, until };
