// The role of a node: a pure function from what it knows and what happens to what it is. It never reads a clock, a disk
// or a socket. The rules are in role-rules.ts; the owner of the state does what the outputs say, in their order.
import {
  type Draft,
  doubt,
  endHandover,
  endWant,
  pursueHandover,
  pursueWant,
  takeWish,
} from "./role-handover.ts";
import {
  alarmsOf,
  beatOf,
  COMMIT_PATIENCE_MS,
  contender,
  freezeAfterMs,
  isAlone,
  isReady,
  outranks,
  presentPeer,
  saysTheSame,
  takeoverReason,
} from "./role-rules.ts";
import type {
  ActiveReason,
  Beat,
  Doubt,
  PassiveReason,
  RoleInput,
  RoleOutput,
  RoleState,
  RoleStep,
  StartFacts,
} from "./types.ts";

/**
 * The state of a node that starts. Without a peer it is active at once; with one it is passive until it has heard the
 * peer or waited `takeover_after`.
 * @param now as in `step`
 */
export function start(facts: StartFacts, now: number): RoleStep {
  const why = facts.paired ? "started" : "single";
  const role = facts.paired ? "passive" : "active";
  const state: RoleState = {
    name: facts.name,
    feed: facts.feed,
    paired: facts.paired,
    takeoverAfterMs: facts.takeoverAfterMs,
    commitPatienceMs: facts.commitPatienceMs ?? COMMIT_PATIENCE_MS,
    now,
    role,
    why,
    since: now,
    epoch: facts.epoch,
    lastTakeover: null,
    writing: null,
    handover: null,
    handoverNotBefore: now,
    wantsSince: null,
    seeding: facts.seeding,
    cannotCommitSince: null,
    link: "closed",
    wasLinked: false,
    refused: false,
    peer: null,
    heardAt: null,
    startedAt: now,
    leaderlessSince: null,
    doubt: null,
    mark: 1,
  };
  return { state, outputs: [{ kind: "role", role, why, epoch: facts.epoch }] };
}

/**
 * What a node becomes by what happened.
 * @param now milliseconds on a clock of this node that never goes back and goes on while the process, the machine or
 * its host sleeps as far as that can be had; another node's clock never matters
 */
export function step(state: RoleState, input: RoleInput, now: number): RoleStep {
  const draft: Draft = { ...state, now: Math.max(now, state.now) };
  const outputs: RoleOutput[] = [];
  noticeFreeze(draft, state, outputs);
  take(draft, input, outputs);
  if (draft.doubt !== null && isDoubtOver(draft, draft.doubt)) draft.doubt = null;
  if (draft.role === "active") beActive(draft, outputs);
  else bePassive(draft, outputs);
  // What could not be written is asked for again by the next input, not at once: a broken disk answers fast.
  if (input.kind !== "persisted" || input.ok) askForEpoch(draft, outputs);
  report(state, draft, input, outputs);
  return { state: draft, outputs };
}

/** A node that did not run for a while may have been replaced: it drops what it was about to do, and listens first. */
function noticeFreeze(draft: Draft, before: RoleState, outputs: RoleOutput[]): void {
  if (!draft.paired || draft.now - before.now < freezeAfterMs(before)) return;
  endWant(draft, "overtaken", outputs);
  endHandover(draft, "overtaken", outputs);
  doubt(draft, "frozen");
}

/** The peer was waited for; its word is noticed in `take`. */
function isDoubtOver(draft: Draft, { why, since }: Doubt): boolean {
  if (why === "took_back" && (draft.role === "passive" || isAlone(draft))) return true;
  return draft.now - since >= draft.takeoverAfterMs;
}

function take(draft: Draft, input: RoleInput, outputs: RoleOutput[]): void {
  switch (input.kind) {
    case "tick":
      return;
    case "opened":
      if (!draft.paired) return;
      draft.link = "open";
      draft.wasLinked = true;
      draft.refused = false;
      draft.peer = input.peer;
      hear(draft, input.peer.beat, outputs);
      return;
    case "heard":
      if (draft.link === "closed") return;
      // Only this shows that the words are younger than the mark: others may have lain in a buffer since before.
      if (input.beat?.heardMark === draft.mark) draft.doubt = null;
      hear(draft, input.beat, outputs);
      return;
    case "closed":
      draft.link = "closed";
      draft.refused ||= input.refused;
      return;
    case "health":
      draft.cannotCommitSince = input.cannotCommitSince;
      return;
    case "seeding":
      draft.seeding = input.seeding;
      return;
    case "persisted":
      takePersisted(draft, input.epoch, input.ok, outputs);
      return;
    case "drained":
      if (draft.handover?.since === input.since) draft.handover = { ...draft.handover, drained: true };
      return;
    case "wish":
      takeWish(draft, input.wish, outputs);
      return;
  }
}

