// One push subscription: collects events, posts them one body at a time and in order, repeats what failed, reports
// silence, and ends. It knows nothing of mailboxes and sockets; `deliver` sends a body and tells the verdict.
import type { Verdict } from "./answer.ts";
import type { Clock } from "./clock.ts";
import { type ChangeEvent, renderError, renderNotification, type StatusEvent } from "./notification.ts";
import { nextRetry } from "./retry.ts";

/** More events than this wait for the next POST (`MoreEvents`). */
export const MAX_EVENTS = 50;
// The first POST comes within this time even if nothing happens.
const FIRST_STATUS_MS = 30_000;
const MINUTE_MS = 60_000;

/** Why a subscription no longer exists. */
export type EndReason =
  /** The listener answered `Unsubscribe`. */
  | "unsubscribed"
  /** Given up after failed deliveries. */
  | "dropped"
  /** Lost with the server's memory, without any signal. */
  | "forgotten"
  /** Exchange reported an error that ends it. */
  | "failed";

/** One body on its way, as an observer sees it. */
export interface PostInfo {
  readonly subscriptionId: string;
  readonly kind: "events" | "status" | "error";
  /** 0 for the first try. */
  readonly attempt: number;
  readonly events: readonly (ChangeEvent | StatusEvent)[];
  readonly moreEvents: boolean;
  readonly bytes: number;
  /** Monotonic (`performance.now()`), real milliseconds. */
  readonly sentAtMs: number;
}

export interface SubscriptionHooks {
  /** Sends the body; must not reject. */
  deliver(body: Buffer): Promise<Verdict>;
  nextWatermark(): string;
  onPost(info: PostInfo): void;
  onVerdict(info: PostInfo, verdict: Verdict): void;
  /** A failed body will be sent again after `waitMs` simulated milliseconds. */
  onRetry(info: PostInfo, waitMs: number): void;
  onEnd(reason: EndReason): void;
  /** Called whenever it may have become idle. */
  onSettled(): void;
}

export interface SubscriptionOptions {
  readonly id: string;
  /** 1 to 1440. */
  readonly statusFrequencyMinutes: number;
  readonly watermark: string;
  readonly clock: Clock;
  /** In [0, 1]: when within its 30 s the first StatusEvent comes. */
  readonly firstStatus: number;
}

export interface Subscription {
  readonly id: string;
  /** Events of one action; they travel together unless they are more than 50. */
  offer(events: readonly ChangeEvent[]): void;
  /** An error notification; `ends` says whether the subscription is gone afterwards. */
  offerError(code: string, ends: boolean): void;
  end(reason: EndReason): void;
  /** Nothing in flight, nothing waiting. */
  idle(): boolean;
  live(): boolean;
}

interface Body {
  readonly bytes: Buffer;
  readonly kind: PostInfo["kind"];
  readonly events: readonly (ChangeEvent | StatusEvent)[];
  readonly moreEvents: boolean;
  readonly ends: boolean;
}

/** Starts a subscription: its clock runs from this moment. */
export function createSubscription(options: SubscriptionOptions, hooks: SubscriptionHooks): Subscription {
  const { id, statusFrequencyMinutes, clock } = options;
  let queue: ChangeEvent[] = [];
  const errors: { readonly code: string; readonly ends: boolean }[] = [];
  let statusDue = false;
  let previousWatermark = options.watermark;
  let current: { readonly body: Body; failures: number } | null = null;
  let inFlight = false;
  let ended = false;
  let pumping = false;
  let cancelRetry = () => {};
  let cancelStatus = armStatus(FIRST_STATUS_MS * options.firstStatus);

  function armStatus(ms: number) {
    return clock.after(ms, () => {
      statusDue = true;
      pump();
    });
  }

  function nextBody(): Body | null {
    const error = errors.shift();
    if (error !== undefined) {
      const bytes = Buffer.from(renderError(id, error.code));
      return { bytes, kind: "error", events: [], moreEvents: false, ends: error.ends };
    }
    if (queue.length === 0 && !statusDue) return null;
    statusDue = false;
    const status: StatusEvent[] =
      queue.length === 0 ? [{ kind: "Status", watermark: hooks.nextWatermark() }] : [];
    const events = queue.length === 0 ? status : queue.slice(0, MAX_EVENTS);
    const kind = queue.length === 0 ? "status" : "events";
    queue = queue.slice(MAX_EVENTS);
    const moreEvents = queue.length > 0;
    const xml = renderNotification({ subscriptionId: id, previousWatermark, moreEvents, events });
    previousWatermark = events.at(-1)?.watermark ?? previousWatermark;
    return { bytes: Buffer.from(xml), kind, events, moreEvents, ends: false };
  }

  // Actions that happen in one go share a POST, so sending waits until the caller is done.
  function pump() {
    if (pumping) return;
    pumping = true;
    queueMicrotask(() => {
      pumping = false;
      if (!ended && !inFlight && current === null) {
        const body = nextBody();
        if (body !== null) {
          current = { body, failures: 0 };
          send(current);
        }
      }
      if (idle()) hooks.onSettled();
    });
  }

  function send(job: { readonly body: Body; failures: number }) {
    const { body } = job;
    const info: PostInfo = {
      subscriptionId: id,
      kind: body.kind,
      attempt: job.failures,
      events: body.events,
      moreEvents: body.moreEvents,
      bytes: body.bytes.length,
      sentAtMs: performance.now(),
    };
    inFlight = true;
    cancelStatus();
    hooks.onPost(info);
    void hooks.deliver(body.bytes).then((verdict) => {
      inFlight = false;
      hooks.onVerdict(info, verdict);
      // Forgotten while the POST was on its way: nobody is left to look at the answer.
      if (ended) hooks.onSettled();
      else settle(job, info, verdict);
    });
  }

  function settle(job: { readonly body: Body; failures: number }, info: PostInfo, verdict: Verdict) {
    switch (verdict.kind) {
      case "ok":
        current = null;
        if (job.body.ends) {
          end("failed");
          return;
        }
        cancelStatus = armStatus(statusFrequencyMinutes * MINUTE_MS);
        pump();
        return;
      case "unsubscribe":
        end("unsubscribed");
        return;
      case "redirect":
      case "failed":
        job.failures++;
        retry(job, info);
        return;
    }
  }

  function retry(job: { readonly body: Body; failures: number }, info: PostInfo) {
    const waitMs = nextRetry(job.failures, statusFrequencyMinutes);
    if (waitMs === "drop") {
      end("dropped");
      return;
    }
    hooks.onRetry(info, waitMs);
    cancelRetry = clock.after(waitMs, () => send(job));
  }

  function end(reason: EndReason) {
    if (ended) return;
    ended = true;
    queue = [];
    errors.length = 0;
    current = null;
    cancelRetry();
    cancelStatus();
    hooks.onEnd(reason);
    if (!inFlight) hooks.onSettled();
  }

  function idle() {
    return (
      !inFlight && (ended || (current === null && queue.length === 0 && errors.length === 0 && !statusDue))
    );
  }

  return {
    id,
    offer(events) {
      if (ended || events.length === 0) return;
      queue.push(...events);
      pump();
    },
    offerError(code, ends) {
      if (ended) return;
      errors.push({ code, ends });
      pump();
    },
    end,
    idle,
    live: () => !ended,
  };
}
