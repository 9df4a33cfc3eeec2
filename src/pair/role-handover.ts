// Handing over, between an active node and a passive one that both live. The active node stops ringing and lets its
// rings end, then says `yielding` in every beat; the passive one makes a higher epoch durable, becomes active and says
// so; having heard that, the old one becomes passive. There is an active node throughout, two for one message's way at
// most, and never two that ring. Nothing is a command: each beat repeats what holds, so what is lost is said again, and
// a hand-over that was given up is no longer said.
import {
  canBeTaken,
  DRAIN_PATIENCE_MS,
  handoverPatienceMs,
  handoverPauseMs,
  handoverReason,
  isReady,
  presentPeer,
  stillHolds,
} from "./role-rules.ts";
import type { Doubt, HandoverReason, RoleOutput, RoleState, Wish, WishResult } from "./types.ts";

/** A role state while it is being decided. */
export type Draft = { -readonly [Field in keyof RoleState]: RoleState[Field] };

/** From now on the peer's words count as news only if they were said with knowledge of this. */
export function doubt(draft: Draft, why: Doubt["why"]): void {
  draft.mark += 1;
  draft.doubt = { why, since: draft.now };
}

/** What an administrator asks for is begun, done, or answered with why not. */
export function takeWish(draft: Draft, wish: Wish, outputs: RoleOutput[]): void {
  const answer = (result: WishResult): void => {
    outputs.push({ kind: "answer", wish, result });
  };
  const peer = presentPeer(draft);
  switch (wish) {
    case "switch_here":
      // The answer to the first one is the answer to both.
      if (draft.wantsSince !== null) return;
      if (draft.role === "active") {
        // What was said to the peer may have been done already: it hands back what it gets.
        if (draft.handover?.drained === true) draft.wantsSince = draft.now;
        else {
          endHandover(draft, "overtaken", outputs);
          answer("already");
        }
      } else if (peer === null) answer("peer_silent");
      else if (!isReady(draft) || draft.seeding !== "seeded") answer("not_ready");
      else if (peer.beat.role === "passive") answer("no_active");
      else draft.wantsSince = draft.now;
      return;
    case "switch_away":
      if (draft.role === "passive") {
        endWant(draft, "overtaken", outputs);
        answer("already");
      } else if (draft.handover !== null) draft.handover = { ...draft.handover, wished: true };
      else if (!draft.paired) answer("no_peer");
      else if (peer === null) answer("peer_silent");
      else if (!canBeTaken(draft)) answer("not_ready");
      else beginHandover(draft, "switched", true, outputs);
      return;
    case "forget":
      endHandover(draft, "no_peer", outputs);
      endWant(draft, "no_peer", outputs);
      draft.paired = false;
      draft.doubt = null;
      draft.link = "closed";
      draft.peer = null;
      answer("done");
      return;
    case "first":
      if (draft.seeding === "unseeded") draft.seeding = "seeded";
      answer("done");
      return;
  }
}

/** An active node begins a hand-over that it owes, and ends one that has lost its reason, its taker or its time. */
export function pursueHandover(draft: Draft, outputs: RoleOutput[]): void {
  const { handover } = draft;
  if (handover === null) {
    const why = handoverReason(draft);
    if (why !== null) beginHandover(draft, why, false, outputs);
    return;
  }
  const triedMs = draft.now - handover.since;
  if (presentPeer(draft) === null) endHandover(draft, "peer_silent", outputs);
  else if (!canBeTaken(draft)) endHandover(draft, "not_ready", outputs);
  else if (!stillHolds(handover.why, draft)) endHandover(draft, "overtaken", outputs);
  else if (triedMs >= handoverPatienceMs(draft)) {
    endHandover(draft, "not_taken", outputs);
    draft.handoverNotBefore = draft.now + handoverPauseMs(draft);
  } else if (triedMs >= DRAIN_PATIENCE_MS && !handover.drained) {
    draft.handover = { ...handover, drained: true };
  }
}

/** A passive node that an administrator wants active waits for its peer to yield, as long as that makes sense. */
export function pursueWant(draft: Draft, outputs: RoleOutput[]): void {
  if (draft.wantsSince === null) return;
  const peer = presentPeer(draft);
  if (peer === null) endWant(draft, "peer_silent", outputs);
  else if (peer.beat.role === "passive") endWant(draft, "overtaken", outputs);
  // A whole try of the active node has its time, and the way to it.
  else if (draft.now - draft.wantsSince >= handoverPatienceMs(draft) + draft.takeoverAfterMs) {
    endWant(draft, "not_taken", outputs);
  }
}

function beginHandover(draft: Draft, why: HandoverReason, wished: boolean, outputs: RoleOutput[]): void {
  // What a node that cannot commit rings, it cannot settle: there is nothing to wait for.
  const drained = why === "cannot_commit";
  draft.handover = { why, since: draft.now, drained, wished };
  outputs.push({ kind: "drain", since: draft.now });
}

/** No longer hands over; an administrator who waits for it is told. */
export function endHandover(draft: Draft, result: WishResult, outputs: RoleOutput[]): void {
  if (draft.handover?.wished === true) outputs.push({ kind: "answer", wish: "switch_away", result });
  if (draft.handover?.drained === true && draft.role === "active") {
    doubt(draft, "took_back");
    endWant(draft, "done", outputs);
  }
  draft.handover = null;
}

/** No longer wants to be active; an administrator who waits for it is told. */
export function endWant(draft: Draft, result: WishResult, outputs: RoleOutput[]): void {
  if (draft.wantsSince !== null) outputs.push({ kind: "answer", wish: "switch_here", result });
  draft.wantsSince = null;
}