/** The peer lives, and (unless null) says this. */
function hear(draft: Draft, beat: Beat | null, outputs: RoleOutput[]): void {
  draft.heardAt = draft.now;
  if (beat === null || draft.peer === null) return;
  // What could be active now could not before: it is waited for anew.
  if (beat.seeding !== draft.peer.beat.seeding) draft.leaderlessSince = null;
  draft.peer = { ...draft.peer, beat };
  if (beat.role === "passive") return;
  const last = draft.lastTakeover;
  const at = draft.now - beat.forMs;
  const isKnown = last?.epoch === beat.epoch && last.by === draft.peer.name;
  // After a partition the peer's may be from long before this node's own.
  if (!isKnown && (last === null || at > last.at)) {
    draft.lastTakeover = { by: draft.peer.name, epoch: beat.epoch, why: beat.why, at };
  }
  if (draft.role === "active" && outranks(contender(draft.peer), draft)) {
    const reseeds = draft.seeding === "reseeding" && beat.seeding !== "reseeding";
    const handedOver = draft.handover?.drained === true ? draft.handover.why : null;
    becomePassive(draft, handedOver ?? (reseeds ? "reseeding" : "peer_outranks"), outputs);
    endHandover(draft, "done", outputs);
  }
}

function takePersisted(draft: Draft, epoch: number, ok: boolean, outputs: RoleOutput[]): void {
  if (ok) draft.epoch = Math.max(draft.epoch, epoch);
  const { writing } = draft;
  if (writing?.epoch !== epoch) return;
  draft.writing = null;
  // Asked again, because between asking and now the peer may have been heard.
  if (ok && writing.become !== null && isReady(draft) && takeoverReason(draft) !== null) {
    becomeActive(draft, writing.become, outputs);
  }
}

function beActive(draft: Draft, outputs: RoleOutput[]): void {
  if (draft.paired && draft.seeding === "unseeded") {
    becomePassive(draft, "unseeded", outputs);
    endHandover(draft, "not_ready", outputs);
    return;
  }
  pursueHandover(draft, outputs);
}

function bePassive(draft: Draft, outputs: RoleOutput[]): void {
  const peer = presentPeer(draft);
  if (peer?.beat.role !== "passive") draft.leaderlessSince = null;
  else draft.leaderlessSince ??= draft.now;
  pursueWant(draft, outputs);
}

/** A passive node that should be active asks for a higher epoch; one that should not takes back what it asked for. */
function askForEpoch(draft: Draft, outputs: RoleOutput[]): void {
  if (draft.role === "active") return;
  const why = isReady(draft) ? takeoverReason(draft) : null;
  const peer = presentPeer(draft);
  const asked = draft.writing?.epoch ?? 0;
  const known = Math.max(draft.epoch, draft.peer?.beat.epoch ?? 0, asked);
  if (why === null) {
    if (draft.writing !== null) draft.writing = { ...draft.writing, become: null };
    // Remembered, so that this node's next epoch is above it even after the peer is gone for good.
    if (peer?.beat.role === "active" && known > draft.epoch && draft.writing === null) {
      write(draft, known, null, outputs);
    }
  } else if (draft.writing === null || draft.writing.become === null) {
    write(draft, known + 1, why, outputs);
  }
}

/** Asks for an epoch to be made durable; what it is for waits for `persisted`. */
function write(draft: Draft, epoch: number, become: ActiveReason | null, outputs: RoleOutput[]): void {
  draft.writing = { epoch, become };
  outputs.push({ kind: "persist", epoch });
}

function becomeActive(draft: Draft, why: ActiveReason, outputs: RoleOutput[]): void {
  draft.role = "active";
  draft.why = why;
  draft.since = draft.now;
  draft.leaderlessSince = null;
  draft.lastTakeover = { by: draft.name, epoch: draft.epoch, why, at: draft.now };
  outputs.push({ kind: "role", role: "active", why, epoch: draft.epoch });
  endWant(draft, "done", outputs);
}

function becomePassive(draft: Draft, why: PassiveReason, outputs: RoleOutput[]): void {
  draft.role = "passive";
  draft.why = why;
  draft.since = draft.now;
  outputs.push({ kind: "role", role: "passive", why, epoch: draft.epoch });
}

/** Alarms that began or ended, and a beat with each tick and whenever there is something new to say. */
function report(before: RoleState, after: RoleState, input: RoleInput, outputs: RoleOutput[]): void {
  const was = alarmsOf(before);
  const is = alarmsOf(after);
  for (const alarm of is) if (!was.includes(alarm)) outputs.push({ kind: "alarm", alarm, on: true });
  for (const alarm of was) if (!is.includes(alarm)) outputs.push({ kind: "alarm", alarm, on: false });
  if (after.link === "closed") return;
  const isDue = input.kind === "tick" || input.kind === "opened";
  if (isDue || !saysTheSame(beatOf(before), beatOf(after))) outputs.push({ kind: "beat" });
}
