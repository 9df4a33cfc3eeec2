// What must hold of two nodes' roles at every moment, and how long what may not last has lasted. Told from outside, by
// what the nodes do and by what really happened to them, never by what they believe.
import type { Beat, RoleReason, RoleState, Standing } from "../../src/pair/types.ts";
import {
  ANSWERED,
  CAP,
  clock,
  type Index,
  NAMES,
  other,
  SETTLED,
  SLOW_WAY,
  SLOW_WRITE,
  TAKEOVER,
  TICK_MS,
  WAY,
  type World,
} from "./role-scene.ts";
import type { Moment } from "./role-world.ts";

/** Of two active nodes, whether the one of index `at` is to become passive. */
function shouldYield(at: Index, mine: Pick<Beat, "epoch" | "seeding">, theirs: typeof mine): boolean {
  const iReseed = mine.seeding === "reseeding";
  if (iReseed !== (theirs.seeding === "reseeding")) return iReseed;
  return theirs.epoch > mine.epoch || (theirs.epoch === mine.epoch && NAMES[other(at)] > NAMES[at]);
}

/** A node has just become passive because another active one goes before it. */
export function stepsDown(moment: Moment, at: Index, state: RoleState): void {
  const beat = state.peer?.beat;
  if (beat === undefined || !shouldYield(at, state, beat)) moment.blame("the wrong one stepped down");
}

/** A node has just become active. */
export function takesOver(moment: Moment, at: Index, epoch: number, why: RoleReason): void {
  const node = moment.nodes[at];
  const them = moment.nodes[other(at)];
  if (epoch > node.stored) moment.blame("acts on an epoch that is not durable");
  if (epoch <= node.known) moment.blame("an epoch is not above what this node has known for long");
  if (node.wokeAt !== null && moment.t - node.wokeAt < TAKEOVER) {
    moment.blame("takes over after a freeze without word of its peer");
  }
  if (epoch <= node.lastReign) moment.blame("one node was active twice with one epoch");
  moment.change(at, { lastReign: epoch });
  const isRunning = them.state !== null && moment.t - them.bornAt > SLOW_WRITE + 1;
  if (why === "peer_gone" && isRunning && node.unheard < TAKEOVER)
    moment.blame("takes a living process for gone");
  if (moment.before.healthy < TAKEOVER + SLOW_WAY) return;
  if (them.state === null) return;
  // Two may become active at once, neither having heard of the other's: that is over when they have.
  const isKnown = clock(other(at), moment.t) - them.state.since > SLOW_WAY * TICK_MS;
  if (them.state.role === "active" && isKnown) {
    if (epoch <= them.state.epoch) moment.blame("an epoch did not grow from one node to the other");
    if (them.yieldedAgo > 2 * SLOW_WAY + SLOW_WRITE) moment.blame("took over from a living active node");
  }
}

function standing(moment: Moment, at: Index): Standing | null {
  const { state } = moment.nodes[at];
  return state === null || moment.nodes[at].frozenAt !== null ? null : moment.code.standingOf(state);
}

/** The world at the end of a step; what must hold is checked, and what may not last is counted. */
export function judge(moment: Moment, event: string | null): World {
  const { before, code, deadline, seeding, t, ends, queues, cut, way } = moment;
  const isFault = event !== null && !/^(away|here|slow|swift|disk)/.test(event);
  const isLinked = moment.hears(0) && moment.hears(1);
  const cap = (steps: number): number => Math.min(steps, CAP);
  const quiet = event === null ? cap(before.quiet + 1) : 0;
  const healthy = isLinked && !isFault ? cap(before.healthy + 1) : 0;
  const slowAgo = way === SLOW_WAY ? 0 : cap(before.slowAgo + 1);

  const [one, two] = [standing(moment, 0), standing(moment, 1)];
  const areBoth = one?.role === "active" && two?.role === "active";
  const both = areBoth && loserHears(moment) ? (isSeededNow(moment) ? 1 : before.both + 1) : 0;
  if (both > (slowAgo <= SLOW_WAY ? SLOW_WAY : WAY)) moment.blame("two active nodes know each other");
  const hasPrimary = one?.primary === true || two?.primary === true;
  const none =
    !hasPrimary && (canLead(moment, 0) || canLead(moment, 1)) ? Math.min(before.none + 1, quiet) : 0;
  if (none > SETTLED) moment.blame("no active node");
  if (healthy > TAKEOVER + SLOW_WAY) {
    const wasActive = before.nodes.some(
      ({ state, frozenAt }) => state?.role === "active" && frozenAt === null,
    );
    if (wasActive && one?.role !== "active" && two?.role !== "active")
      moment.blame("a moment without an active node");
    // Two that are elected at once, there having been none, know of each other a message's way later.
    const isElection = one?.why === "elected" && two?.why === "elected";
    if (one?.rings && two?.rings && !isElection) moment.blame("both ring");
  }

  for (const at of [0, 1] as const) {
    const is = at === 0 ? one : two;
    const { state } = moment.nodes[at];
    if (is !== null && state !== null)
      judgeNode(moment, at, is, state, code.beatOf(state), { quiet, healthy });
    const { wokeAt } = moment.nodes[at];
    if (wokeAt !== null && t - wokeAt >= TAKEOVER) moment.change(at, { wokeAt: null });
  }
  const { nodes, wrong } = moment;
  return { t, nodes, ends, queues, cut, way, deadline, seeding, quiet, healthy, slowAgo, both, none, wrong };
}

