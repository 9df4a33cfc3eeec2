// Phones and mailboxes that fall silent around a fault until it is judged: what comes after would cover what was lost.
import type { Random } from "./random.ts";

/** A phone goes by the name of its mailbox. */
export interface Resting {
  /** Falls silent when the fault strikes. */
  readonly early: readonly string[];
  /** Falls silent when the fault is mended: what was accepted meanwhile. */
  readonly late: readonly string[];
  has(mailbox: string): boolean;
  /** Draws who will rest next; nobody rests yet. */
  choose(random: Random): void;
  hush(mailboxes: readonly string[]): void;
  /** All of them are free again. */
  release(): void;
}

// Of all phones, each way; the others go on all the time.
const SHARE = 1 / 3;

/** @param names of all phones, which may become more */
export function createResting(names: () => readonly string[]): Resting {
  const still = new Set<string>();
  let early: readonly string[] = [];
  let late: readonly string[] = [];
  return {
    get early() {
      return early;
    },
    get late() {
      return late;
    },
    has: (mailbox) => still.has(mailbox),
    choose(random) {
      const drawn = random.shuffled(names());
      const count = Math.floor(drawn.length * SHARE);
      early = drawn.slice(0, count);
      late = drawn.slice(count, 2 * count);
    },
    hush(mailboxes) {
      for (const mailbox of mailboxes) still.add(mailbox);
    },
    release() {
      still.clear();
      early = [];
      late = [];
    },
  };
}
