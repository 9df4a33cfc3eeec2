// Holds a run's evidence against the promise: what was answered `pair` survives whatever happens to one node, what was
// answered `node` survives as long as that node's disk does. Pure.
import {
  type Answered,
  type Deletion,
  type Evidence,
  NODES,
  type NodeName,
  type Notified,
  type PushSeen,
  type Revival,
  type StoreDump,
  type Subscription,
  type TokenDeath,
} from "./evidence.ts";
import { judgedBounds, ringsOfPassive, wordsAfterFreeze, wrongRoles } from "./role-checks.ts";
import { within } from "./spells.ts";

export interface Finding {
  readonly violations: readonly string[];
  /** Bounds that could not be judged, and why. */
  readonly unjudged: readonly string[];
  readonly counts: {
    readonly puts: number;
    readonly deletions: number;
    readonly notified: number;
    /** Of all these answers. */
    readonly pair: number;
    readonly node: number;
    readonly pushes: number;
    /** A phone was rung again with the count that it showed already. */
    readonly doubledRings: number;
    /** Subscriptions that Exchange gave up, since nobody answered for long. */
    readonly dropped: number;
    readonly failures: number;
  };
}

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
const SWITCH_TAIL_MS = 1_000;

/** What was acknowledged, and what excuses a loss. */
export type Acknowledged = Pick<
  Evidence,
  "puts" | "deletions" | "subscriptions" | "deaths" | "notified" | "diskLosses"
>;
/** What the nodes hold of it. */
interface Held {
  readonly stores: Readonly<Record<NodeName, Pick<StoreDump, "registrations" | "folders">>>;
}

export function check(evidence: Evidence): Finding {
  const bounds = judgedBounds(evidence);
  return {
    violations: [
      ...evidence.complaints,
      ...wordless(evidence),
      ...lostRegistrations(evidence),
      ...lostDeletions(evidence),
      ...wrongRevivals(evidence),
      ...unlikeStores(evidence),
      ...wrongUnsubscribes(evidence),
      ...lostBadges(evidence),
      ...lostMeetings(evidence),
      ...ringsAfterDeletion(evidence),
      ...ringsAfterRemoval(evidence),
      ...insistentRings(evidence),
      ...ringsOfPassive(evidence),
      ...wordsAfterFreeze(evidence),
      ...wrongRoles(evidence),
      ...bounds.broken,
      ...failedBySwitch(evidence),
      ...doubledBySwitch(evidence),
      ...evidence.unended.map((id) => `deleted registration ${id} is still answered OK`),
    ],
    unjudged: bounds.unjudged,
    counts: count(evidence),
  };
}

/** Whether what was answered must be there in the end. */
export function isPromised({ durable, atMs }: Answered, evidence: Pick<Evidence, "diskLosses">): boolean {
  switch (durable) {
    case "pair":
      return true;
    case "node":
      // Which node answered is not known behind a load balancer: any loss of a disk after it excuses.
      return !evidence.diskLosses.some((loss) => within(atMs, loss));
    case null:
      return false;
  }
}

/** Answers that rest on a commit say how far it reaches; what has ended has no news, and needs none. */
function wordless(evidence: Evidence): string[] {
  const { puts, deletions, notified, meetings, subscriptions } = evidence;
  const byId = new Map(subscriptions.map((each) => [each.subscriptionId, each]));
  const live = [...notified, ...meetings].filter(({ subscriptionId, atMs }) => {
    const own = byId.get(subscriptionId);
    return own !== undefined && !mayEnd(own, atMs, evidence);
  });
  const deleted = deletions.flatMap(({ id, answered }) => (answered === null ? [] : [{ ...answered, id }]));
  const heard = live.map((each) => ({ ...each, id: byId.get(each.subscriptionId)?.id }));
  const silent = [...puts, ...deleted, ...heard].filter(({ durable }) => durable === null);
  const [first] = silent;
  return first === undefined
    ? []
    : [
        `${silent.length} answers did not say Inboxbell-Durable, such as at ${atSecond(first)} of ${first.id}`,
      ];
}