/** Of two active nodes, the one that is to become passive is reached by the other's words. */
function loserHears(moment: Moment): boolean {
  const [one, two] = [moment.nodes[0].state, moment.nodes[1].state];
  return one !== null && two !== null && moment.hears(shouldYield(0, one, two) ? 0 : 1);
}

/** A node's rows have just become complete, or not: another one may be to become passive, and has yet to hear it. */
function isSeededNow(moment: Moment): boolean {
  return moment.nodes.some(({ state }, at) => state?.seeding !== moment.before.nodes[at]?.state?.seeding);
}

function canLead(moment: Moment, at: Index): boolean {
  const { state, disk } = moment.nodes[at];
  return moment.isAwake(at) && disk !== "bad" && state?.seeding !== "unseeded";
}

/** Steps since the last event, and since the last fault of network or process. */
interface Calm {
  readonly quiet: number;
  readonly healthy: number;
}

function judgeNode(moment: Moment, at: Index, is: Standing, state: RoleState, says: Beat, calm: Calm): void {
  const node = moment.nodes[at];
  const was = moment.before.nodes[at].state;
  if (is.serving && node.wokeAt !== null && moment.t - node.wokeAt < TAKEOVER) {
    moment.blame("answers after a freeze without word of its peer");
  }
  if (is.rings && !is.primary) moment.blame("rings while it is not active, or may not answer");
  if (state.seeding === "unseeded" && (is.serving || is.role === "active"))
    moment.blame("serves without rows");
  const isCalm = calm.quiet > 2 * SETTLED && node.seededIn === 0;
  if (isCalm && was !== null && was.role !== is.role) moment.blame("a role changed without a cause");
  if (is.alone && calm.healthy > SLOW_WAY + 1) moment.blame("alone beside a living peer");
  if (!is.alone && node.unheard > TAKEOVER + 1) moment.blame("does not notice that it is alone");
  const isToldEarly = says.yielding !== null && says.yielding !== "cannot_commit" && node.drains.length > 0;
  if (isToldEarly) moment.blame("yields while it rings");
  moment.change(at, { yieldedAgo: says.yielding !== null ? 0 : Math.min(node.yieldedAgo + 1, 3 * SLOW_WAY) });

  const peer = moment.nodes[other(at)].state;
  if (peer?.role === "active" && node.disk === "good") {
    const heardFor = (clock(other(at), moment.t) - peer.since) / TICK_MS;
    if (Math.min(heardFor, calm.healthy, calm.quiet) > 2 * SLOW_WAY) moment.change(at, { known: peer.epoch });
  }
  judgeActive(moment, at, is, calm.healthy);
  judgeWishes(moment, at);
}

/** An active node that should hand over to a peer that can take over does so. */
function judgeActive(moment: Moment, at: Index, is: Standing, healthy: number): void {
  const node = moment.nodes[at];
  const them = moment.nodes[other(at)];
  const peerCan = them.disk === "good" && them.state?.seeding === "seeded" && healthy > 0;
  const cannot = node.disk === "bad";
  const owesYield = node.owesYield && is.role === "active" && them.state?.role !== "active";
  if (is.role === "active" || them.state?.role === "active") moment.change(at, { owesYield });
  const should = is.role === "active" && peerCan && (cannot || owesYield);
  const kept = should ? node.kept + 1 : 0;
  moment.change(at, { kept });
  // A step for its rings, and at most four messages: ready, yielding, active, and one that was on its way.
  if (kept <= 4 * SLOW_WAY + SLOW_WRITE + 2) return;
  moment.blame(cannot ? "stays active although it cannot commit" : "stays active with incomplete rows");
}

function judgeWishes(moment: Moment, at: Index): void {
  const wishes = moment.nodes[at].wishes.map(({ wish, age }) => ({ wish, age: age + 1 }));
  if (wishes.some(({ age }) => age > ANSWERED)) moment.blame("a wish is not answered");
  moment.change(at, { wishes });
}
