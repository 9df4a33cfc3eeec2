// Keeps the score of a rehearsal: which ring each notification asks for, which ring answered it, and how long that
// took. The rules here are written from the contract, not from the appliance's code. No I/O.
import type { ObservedPost } from "./ews/simulator.ts";
import type { PhoneFolder } from "./phone/phone.ts";
import type { Push } from "./phone/push.ts";

/** A line for the person who watches. */
export type Happening =
  | {
      readonly kind: "notification";
      /** Whom it is for: each phone of a mailbox has subscriptions of its own. */
      readonly phone: string;
      readonly mailbox: string;
      readonly folder: string;
      /** Kinds of its events. */
      readonly what: string;
      readonly unread: number | null;
    }
  | {
      readonly kind: "ring";
      readonly phone: string;
      readonly mailbox: string;
      readonly provider: "APNs" | "FCM";
      readonly push: Push;
      /** Since the oldest POST that this ring answers and that asked for its reason; null if it answers none. */
      readonly latencyMs: number | null;
    };

/** The ring that a notification asks for. */
export interface Demand {
  readonly reason: "mail" | "changed" | "calendar" | "resubscribe";
  /** The inbox's own unread count, if the notification carries it. */
  readonly badge: number | null;
}

/** Whom a POST is for, and what Exchange calls the inbox. */
export interface Addressee {
  readonly phone: string;
  readonly folder: PhoneFolder;
  readonly inboxId: string;
}

export interface Score {
  /** A POST leaves Exchange for the first time. */
  posted(post: ObservedPost, addressee: Addressee): void;
  /** A provider accepted a push for this phone. `nowMs` is monotonic. */
  rang(phone: string, mailbox: string, provider: "APNs" | "FCM", push: Push, nowMs: number): void;
  /** Wake-ups that were asked for and never came. A count that a newer one replaced is none of them. */
  missingWakes(): number;
  readonly notifications: number;
  readonly rings: number;
  /** One for each answered new mail and wake-up, milliseconds, in order of arrival; the newest 100 000. */
  readonly latenciesMs: readonly number[];
}

interface Open extends Demand {
  readonly sentAtMs: number;
}

// As many samples as a long rehearsal needs for its percentiles.
const KEPT_SAMPLES = 100_000;

/** What a POST asks for, or null if the phone may stay silent (a heartbeat, a sub-folder's change). */
export function demandOf(post: ObservedPost, { folder, inboxId }: Addressee): Demand | null {
  switch (post.kind) {
    case "status":
      return null;
    case "error":
      return { reason: "resubscribe", badge: null };
    case "events": {
      if (folder === "calendar") return { reason: "calendar", badge: null };
      const badge = ownCount(post, inboxId);
      if (post.events.some((event) => event.kind === "NewMail")) return { reason: "mail", badge };
      return badge === null ? null : { reason: "changed", badge };
    }
  }
}

/** The last count of the inbox itself in document order; a sub-folder's count is none of the badge's business. */
function ownCount(post: ObservedPost, inboxId: string): number | null {
  let count: number | null = null;
  for (const event of post.events) {
    if (event.kind !== "Modified" || event.object.id !== inboxId) continue;
    count = event.unreadCount ?? count;
  }
  return count;
}

/**
 * How many of the open demands, from the oldest on, a ring answers. Newer ones may have been on their way when it
 * began. A ring for new mail makes the app look at the inbox, so it answers other changes of it too.
 * @param open demands of the ring's kind, oldest first
 */
export function answeredBy(push: Pick<Push, "badge">, open: readonly Demand[]): number {
  if (push.badge === null) return open.length;
  return open.findLastIndex((demand) => demand.badge === null || demand.badge === push.badge) + 1;
}

/** @param tell is handed each happening as it comes */
export function createScore(tell: (happening: Happening) => void): Score {
  const openByPhone = new Map<string, Open[]>();
  const latencies: number[] = [];
  let notifications = 0;
  let rings = 0;

  function answer(phone: string, push: Push, nowMs: number): number | null {
    const all = openByPhone.get(phone) ?? [];
    const concerned = all.filter(
      ({ reason }) => reason === push.reason || (push.reason === "mail" && reason === "changed"),
    );
    const answered = concerned.slice(0, answeredBy(push, concerned));
    if (answered.length === 0) return null;
    for (const demand of answered) {
      // What changed elsewhere waits on purpose, to be merged with more of it.
      if (demand.reason === "changed") continue;
      latencies.push(nowMs - demand.sentAtMs);
      if (latencies.length > 2 * KEPT_SAMPLES) latencies.splice(0, KEPT_SAMPLES);
    }
    openByPhone.set(
      phone,
      all.filter((demand) => !answered.includes(demand)),
    );
    // A change that waits to be merged is older than the mail whose ring answers it too, and says nothing about that.
    const own = answered.find(({ reason }) => reason === push.reason) ?? answered[0];
    return nowMs - (own?.sentAtMs ?? nowMs);
  }

  return {
    posted(post, addressee) {
      const demand = demandOf(post, addressee);
      if (demand !== null) {
        const open = openByPhone.get(addressee.phone) ?? [];
        open.push({ ...demand, sentAtMs: post.sentAtMs });
        openByPhone.set(addressee.phone, open);
      }
      if (post.kind === "status") return;
      notifications += 1;
      const kinds = new Set(post.kind === "error" ? ["error"] : post.events.map((event) => event.kind));
      tell({
        kind: "notification",
        phone: addressee.phone,
        mailbox: post.mailbox,
        folder: addressee.folder,
        what: [...kinds].join(" + "),
        unread: addressee.folder === "inbox" ? ownCount(post, addressee.inboxId) : null,
      });
    },
    rang(phone, mailbox, provider, push, nowMs) {
      rings += 1;
      tell({ kind: "ring", phone, mailbox, provider, push, latencyMs: answer(phone, push, nowMs) });
    },
    missingWakes: () =>
      [...openByPhone.values()].flat().filter((demand) => demand.reason !== "changed").length,
    get notifications() {
      return notifications;
    },
    get rings() {
      return rings;
    },
    latenciesMs: latencies,
  };
}