/** Registrations that do not stand as they were acknowledged. */
export function lostRegistrations(
  evidence: Pick<Acknowledged, "puts" | "deletions" | "diskLosses"> & Held,
): string[] {
  const deleted = new Set(evidence.deletions.map(({ id }) => id));
  const promised = new Map<string, { revision: number; readonly generations: Map<string, number> }>();
  for (const put of evidence.puts) {
    if (!isPromised(put, evidence) || deleted.has(put.id)) continue;
    const so = promised.get(put.id) ?? { revision: 0, generations: new Map<string, number>() };
    promised.set(put.id, so);
    so.revision = Math.max(so.revision, put.revision);
    for (const name of put.fresh) {
      so.generations.set(name, Math.max(so.generations.get(name) ?? 0, put.revision));
    }
  }
  return NODES.flatMap((node) => {
    const { registrations, folders } = evidence.stores[node];
    const stored = new Map(registrations.map((row) => [row.id, row]));
    const kept = new Map(folders.map((row) => [`${row.id} ${row.name}`, row.generation]));
    return [...promised].flatMap(([id, { revision, generations }]) => {
      const row = stored.get(id);
      if (row === undefined) return [`registration ${id} is lost on ${node}`];
      if (row.deleted) return [`registration ${id} is deleted on ${node}, and nobody asked for it`];
      if (row.revision < revision) {
        return [`registration ${id} is at revision ${row.revision} on ${node}, ${revision} was acknowledged`];
      }
      return [...generations].flatMap(([name, generation]) => {
        const is = kept.get(`${id} ${name}`) ?? 0;
        return is < generation
          ? [
              `registration ${id} is at generation ${is} of ${name} on ${node}, ${generation} was acknowledged`,
            ]
          : [];
      });
    });
  });
}

/** Deletions that did not last. */
export function lostDeletions(evidence: Pick<Acknowledged, "deletions" | "diskLosses"> & Held): string[] {
  const promised = promisedDeletions(evidence);
  return NODES.flatMap((node) => {
    const living = new Set(
      evidence.stores[node].registrations.filter((row) => !row.deleted).map((row) => row.id),
    );
    return promised.flatMap(({ id }) =>
      living.has(id) ? [`deleted registration ${id} has returned on ${node}`] : [],
    );
  });
}

/** Deletions that were acknowledged and have to last. */
export function promisedDeletions(
  evidence: Pick<Evidence, "deletions" | "diskLosses">,
): readonly (Deletion & { readonly answered: Answered })[] {
  return evidence.deletions.flatMap((deletion) => {
    const { answered } = deletion;
    return answered !== null && isPromised(answered, evidence) ? [{ ...deletion, answered }] : [];
  });
}

/**
 * A PUT on a deleted id is refused: after `pair` by either node at once, after `node` once both are together. A node whose
 * disk went back to a time before the deletion learns of it again from the other one; one whose disk is empty answers
 * nobody until it has.
 */
function wrongRevivals(evidence: Evidence): string[] {
  const promised = new Map(promisedDeletions(evidence).map((deletion) => [deletion.id, deletion.answered]));
  const isWrong = ({ id, sentAtMs, atMs }: Revival) => {
    const answered = promised.get(id);
    if (answered === undefined || answered.atMs > sentAtMs) return false;
    if (evidence.calm.some((spell) => within(sentAtMs, spell) && within(atMs, spell))) return true;
    return answered.durable === "pair" && !isRelearning(atMs, evidence);
  };
  return evidence.revivals
    .filter(isWrong)
    .map(({ id }) => `a PUT on deleted registration ${id} was accepted (${promised.get(id)?.durable})`);
}

/** Whether a node's disk was lost before, and the nodes have not been together since. */
function isRelearning(atMs: number, { diskLosses, calm }: Pick<Evidence, "diskLosses" | "calm">): boolean {
  return diskLosses.some(
    ({ toMs, emptied }) =>
      !emptied && toMs <= atMs && !calm.some((spell) => spell.fromMs >= toMs && spell.fromMs <= atMs),
  );
}

function unlikeStores({ stores, quietRows }: Evidence): string[] {
  const [one, two] = NODES;
  const onlyIn = (here: readonly string[], there: readonly string[], node: string) => {
    const others = new Set(there);
    const left = here.filter((row) => !others.has(row));
    return left.length === 0 ? [] : [`${left.length} rows are only on ${node}, such as ${left[0]}`];
  };
  return [
    ...onlyIn(quietRows[one], quietRows[two], `${one} when all is quiet`),
    ...onlyIn(quietRows[two], quietRows[one], `${two} when all is quiet`),
    ...onlyIn(stores[one].rows, stores[two].rows, one),
    ...onlyIn(stores[two].rows, stores[one].rows, two),
    ...NODES.flatMap((node) => stores[node].due.map((id) => `${node} still owes a ring to ${id}`)),
  ];
}

