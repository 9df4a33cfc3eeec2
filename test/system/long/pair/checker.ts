// Holds a run's evidence against the promise: what was answered `pair` survives whatever happens to one node, what was
// answered `node` survives as long as that node's disk does. Pure.
import {
  type Answered,
  type Evidence,
  NODES,
  type Notified,
  type PushSeen,
  type RoleSpell,
  type Spell,
  type Subscription,
} from "./evidence.ts";

export interface Finding {
  readonly violations: readonly string[];
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

// A ring that had begun before its node became passive may still reach the provider. Milliseconds.
const LAST_RINGS_MS = 3_000;
// While roles change hands by themselves after a fault, milliseconds.
const ROLES_SETTLE_MS = 2_000;
// Both nodes may say for a moment that they are active, or that they are not: what is polled is not one moment.
const SHORT_MS = 1_200;
// An answer may be noted so much after the ring that it led to.
const ANSWER_LATE_MS = 300;
// A ring that had begun before a notification may reach the provider so much after it.
const IN_FLIGHT_MS = 1_000;
// A request that was on its way at the end of a switch.
const SWITCH_TAIL_MS = 1_000;

export function check(evidence: Evidence): Finding {
  return {
    violations: [
      ...evidence.complaints,
      ...wordless(evidence),
      ...lostRegistrations(evidence),
      ...lostDeletions(evidence),
      ...unlikeStores(evidence),
      ...wrongUnsubscribes(evidence),
      ...lostBadges(evidence),
      ...ringsAfterDeletion(evidence),
      ...ringsOfPassive(evidence),
      ...wrongRoles(evidence),
      ...failedBySwitch(evidence),
      ...doubledBySwitch(evidence),
      ...evidence.unended.map((id) => `deleted registration ${id} is still answered OK`),
    ],
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

function within(atMs: number, { fromMs, toMs }: Spell, tailMs = 0): boolean {
  return atMs >= fromMs && atMs <= toMs + tailMs;
}

/** Answers that rest on a commit say how far it reaches; what has ended has no news, and needs none. */
function wordless({ puts, deletions, notified, subscriptions }: Evidence): string[] {
  const byId = new Map(subscriptions.map((each) => [each.subscriptionId, each]));
  const live = notified.filter(({ subscriptionId, atMs }) => {
    const own = byId.get(subscriptionId);
    return own !== undefined && !mayEnd(own, atMs, { deletions, subscriptions });
  });
  const answers = [...puts, ...deletions.flatMap(({ answered }) => answered ?? []), ...live];
  const silent = answers.filter(({ durable }) => durable === null).length;
  return silent === 0 ? [] : [`${silent} answers did not say Inboxbell-Durable`];
}

function lostRegistrations(evidence: Evidence): string[] {
  const deleted = new Set(evidence.deletions.map(({ id }) => id));
  const promised = new Map<string, { revision: number; generation: number }>();
  for (const put of evidence.puts) {
    if (!isPromised(put, evidence) || deleted.has(put.id)) continue;
    const before = promised.get(put.id) ?? { revision: 0, generation: 0 };
    promised.set(put.id, {
      revision: Math.max(before.revision, put.revision),
      generation: put.fresh ? Math.max(before.generation, put.revision) : before.generation,
    });
  }
  return NODES.flatMap((node) => {
    const { registrations, folders } = evidence.stores[node];
    const stored = new Map(registrations.map((row) => [row.id, row]));
    const generations = new Map(folders.map((row) => [row.id, row.generation]));
    return [...promised].flatMap(([id, { revision, generation }]) => {
      const row = stored.get(id);
      if (row === undefined) return [`registration ${id} is lost on ${node}`];
      if (row.deleted) return [`registration ${id} is deleted on ${node}, and nobody asked for it`];
      if (row.revision < revision) {
        return [`registration ${id} is at revision ${row.revision} on ${node}, ${revision} was acknowledged`];
      }
      const kept = generations.get(id) ?? 0;
      return kept < generation
        ? [`registration ${id} is at generation ${kept} on ${node}, ${generation} was acknowledged`]
        : [];
    });
  });
}

function lostDeletions(evidence: Evidence): string[] {
  const promised = evidence.deletions.filter(
    ({ answered }) => answered !== null && isPromised(answered, evidence),
  );
  const returned = NODES.flatMap((node) => {
    const living = new Set(
      evidence.stores[node].registrations.filter((row) => !row.deleted).map((row) => row.id),
    );
    return promised.flatMap(({ id }) =>
      living.has(id) ? [`deleted registration ${id} has returned on ${node}`] : [],
    );
  });
  const revived = evidence.revivals
    .filter(({ atMs }) => evidence.calm.some((spell) => within(atMs, spell)))
    .filter(({ id }) => promised.some((deletion) => deletion.id === id))
    .map(({ id }) => `a PUT on deleted registration ${id} was accepted`);
  return [...returned, ...revived];
}

function unlikeStores({ stores }: Evidence): string[] {
  const [one, two] = NODES;
  const onlyIn = (here: readonly string[], there: readonly string[], node: string) => {
    const others = new Set(there);
    const left = here.filter((row) => !others.has(row));
    return left.length === 0 ? [] : [`${left.length} rows are on ${node} only, such as ${left[0]}`];
  };
  return [
    ...onlyIn(stores[one].rows, stores[two].rows, one),
    ...onlyIn(stores[two].rows, stores[one].rows, two),
    ...NODES.flatMap((node) => stores[node].due.map((id) => `${node} still owes a ring to ${id}`)),
  ];
}

function wrongUnsubscribes({ ends, subscriptions, deletions }: Evidence): string[] {
  const byId = new Map(subscriptions.map((each) => [each.subscriptionId, each]));
  return ends.flatMap(({ subscriptionId, atMs, why }) => {
    const own = byId.get(subscriptionId);
    if (why !== "unsubscribed" || own === undefined) return [];
    const isRight = mayEnd(own, atMs, { deletions, subscriptions });
    return isRight ? [] : [`the live subscription of ${own.id} was unsubscribed`];
  });
}

/** Whether a subscription may have ended by then: its registration was deleted, or a newer one was made. */
function mayEnd(
  { id, generation }: Subscription,
  atMs: number,
  { deletions, subscriptions }: Pick<Evidence, "deletions" | "subscriptions">,
): boolean {
  return (
    deletions.some((each) => each.id === id && each.sentAtMs < atMs) ||
    subscriptions.some((each) => each.id === id && each.generation > generation && each.madeAtMs < atMs)
  );
}

/** The last badge of each phone is at least as new as the newest notification that was answered OK for it. */
export function lostBadges(
  evidence: Pick<
    Evidence,
    "deletions" | "subscriptions" | "notified" | "pushes" | "diskLosses" | "quietFromMs"
  >,
): string[] {
  const deleted = new Set(evidence.deletions.map(({ id }) => id));
  const subscriptions = new Map(evidence.subscriptions.map((each) => [each.subscriptionId, each]));
  const newest = new Map<string, Subscription>();
  for (const each of evidence.subscriptions) {
    if ((newest.get(each.id)?.generation ?? 0) < each.generation) newest.set(each.id, each);
  }
  // Every count that is known of a registration's mailbox, by the event's time.
  const history = new Map<string, Notified[]>();
  for (const each of evidence.notified) {
    if (each.atMs > evidence.quietFromMs) continue;
    const id = subscriptions.get(each.subscriptionId)?.id;
    if (id !== undefined) history.set(id, [...(history.get(id) ?? []), each]);
  }
  const badges = lastBadges(evidence.pushes.filter(({ atMs }) => atMs <= evidence.quietFromMs));
  return [...newest.values()].flatMap(({ id, subscriptionId }) => {
    if (deleted.has(id)) return [];
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

function lastBadges(pushes: readonly PushSeen[]): ReadonlyMap<string, number> {
  const badges = new Map<string, number>();
  for (const { id, badge } of pushes) if (badge !== null) badges.set(id, badge);
  return badges;
}

function ringsAfterDeletion(evidence: Evidence): string[] {
  const gone = new Set(
    evidence.deletions
      .filter(({ answered }) => answered !== null && isPromised(answered, evidence))
      .map(({ id }) => id),
  );
  const late = evidence.pushes.filter(({ id, atMs }) => gone.has(id) && atMs > evidence.quietFromMs);
  return [...new Set(late.map(({ id }) => `deleted registration ${id} was rung after all had healed`))];
}

/** Only the active node rings. */
function ringsOfPassive({ pushes, roles }: Evidence): string[] {
  const passive = roles.filter(({ role }) => role === "passive");
  const wrong = pushes.filter(({ node, atMs }) =>
    passive.some((spell) => spell.node === node && atMs > spell.fromMs + LAST_RINGS_MS && atMs < spell.toMs),
  );
  return NODES.flatMap((node) => {
    const own = wrong.filter((push) => push.node === node);
    return own.length === 0 ? [] : [`${node} rang ${own.length} times while it was passive`];
  });
}

function wrongRoles({ calm, roles }: Evidence): string[] {
  return calm.flatMap(({ fromMs, toMs }) => {
    const spell = { fromMs: fromMs + ROLES_SETTLE_MS, toMs };
    const [ones, twos] = NODES.map((node) =>
      roles
        .filter((each) => each.node === node && each.role === "active")
        .flatMap((each) => overlap(each, spell)),
    ) as [Spell[], Spell[]];
    const both = total(ones.flatMap((one) => twos.flatMap((two) => overlap(one, two))));
    const none = longestGap([...ones, ...twos], spell);
    return [
      ...(both > SHORT_MS ? [`both nodes were active for ${Math.round(both)} ms in calm`] : []),
      ...(none > SHORT_MS ? [`no node was active for ${Math.round(none)} ms in calm`] : []),
    ];
  });
}

function overlap(one: Spell | RoleSpell, two: Spell): Spell[] {
  const fromMs = Math.max(one.fromMs, two.fromMs);
  const toMs = Math.min(one.toMs, two.toMs);
  return toMs > fromMs ? [{ fromMs, toMs }] : [];
}

function total(spells: readonly Spell[]): number {
  return spells.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
}

/** The longest time within a spell that nothing of `covered` covers. */
export function longestGap(covered: readonly Spell[], { fromMs, toMs }: Spell): number {
  let longest = 0;
  let at = fromMs;
  for (const spell of [...covered].sort((one, two) => one.fromMs - two.fromMs)) {
    longest = Math.max(longest, spell.fromMs - at);
    at = Math.max(at, spell.toMs);
  }
  return Math.max(longest, toMs - at);
}

function failedBySwitch({ switches, failures }: Evidence): string[] {
  const failed = failures.filter(({ atMs }) => switches.some((spell) => within(atMs, spell, SWITCH_TAIL_MS)));
  return failed.length === 0
    ? []
    : [`${failed.length} requests failed while roles were switched by hand, such as: ${failed[0]?.what}`];
}

/**
 * Rings of mail with the badge that the phone showed already, more of them than notifications that asked for it: a phone
 * that subscribes anew has two subscriptions for a while, and each tells of the same mail.
 */
function doubledRings({ pushes, notified, subscriptions }: Evidence): readonly PushSeen[] {
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
    return rings > asked.length;
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
    : [`${doubled.length} rings were doubled while roles were switched by hand`];
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
