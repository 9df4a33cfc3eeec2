// A simulated Exchange server: mailboxes whose changes it posts to the subscribers' callback URLs, as strict with
// them as the real one. Unlike the real one it can be told to lose answers, to forget, and to hurry.

import type { Verdict } from "./answer.ts";
import { type Clock, createScaledClock } from "./clock.ts";
import { makeGuid, type Random, subscriptionId } from "./ids.ts";
import { createMailbox, type Mailbox, type RoutedEvent } from "./mailbox.ts";
import type { EventKind } from "./notification.ts";
import { POST_TIMEOUT_MS, post, type Wire } from "./post.ts";
import { createStatistics, type ExchangeStatistics } from "./statistics.ts";
import { MAX_SUBSCRIPTIONS, refuse, type SubscribeRequest } from "./subscribe-rules.ts";
import { createSubscription, type EndReason, type PostInfo, type Subscription } from "./subscription.ts";

export interface ExchangeSimulatorOptions {
  /** PEM of the authorities that its certificate check trusts; nothing else is trusted. */
  readonly ca: string;
  /** How many times faster than the wall clock its waits pass (1200: a minute lasts 50 ms). Default 1. */
  readonly timeScale?: number;
  /** Instead of `timeScale`: a clock of the caller's. */
  readonly clock?: Clock;
  /** Limit for one POST in simulated milliseconds. Default 60 s, as the real one. */
  readonly postTimeoutMs?: number;
  /** Names that resolve to an address without DNS. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Host name of the mailbox server, part of every SubscriptionId. */
  readonly server?: string;
  /** `EwsMaxSubscriptions`: subscriptions a mailbox may have. */
  readonly maxSubscriptions?: number;
  readonly random?: Random;
  /** Epoch milliseconds, for TimeStamp and ids. */
  readonly now?: () => number;
}

/** A POST together with whose it is. */
export interface ObservedPost extends PostInfo {
  readonly mailbox: string;
  /** Keys of the folders subscribed to. */
  readonly folders: readonly string[];
}

export interface ExchangeObserver {
  /** A POST starts (also a repeated one). */
  onPost?(post: ObservedPost): void;
  /** Exchange has made up its mind about the answer. */
  onVerdict?(post: ObservedPost, verdict: Verdict): void;
  /** The body failed and waits, simulated milliseconds, for its next try. */
  onRetry?(post: ObservedPost, waitMs: number): void;
  onEnd?(subscription: SubscriptionView, reason: EndReason): void;
}

export interface SubscriptionView {
  readonly id: string;
  readonly mailbox: string;
  readonly folders: readonly string[];
}

export interface ExchangeSimulator {
  addMailbox(name: string): Mailbox;
  /** Throws for an unknown name. */
  mailbox(name: string): Mailbox;
  mailboxes(): readonly Mailbox[];
  /** The EWS `Subscribe` call. Throws an `EwsError` where Exchange refuses. */
  subscribe(request: SubscribeRequest): { readonly subscriptionId: string; readonly watermark: string };
  /** Subscriptions that exist. */
  subscriptions(): readonly SubscriptionView[];
  /** The true unread count of a folder. */
  unread(mailbox: string, folder: string): number;
  /** Loses subscriptions without any signal, as an app-pool recycle does; all of them, or one mailbox's. */
  forget(mailbox?: string): number;
  /** Moves a mailbox to another server: its subscriptions are lost silently, or with an error notification first. */
  moveMailbox(mailbox: string, server: string, announced?: boolean): void;
  /** Sends an error notification to all subscriptions of a mailbox. */
  sendError(mailbox: string, code: string, ends: boolean): void;
  /** Throws away the next `count` good answers, as a network does: the same body is sent again. */
  loseAnswers(count: number): void;
  statistics(): ExchangeStatistics;
  observe(observer: ExchangeObserver): void;
  /** Resolves when nothing is in flight and nothing waits; a body that waits for its retry counts. */
  idle(): Promise<void>;
  /** Ends all subscriptions silently, aborts what is in flight and stops the clock. */
  stop(): Promise<void>;
}

interface Entry extends SubscriptionView {
  readonly subscription: Subscription;
  readonly eventTypes: ReadonlySet<EventKind>;
}

