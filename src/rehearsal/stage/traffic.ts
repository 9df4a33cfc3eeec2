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

/**
 * @param perSecond changes in all mailboxes together
 * @param random from 0 up to but not including 1
 */
export function createTraffic(
  mailboxes: readonly Mailbox[],
  perSecond: number,
  random: () => number,
): Traffic {
  const touched = new Set<string>();
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
    else if (item !== undefined && chance < 0.35) box.move(item.id, "inbox/projects");
    else if (chance < 0.42) box.deliver("inbox/projects");
    else if (chance < 0.54) box.changeCalendar();
    else if (chance < 0.57) box.touchFolder("inbox");
    else box.deliver();
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
