// Mail that arrives and is read while nodes break, and what Exchange was answered for it.
import type { Mailbox } from "../../../../src/rehearsal/ews/mailbox.ts";
import type { ExchangeSimulator } from "../../../../src/rehearsal/ews/simulator.ts";
import { durableOf, type Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

export interface Mail {
  /** Changes so many mailboxes a second from now on, and more where a token has died lately. */
  begin(perSecond: number): void;
  end(): void;
  /**
   * Some mails at once.
   * @param among these mailboxes; without it as many again follow within a moment, so that rings are on their way
   * whatever happens in it
   */
  burst(count: number, among?: readonly string[]): void;
}

// Exchange writes event times in whole seconds: two changes of a mailbox closer than that have no order once
// nodes that did not see each other accept one each. Milliseconds.
const APART_MS = 1_500;
const READ_SHARE = 0.15;
// For so long after a token died, its mailbox changes as often as it may: the first notification is what shows that the
// token is dead, the next one is what may end a subscription by it.
const STIRRED_MS = 5_000;
// So many of them for one of the others.
const STIRRED_CHANGES = 2;
// A change of the calendar comes along, as long as the phone would be woken at once for it (see pace.ts).
const MEETING_SHARE = 0.4;
const MOST_MEETINGS = 2;
const MOMENT_MS = 400;

/**
 * Notes every verdict of `exchange`, and makes what it posts about.
 * @param rests whether a mailbox does not change at the moment
 */
export function createMail(
  exchange: ExchangeSimulator,
  ledger: Ledger,
  random: Random,
  rests: (mailbox: string) => boolean,
): Mail {
  const changedAt = new Map<string, number>();
  const meetings = new Map<string, number>();
  const later = new Set<ReturnType<typeof setTimeout>>();
  let timer: ReturnType<typeof setInterval> | null = null;

  exchange.observe({
    onVerdict(post, verdict) {
      const atMs = ledger.now();
      const { subscriptionId } = post;
      if (verdict.kind === "failed") ledger.failures.push({ atMs, what: `POST: ${verdict.why}` });
      if (verdict.kind !== "ok" || post.kind !== "events") return;
      if (post.folders.includes("calendar")) {
        ledger.meetings.push({ subscriptionId, atMs, durable: durableOf(verdict.durable) });
        return;
      }
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

  /** @param among these mailboxes; default: all */
  function change(among?: readonly string[]): void {
    const now = performance.now();
    const ready = exchange
      .mailboxes()
      .filter(({ name }) => now - (changedAt.get(name) ?? Number.NEGATIVE_INFINITY) > APART_MS)
      .filter(({ name }) => !rests(name) && (among?.includes(name) ?? true));
    if (ready.length === 0) return;
    const box = random.pick(ready);
    changedAt.set(box.name, now);
    const unread = box.items("inbox").find((item) => !item.read);
    if (unread !== undefined && random.fraction() < READ_SHARE) box.markRead(unread.id);
    else box.deliver();
    if (random.fraction() < MEETING_SHARE) meet(box);
  }

  function stirred(): readonly string[] {
    const sinceMs = ledger.now() - STIRRED_MS;
    return ledger.deaths.filter(({ atMs }) => atMs > sinceMs).map(({ mailbox }) => mailbox);
  }

  function meet(box: Mailbox): void {
    const own = exchange.subscriptions().filter(({ mailbox }) => mailbox === box.name);
    const newest = own.findLast(({ folders }) => folders.includes("calendar"));
    const so = newest === undefined ? MOST_MEETINGS : (meetings.get(newest.id) ?? 0);
    if (newest === undefined || so >= MOST_MEETINGS) return;
    meetings.set(newest.id, so + 1);
    box.changeCalendar();
  }

  return {
    begin(perSecond) {
      timer ??= setInterval(() => {
        change();
        for (let n = 0; n < STIRRED_CHANGES; n += 1) change(stirred());
      }, 1000 / perSecond);
    },
    end() {
      if (timer !== null) clearInterval(timer);
      timer = null;
      for (const each of later) clearTimeout(each);
      later.clear();
    },
    burst(count, among) {
      for (let n = 0; n < count; n += 1) change(among);
      for (let n = 0; n < (among === undefined ? count : 0); n += 1) {
        const each = setTimeout(
          () => {
            later.delete(each);
            change();
          },
          random.between(0, MOMENT_MS),
        );
        later.add(each);
      }
    },
  };
}
