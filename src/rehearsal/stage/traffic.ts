// What happens in the mailboxes during a rehearsal: mail arrives, is read, moved and deleted, meetings change.
import type { Mailbox } from "../ews/mailbox.ts";

export interface Traffic {
  start(): void;
  /** Nothing happens in the mailboxes any more. */
  stop(): void;
  /** Mailboxes whose inbox count ever changed. */
  readonly touched: ReadonlySet<string>;
}

// A mailbox with more unread mail than this gets read: badges stay believable.
const MUCH_UNREAD = 12;
// Changes without a count only wake a phone. Apple lets through two or three such rings an hour, so nobody's
// calendar or sub-folders change more often than that. Milliseconds.
const WAKE_EVERY_MS = 30 * 60_000;

/**
 * @param perSecond changes in all mailboxes together
 * @param random from 0 up to but not including 1
 * @param monotonicNow milliseconds
 */
export function createTraffic(
  mailboxes: readonly Mailbox[],
  perSecond: number,
  random: () => number,
  monotonicNow: () => number,
): Traffic {
  const touched = new Set<string>();
  const wokenAt = new Map<string, number>();
  let timer: ReturnType<typeof setInterval> | null = null;
  let first = 0;

  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];

  function act(): void {
    // Everybody gets a first mail, so that every phone has a badge to be right or wrong about.
    const fresh = mailboxes[first];
    if (fresh !== undefined) {
      first += 1;
      fresh.deliver();
      touched.add(fresh.name);
      return;
    }
    const box = pick(mailboxes);
    if (box === undefined) return;
    const unread = box.items("inbox").filter((item) => !item.read);
    const item = pick(unread);
    const chance = random();
    touched.add(box.name);
    if (item !== undefined && (chance < 0.25 || unread.length > MUCH_UNREAD)) box.markRead(item.id);
    else if (item !== undefined && chance < 0.3) box.remove(item.id);
    else if (chance < 0.57 && mayWake(box.name)) {
      if (item !== undefined && chance < 0.35) box.move(item.id, "inbox/projects");
      else if (chance < 0.42) box.deliver("inbox/projects");
      else if (chance < 0.54) box.changeCalendar();
      else box.touchFolder("inbox");
    } else box.deliver();
  }

  function mayWake(name: string): boolean {
    const now = monotonicNow();
    if (now - (wokenAt.get(name) ?? Number.NEGATIVE_INFINITY) < WAKE_EVERY_MS) return false;
    wokenAt.set(name, now);
    return true;
  }

  return {
    touched,
    start() {
      // The first mails come quicker than the rest: within about two seconds.
      const firstEveryMs = Math.min(1000 / perSecond, 2000 / Math.max(1, mailboxes.length));
      const run = (everyMs: number) => {
        timer = setInterval(() => {
          act();
          if (first === mailboxes.length && everyMs === firstEveryMs && timer !== null) {
            clearInterval(timer);
            first += 1;
            run(1000 / perSecond);
          }
        }, everyMs);
      };
      run(firstEveryMs);
    },
    stop() {
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
  };
}
