// What phones were rung for, held against what was answered OK for them: nothing too little, nothing too often. Pure.
import type { Evidence, Notified, PushSeen } from "./evidence.ts";
import { type Acknowledged, isPromised, newestOf, promisedDeletions, released } from "./promises.ts";
import { atSecond, within } from "./spells.ts";

// An answer may be noted so much after the ring that it led to.
const ANSWER_LATE_MS = 300;
// A ring that had begun before a notification may reach the provider so much after it.
const IN_FLIGHT_MS = 1_000;
// A notification may have been accepted so long before its answer, while the other node was waited for.
const LONGEST_WAIT_MS = 2_500;
// A phone that gets one new token after the other leaves at most so many dead ones in this time.
const MOST_REFUSALS = 4;
const INSISTENT_MS = 5_000;
// A phone is woken so often at once, even if a node's clock was wrong.
const MOST_WAKES = 1;
// A request that was on its way at the end of a switch.
export const SWITCH_TAIL_MS = 1_000;

/** The last badge of each phone is at least as new as the newest notification that was answered OK for it. */
export function lostBadges(
  evidence: Omit<Acknowledged, "puts"> & Pick<Evidence, "pushes" | "quietFromMs">,
): string[] {
  const gone = released(evidence);
  const subscriptions = new Map(evidence.subscriptions.map((each) => [each.subscriptionId, each]));
  // Every count that is known of a registration's mailbox, by the event's time.
  const history = new Map<string, Notified[]>();
  for (const each of evidence.notified) {
    if (each.atMs > evidence.quietFromMs) continue;
    const id = subscriptions.get(each.subscriptionId)?.id;
    if (id !== undefined) history.set(id, [...(history.get(id) ?? []), each]);
  }
  const badges = lastBadges(evidence.pushes.filter(({ atMs }) => atMs <= evidence.quietFromMs));
  return newestOf(evidence.subscriptions, "inbox").flatMap(({ id, subscriptionId }) => {
    if (gone.has(id)) return [];
    const known = history.get(id) ?? [];
    const owed = known
      .filter((each) => each.subscriptionId === subscriptionId && isPromised(each, evidence))
      .reduce<Notified | null>(
        (last, each) => (last === null || each.eventAt >= last.eventAt ? each : last),
        null,
      );
    if (owed === null) return [];
    const shown = badges.get(id);
    const right = known.some((each) => each.eventAt >= owed.eventAt && each.unread === shown);
    return right
      ? []
      : [`${id} shows ${shown ?? "no badge"}, and ${owed.unread} was answered OK (${owed.durable})`];
  });
}

/**
 * A change of the calendar that was answered OK wakes the phone. Judged where a phone was woken so seldom that it need
 * not wait for the next time (see pace.ts).
 */
export function lostMeetings(
  evidence: Omit<Acknowledged, "puts" | "notified"> & Pick<Evidence, "meetings" | "pushes" | "quietFromMs">,
): string[] {
  const gone = released(evidence);
  return newestOf(evidence.subscriptions, "calendar").flatMap(({ id, subscriptionId }) => {
    const wakes = evidence.pushes.filter((push) => push.id === id && push.badge === null);
    if (gone.has(id) || wakes.length > MOST_WAKES) return [];
    const last = evidence.meetings.findLast(
      (each) =>
        each.subscriptionId === subscriptionId &&
        each.atMs <= evidence.quietFromMs &&
        isPromised(each, evidence),
    );
    if (last === undefined) return [];
    const isTold = wakes.some(
      ({ reason, atMs }) => reason === "calendar" && atMs > last.atMs - IN_FLIGHT_MS - LONGEST_WAIT_MS,
    );
    return isTold ? [] : [`${id} was not woken for its calendar, which was answered OK (${last.durable})`];
  });
}

function lastBadges(pushes: readonly PushSeen[]): ReadonlyMap<string, number> {
  const badges = new Map<string, number>();
  for (const { id, badge } of pushes) if (badge !== null) badges.set(id, badge);
  return badges;
}

export function ringsAfterDeletion(evidence: Evidence): string[] {
  const gone = new Set(promisedDeletions(evidence).map(({ id }) => id));
  const late = evidence.pushes.filter(({ id, atMs }) => gone.has(id) && atMs > evidence.quietFromMs);
  return [...new Set(late.map(({ id }) => `deleted registration ${id} was rung after all had healed`))];
}