export function createExchangeSimulator(options: ExchangeSimulatorOptions): ExchangeSimulator {
  const clock = options.clock ?? createScaledClock(options.timeScale ?? 1);
  const random = options.random ?? Math.random;
  const now = options.now ?? Date.now;
  const wire: Wire = {
    clock,
    ca: options.ca,
    hosts: options.hosts ?? {},
    timeoutMs: options.postTimeoutMs ?? POST_TIMEOUT_MS,
  };
  const statistics = createStatistics(now);
  const mailboxes = new Map<string, Mailbox>();
  const servers = new Map<string, string>();
  const entries = new Map<string, Entry>();
  const inFlight = new Set<Promise<Verdict>>();
  const stopping = new AbortController();
  const observers: ExchangeObserver[] = [];
  const waiting: (() => void)[] = [];
  let answersToLose = 0;

  function mailbox(name: string): Mailbox {
    const found = mailboxes.get(name);
    if (found === undefined) throw new Error(`no mailbox ${name}`);
    return found;
  }
  function publish(name: string, routed: readonly RoutedEvent[]) {
    for (const entry of entries.values()) {
      if (entry.mailbox !== name) continue;
      const seen = routed.filter(
        ({ event, seenBy }) =>
          entry.eventTypes.has(event.kind) && seenBy.some((key) => entry.folders.includes(key)),
      );
      entry.subscription.offer(seen.map(({ event }) => event));
    }
  }
  async function deliver(request: SubscribeRequest, body: Buffer): Promise<Verdict> {
    const parts = { url: new URL(request.url), callerData: request.callerData ?? null };
    const verdict = await post(wire, parts, body, stopping.signal);
    if (answersToLose === 0 || (verdict.kind !== "ok" && verdict.kind !== "unsubscribe")) return verdict;
    answersToLose--;
    statistics.lostAnswer();
    return { kind: "failed", why: "answer lost on request" };
  }
  function isIdle() {
    return inFlight.size === 0 && [...entries.values()].every((entry) => entry.subscription.idle());
  }
  function settled() {
    if (isIdle()) for (const resolve of waiting.splice(0)) resolve();
  }
  function entriesOf(name?: string): Entry[] {
    return [...entries.values()].filter((entry) => name === undefined || entry.mailbox === name);
  }

  function subscribe(request: SubscribeRequest) {
    const box = mailboxes.get(request.mailbox);
    const limit = options.maxSubscriptions ?? MAX_SUBSCRIPTIONS;
    const refusal = refuse(request, box ?? null, entriesOf(request.mailbox).length, limit);
    if (refusal !== null || box === undefined) throw refusal;
    const server = servers.get(box.name) ?? options.server ?? "ex01.corp.example";
    const view: SubscriptionView = {
      id: subscriptionId(server, makeGuid(random), now(), box.guid),
      mailbox: box.name,
      folders: request.folders,
    };
    const watermark = box.watermark();
    const observed = (info: PostInfo): ObservedPost => ({
      ...info,
      mailbox: box.name,
      folders: request.folders,
    });
    const subscription = createSubscription(
      {
        id: view.id,
        statusFrequencyMinutes: request.statusFrequencyMinutes,
        watermark,
        clock,
        firstStatus: random(),
      },
      {
        deliver(body) {
          const sent = deliver(request, body);
          inFlight.add(sent);
          return sent.finally(() => inFlight.delete(sent));
        },
        nextWatermark: () => box.nextWatermark(),
        onPost(info) {
          statistics.post(info);
          for (const observer of observers) observer.onPost?.(observed(info));
        },
        onVerdict(info, verdict) {
          if (stopping.signal.aborted) return;
          statistics.verdict(info, verdict);
          for (const observer of observers) observer.onVerdict?.(observed(info), verdict);
        },
        onRetry(info, waitMs) {
          for (const observer of observers) observer.onRetry?.(observed(info), waitMs);
        },
        onEnd(reason) {
          entries.delete(view.id);
          if (stopping.signal.aborted) return;
          statistics.end(reason);
          for (const observer of observers) observer.onEnd?.(view, reason);
        },
        onSettled: settled,
      },
    );
    entries.set(view.id, { ...view, subscription, eventTypes: new Set(request.eventTypes) });
    return { subscriptionId: view.id, watermark };
  }

  return {
    addMailbox(name) {
      const box = createMailbox(name, random, now, (routed) => publish(name, routed));
      mailboxes.set(name, box);
      return box;
    },
    mailbox,
    mailboxes: () => [...mailboxes.values()],
    subscribe,
    subscriptions: () =>
      entriesOf().map(({ id, mailbox: name, folders }) => ({ id, mailbox: name, folders })),
    unread: (name, folder) => mailbox(name).unread(folder),
    forget(name) {
      const lost = entriesOf(name);
      for (const entry of lost) entry.subscription.end("forgotten");
      return lost.length;
    },
    moveMailbox(name, server, announced = false) {
      servers.set(mailbox(name).name, server);
      for (const entry of entriesOf(name)) {
        if (announced) entry.subscription.offerError("ErrorReadEventsFailed", true);
        else entry.subscription.end("forgotten");
      }
    },
    sendError(name, code, ends) {
      for (const entry of entriesOf(name)) entry.subscription.offerError(code, ends);
    },
    loseAnswers(count) {
      answersToLose += count;
    },
    statistics: () => statistics.snapshot(),
    observe(observer) {
      observers.push(observer);
    },
    idle: () => (isIdle() ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    async stop() {
      stopping.abort();
      clock.stop();
      for (const entry of entriesOf()) entry.subscription.end("forgotten");
      await Promise.allSettled([...inFlight]);
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}
