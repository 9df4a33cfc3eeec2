// Mail that arrives and is read while nodes break, and what Exchange was answered for it.
import type { ExchangeSimulator } from "../../../../src/rehearsal/ews/simulator.ts";
import { durableOf, type Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

export interface Mail {
  /** Changes so many mailboxes a second from now on. */
  begin(perSecond: number): void;
  end(): void;
  /** Some mails at once. */
  burst(count: number): void;
}

// Exchange writes event times in whole seconds: two changes of a mailbox closer than that have no order once
// nodes that did not see each other accept one each. Milliseconds.
const APART_MS = 1_500;
const READ_SHARE = 0.15;

/** Notes every verdict of `exchange`, and makes what it posts about. */
export function createMail(exchange: ExchangeSimulator, ledger: Ledger, random: Random): Mail {
  const changedAt = new Map<string, number>();
  let timer: ReturnType<typeof setInterval> | null = null;

  exchange.observe({
    onVerdict(post, verdict) {
      const atMs = ledger.now();
      const { subscriptionId } = post;
      if (verdict.kind === "failed") ledger.failures.push({ atMs, what: `POST: ${verdict.why}` });
      if (verdict.kind !== "ok" || post.kind !== "events") return;
      for (const event of post.events) {
        if (event.kind !== "Modified" || event.unreadCount === undefined) continue;
        const durable = durableOf(verdict.durable);
        const { unreadCount: unread, at: eventAt } = event;
        ledger.notified.push({ subscriptionId, unread, eventAt, atMs, durable });
      }
    },
    onEnd({ id }, why) {
      ledger.ends.push({ subscriptionId: id, atMs: ledger.now(), why });
    },
  });

  function change(): void {
    const now = performance.now();
    const ready = exchange
      .mailboxes()
      .filter(({ name }) => now - (changedAt.get(name) ?? Number.NEGATIVE_INFINITY) > APART_MS);
    if (ready.length === 0) return;
    const box = random.pick(ready);
    changedAt.set(box.name, now);
    const unread = box.items("inbox").find((item) => !item.read);
    if (unread !== undefined && random.fraction() < READ_SHARE) box.markRead(unread.id);
    else box.deliver();
  }

  return {
    begin(perSecond) {
      timer ??= setInterval(change, 1000 / perSecond);
    },
    end() {
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
    burst(count) {
      for (let n = 0; n < count; n += 1) change();
    },
  };
}