/** A registration whose phone has lost the app is let alone once Exchange was told that it has ended. */
export function ringsAfterRemoval({ deaths, subscriptions, ends, refusals }: Evidence): string[] {
  const owners = new Map(newestOf(subscriptions, "inbox").map((each) => [each.subscriptionId, each.id]));
  const bare = new Map(
    deaths.filter(({ replaced }) => replaced === null).map((each) => [each.id, each.atMs]),
  );
  return ends.flatMap(({ subscriptionId, atMs, why }) => {
    const id = owners.get(subscriptionId);
    const bareAtMs = id === undefined ? undefined : bare.get(id);
    if (why !== "unsubscribed" || bareAtMs === undefined || bareAtMs > atMs) return [];
    const late = refusals.filter((each) => each.id === id && each.atMs > atMs + IN_FLIGHT_MS);
    return late.length === 0 ? [] : [`${id}, whose app is gone, was rung ${late.length} times after its end`];
  });
}

/** What a push service says of a token is believed at once: it is not asked again and again. */
export function insistentRings({ refusals }: Evidence): string[] {
  const found = refusals.filter(
    ({ node, id, atMs }) =>
      refusals.filter(
        (each) =>
          each.node === node && each.id === id && each.atMs <= atMs && each.atMs > atMs - INSISTENT_MS,
      ).length > MOST_REFUSALS,
  );
  return [...new Set(found.map(({ node, id }) => `${node} rang ${id} again and again, whose token is dead`))];
}

/**
 * Rings of mail with the badge that the phone showed already, more of them than notifications that asked for it: a phone
 * that subscribes anew has two subscriptions for a while, and each tells of the same mail; a new token is rung once more.
 */
export function doubledRings({ pushes, notified, subscriptions, deaths }: Evidence): readonly PushSeen[] {
  const owners = new Map(subscriptions.map(({ subscriptionId, id }) => [subscriptionId, id]));
  const heard = new Map<string, Notified[]>();
  for (const each of notified) {
    const id = owners.get(each.subscriptionId);
    if (id !== undefined) heard.set(id, [...(heard.get(id) ?? []), each]);
  }
  const shown = new Map<string, ShownBadge>();
  return pushes.filter((push) => {
    if (push.badge === null) return false;
    const last = shown.get(push.id);
    const isSame = last?.badge === push.badge;
    const sinceMs = (isSame ? last.sinceMs : last?.atMs) ?? Number.NEGATIVE_INFINITY;
    const rings = (isSame ? last.rings : 0) + (push.reason === "mail" ? 1 : 0);
    shown.set(push.id, { badge: push.badge, rings, sinceMs, atMs: push.atMs });
    if (!isSame || push.reason !== "mail") return false;
    const asked = (heard.get(push.id) ?? []).filter(
      ({ unread, atMs }) =>
        unread === push.badge && atMs > sinceMs - IN_FLIGHT_MS && atMs < push.atMs + ANSWER_LATE_MS,
    );
    const tokens = deaths.filter(
      ({ id, atMs, replaced }) =>
        id === push.id &&
        replaced !== null &&
        atMs > sinceMs - IN_FLIGHT_MS &&
        atMs < push.atMs + LONGEST_WAIT_MS,
    );
    return rings > asked.length + tokens.length;
  });
}

/** What a phone shows, the rings of mail that said so, and the ring with another badge before them. */
interface ShownBadge {
  readonly badge: number;
  readonly rings: number;
  readonly sinceMs: number;
  readonly atMs: number;
}

/** A switch by hand doubles no ring. */
export function doubledBySwitch(evidence: Evidence): string[] {
  const doubled = doubledRings(evidence).filter(({ atMs }) =>
    evidence.switches.some((spell) => within(atMs, spell, SWITCH_TAIL_MS)),
  );
  return doubled.length === 0
    ? []
    : [
        `${doubled.length} rings were doubled while roles were switched by hand, such as ${ringWords(doubled[0])}`,
      ];
}

function ringWords(push: PushSeen | undefined): string {
  return push === undefined ? "" : `${push.badge} at ${atSecond(push)} from ${push.node} to ${push.id}`;
}
