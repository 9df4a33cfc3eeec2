// What follows from a role state: who goes first, whether the peer is there, when to take over, when to hand over, and
// what to say. Each a function of the state alone; role.ts applies them.
import type {
  ActiveReason,
  Beat,
  HandoverReason,
  Peer,
  RoleAlarm,
  RoleState,
  Seeding,
  Standing,
} from "./types.ts";

/** The longest time between two inputs of a running node, milliseconds: a beat goes out with each tick. */
export const TICK_EVERY_MS = 250;

/** After so long without a commit an active node hands over. Milliseconds; longer than a disk's usual stall. */
export const COMMIT_PATIENCE_MS = 5000;

/**
 * So long a hand-over waits for rings that are on their way. Milliseconds; a provider answers within a fraction of it,
 * and a ring that it cuts off is at worst repeated by the other node.
 */
export const DRAIN_PATIENCE_MS = 2000;

// A hand-over that was not taken is not begun again by itself for so many times `takeover_after`: each try stops rings.
const HANDOVER_PAUSE_FACTOR = 10;

interface Contender {
  readonly epoch: number;
  readonly name: string;
  readonly feed: string;
  readonly seeding: Seeding;
}

/** Of two nodes, whether `one` goes before `other`: not reseeding, then higher epoch, then name, then feed. */
export function outranks(one: Contender, other: Contender): boolean {
  const reseeds = one.seeding === "reseeding";
  if (reseeds !== (other.seeding === "reseeding")) return !reseeds;
  if (one.epoch !== other.epoch) return one.epoch > other.epoch;
  if (one.name !== other.name) return one.name > other.name;
  return one.feed > other.feed;
}

/** The peer as `outranks` takes it. */
export function contender(peer: Peer): Contender {
  return { epoch: peer.beat.epoch, name: peer.name, feed: peer.feed, seeding: peer.beat.seeding };
}

/** After so long without an input the peer may have taken over: its silence began with this node's last beat. */
export function freezeAfterMs(state: RoleState): number {
  return Math.max(state.takeoverAfterMs - TICK_EVERY_MS, 2 * TICK_EVERY_MS);
}

/** The peer has been silent for `takeover_after`, or as long as this node runs if it was never heard. */
function isSilent(state: RoleState): boolean {
  return state.now - (state.heardAt ?? state.startedAt) >= state.takeoverAfterMs;
}

/** The peer, while the link is open and it was heard lately. */
export function presentPeer(state: RoleState): Peer | null {
  if (!state.paired || state.link === "closed" || isSilent(state)) return null;
  return state.peer;
}

/** Woke from a freeze, and has neither heard its peer nor waited long enough. */
export function isFrozen(state: RoleState): boolean {
  return state.doubt?.why === "frozen";
}

/** The peer counts as gone. */
export function isAlone(state: RoleState): boolean {
  if (!state.paired || isFrozen(state)) return false;
  return isSilent(state) || (state.link === "closed" && state.refused);
}

/** Could be active: it has rows to rely on, can commit, and has not just woken. */
export function isReady(state: RoleState): boolean {
  if (!state.paired) return true;
  return state.seeding !== "unseeded" && state.cannotCommitSince === null && !isFrozen(state);
}

/** Why a passive node should become active now; null if it should not. Whether it can is another question. */
export function takeoverReason(state: RoleState): ActiveReason | null {
  if (!state.paired) return "forgotten";
  if (isFrozen(state)) return null;
  const peer = presentPeer(state);
  if (peer !== null) {
    if (peer.beat.role === "active") return peer.beat.yielding;
    return !peer.beat.ready || hasWaited(state) || outranks(state, contender(peer)) ? "elected" : null;
  }
  // At the start a refusal only says that the peer is not up yet, as when both hosts boot: that is waited for.
  if (state.link === "closed" && state.refused && state.wasLinked) return "peer_gone";
  if (!isSilent(state)) return null;
  return state.heardAt === null ? "peer_absent" : "peer_silent";
}

/** Both have been seen to be passive for so long that who goes first no longer matters. */
function hasWaited(state: RoleState): boolean {
  return state.now - (state.leaderlessSince ?? state.now) >= state.takeoverAfterMs;
}

/** Whether the peer could be the active node instead of this one. */
function couldLead({ beat }: Peer): boolean {
  return beat.ready && beat.seeding === "seeded";
}