function wrongUnsubscribes(evidence: Evidence): string[] {
  const { ends, subscriptions } = evidence;
  const byId = new Map(subscriptions.map((each) => [each.subscriptionId, each]));
  return ends.flatMap(({ subscriptionId, atMs, why }) => {
    const own = byId.get(subscriptionId);
    if (why !== "unsubscribed" || own === undefined) return [];
    const isRight = mayEnd(own, atMs, evidence);
    return isRight ? [] : [`the live subscription of ${own.id} was unsubscribed`];
  });
}

/** Whether a subscription may have ended by then: its registration was deleted or has lost its phone, or a newer one was made. */
function mayEnd(
  { id, folder, generation }: Subscription,
  atMs: number,
  evidence: Pick<Evidence, "deletions" | "subscriptions" | "deaths" | "diskLosses">,
): boolean {
  return (
    evidence.deletions.some((each) => each.id === id && each.sentAtMs < atMs) ||
    evidence.deaths.some((each) => each.id === id && each.atMs < atMs && hasLostPhone(each, evidence)) ||
    evidence.subscriptions.some(
      (each) =>
        each.id === id && each.folder === folder && each.generation > generation && each.madeAtMs < atMs,
    )
  );
}

/** Whether the death of a token leaves its registration without one: the app is gone, or its next token was lost with a disk. */
function hasLostPhone({ replaced }: TokenDeath, evidence: Pick<Evidence, "diskLosses">): boolean {
  return replaced === null || !isPromised(replaced, evidence);
}

/** Registrations of which nothing is owed any more. */
function released(evidence: Pick<Acknowledged, "deletions" | "deaths" | "diskLosses">): ReadonlySet<string> {
  const bare = evidence.deaths.filter((each) => hasLostPhone(each, evidence));
  return new Set([...evidence.deletions, ...bare].map(({ id }) => id));
}

/** The newest subscription to a folder of each registration. */
function newestOf(subscriptions: readonly Subscription[], folder: string): readonly Subscription[] {
  const newest = new Map<string, Subscription>();
  for (const each of subscriptions) {
    if (each.folder === folder && (newest.get(each.id)?.generation ?? 0) < each.generation)
      newest.set(each.id, each);
  }
  return [...newest.values()];
}

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

function ringsAfterDeletion(evidence: Evidence): string[] {
  const gone = new Set(promisedDeletions(evidence).map(({ id }) => id));
  const late = evidence.pushes.filter(({ id, atMs }) => gone.has(id) && atMs > evidence.quietFromMs);
  return [...new Set(late.map(({ id }) => `deleted registration ${id} was rung after all had healed`))];
}

/** A registration whose phone has lost the app is let alone once Exchange was told that it has ended. */
function ringsAfterRemoval({ deaths, subscriptions, ends, refusals }: Evidence): string[] {
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
function insistentRings({ refusals }: Evidence): string[] {
  const found = refusals.filter(
    ({ node, id, atMs }) =>
      refusals.filter(
        (each) =>
          each.node === node && each.id === id && each.atMs <= atMs && each.atMs > atMs - INSISTENT_MS,
      ).length > MOST_REFUSALS,
  );
  return [...new Set(found.map(({ node, id }) => `${node} rang ${id} again and again, whose token is dead`))];
}

function failedBySwitch({ switches, failures }: Evidence): string[] {
  const failed = failures.filter(({ atMs }) => switches.some((spell) => within(atMs, spell, SWITCH_TAIL_MS)));
  return failed.length === 0
    ? []
    : [`${failed.length} requests failed while roles were switched by hand, such as: ${failed[0]?.what}`];
}

/**
 * Rings of mail with the badge that the phone showed already, more of them than notifications that asked for it: a phone
 * that subscribes anew has two subscriptions for a while, and each tells of the same mail; a new token is rung once more.
 */
function doubledRings({ pushes, notified, subscriptions, deaths }: Evidence): readonly PushSeen[] {
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
function doubledBySwitch(evidence: Evidence): string[] {
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

/** As the timeline has it. */
function atSecond({ atMs }: { readonly atMs: number }): string {
  return `${(atMs / 1000).toFixed(1)} s`;
}

function count(evidence: Evidence): Finding["counts"] {
  const { puts, notified, pushes, ends, failures } = evidence;
  const deletions = evidence.deletions.flatMap(({ answered }) => answered ?? []);
  const words = [...puts, ...deletions, ...notified].map(({ durable }) => durable);
  return {
    puts: puts.length,
    deletions: deletions.length,
    notified: notified.length,
    pair: words.filter((word) => word === "pair").length,
    node: words.filter((word) => word === "node").length,
    pushes: pushes.length,
    doubledRings: doubledRings(evidence).length,
    dropped: ends.filter(({ why }) => why === "dropped").length,
    failures: failures.length,
  };
}
