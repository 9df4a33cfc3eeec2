// Holds a run's evidence against the promise: what was answered `pair` survives whatever happens to one node, what was
// answered `node` survives as long as that node's disk does. Pure.
import { type Evidence, NODES, type NodeName, type Revival, type StoreDump } from "./evidence.ts";
import { type Acknowledged, isPromised, mayEnd, promisedDeletions } from "./promises.ts";
import {
  doubledBySwitch,
  doubledRings,
  insistentRings,
  lostBadges,
  lostMeetings,
  ringsAfterDeletion,
  ringsAfterRemoval,
  SWITCH_TAIL_MS,
} from "./ring-checks.ts";
import { judgedBounds, ringsOfPassive, wordsAfterFreeze, wrongRoles } from "./role-checks.ts";
import { atSecond, within } from "./spells.ts";

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

function failedBySwitch({ switches, failures }: Evidence): string[] {
  const failed = failures.filter(({ atMs }) => switches.some((spell) => within(atMs, spell, SWITCH_TAIL_MS)));
  return failed.length === 0
    ? []
    : [`${failed.length} requests failed while roles were switched by hand, such as: ${failed[0]?.what}`];
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