/**
 * Whether a node that has merged every row of its peer may count as seeded: not while the peer could be active and is
 * not. So the one that is said to be the first is the first to be active, and one that was restored has yielded.
 */
export function mayBeSeeded(state: RoleState): boolean {
  const peer = presentPeer(state);
  if (peer === null || peer.beat.seeding === "unseeded") return false;
  if (peer.beat.role === "active" || !couldLead(peer)) return true;
  // Offered it, and the peer did not take it.
  if (state.role === "active") return state.now < state.handoverNotBefore;
  return hasWaited(state);
}

/** Whether an active node could hand over to its peer now. */
export function canBeTaken(state: RoleState): boolean {
  const peer = presentPeer(state);
  return state.doubt === null && peer?.beat.role === "passive" && couldLead(peer);
}

/** For how long in total a hand-over is tried, milliseconds. */
export function handoverPatienceMs(state: RoleState): number {
  return DRAIN_PATIENCE_MS + state.takeoverAfterMs;
}

/** For how long after a hand-over that was not taken none begins by itself, milliseconds. */
export function handoverPauseMs(state: RoleState): number {
  return HANDOVER_PAUSE_FACTOR * state.takeoverAfterMs;
}

function isCommitHopeless(state: RoleState): boolean {
  return state.cannotCommitSince !== null && state.now - state.cannotCommitSince >= state.commitPatienceMs;
}

/** Why an active node should hand over now, without an administrator's wish at this node; null if it should not. */
export function handoverReason(state: RoleState): HandoverReason | null {
  if (!canBeTaken(state) || state.now < state.handoverNotBefore) return null;
  if (isCommitHopeless(state)) return "cannot_commit";
  if (state.seeding === "reseeding") return "reseeding";
  return state.peer?.beat.wants === true ? "switched" : null;
}

/** Whether the reason of a hand-over that has begun still stands. */
export function stillHolds(why: HandoverReason, state: RoleState): boolean {
  switch (why) {
    case "switched":
      return true;
    case "cannot_commit":
      return state.cannotCommitSince !== null;
    case "reseeding":
      return state.seeding === "reseeding";
  }
}

/** What this node says of itself now: in its hello and in a beat. */
export function beatOf(state: RoleState): Beat {
  return {
    epoch: state.epoch,
    role: state.role,
    why: state.why,
    forMs: state.now - state.since,
    seeding: state.seeding,
    ready: isReady(state),
    yielding: state.handover?.drained === true ? state.handover.why : null,
    wants: state.wantsSince !== null,
    mark: state.mark,
    heardMark: state.peer?.beat.mark ?? 0,
  };
}

/** Whether two beats say the same, but for time. */
export function saysTheSame(one: Beat, other: Beat): boolean {
  return (
    one.epoch === other.epoch &&
    one.role === other.role &&
    one.why === other.why &&
    one.seeding === other.seeding &&
    one.ready === other.ready &&
    one.yielding === other.yielding &&
    one.wants === other.wants &&
    one.mark === other.mark &&
    one.heardMark === other.heardMark
  );
}

/** What is wrong at the moment. */
export function alarmsOf(state: RoleState): readonly RoleAlarm[] {
  const peer = presentPeer(state);
  const alarms: RoleAlarm[] = [];
  if (isAlone(state)) alarms.push("alone");
  if (isCommitHopeless(state)) alarms.push("cannot_commit");
  if (state.role === "passive" && takeoverReason(state) !== null && !isReady(state)) alarms.push("no_active");
  const isTwo = state.role === "active" && peer?.beat.role === "active" && peer.beat.yielding === null;
  if (isTwo) alarms.push("two_active");
  if (peer?.name === state.name) alarms.push("same_name");
  if (isFrozen(state)) alarms.push("frozen");
  return alarms;
}

/** What the rest of the appliance may do at the moment. */
export function standingOf(state: RoleState): Standing {
  const serving = !state.paired || (state.seeding !== "unseeded" && !isFrozen(state));
  const isActive = state.role === "active";
  return {
    role: state.role,
    why: state.why,
    since: state.since,
    epoch: state.epoch,
    serving,
    primary: isActive && serving,
    rings: isActive && serving && state.handover === null && state.doubt === null,
    alone: isAlone(state),
    alarms: alarmsOf(state),
    lastTakeover: state.lastTakeover,
  };
}
