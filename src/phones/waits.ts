// Why a ring that is owed does not go out at this moment, what ends the wait, and what can be done. Pure.
import { answerWords, providerName } from "../delivery/answer-words.ts";
import { stallHint } from "../delivery/hints.ts";
import type { PhoneFacts } from "./facts.ts";
import { page } from "./pages.ts";
import { at, span } from "./times.ts";

export interface Wait {
  /** A clause that goes on after "waits:". */
  readonly because: string;
  readonly next: string;
  readonly todo: readonly string[];
}

// A ring that is due goes out within moments; after this time something is worth looking at. Milliseconds.
const MOMENT_MS = 10_000;

/** Null where nothing is owed, or the phone cannot be rung at all, which is another story. */
export function waits({ owed, phone, node, now, lastRing, badge }: PhoneFacts): Wait | null {
  if (owed === null || phone === null || phone.dead !== "no" || owed.due === null) return null;
  const { due, next } = owed;
  const name = providerName(phone.platform);
  if (node === null) {
    return {
      because: "no node is running",
      next: "It goes out when the service runs.",
      todo: ["Start the service: systemctl start inboxbell."],
    };
  }
  if (node.role === "passive") {
    return {
      because: "this node is the passive one of its pair, and only the active one rings",
      next: "The active node rings it, or this one once it has taken over.",
      todo: ["Ask `inboxbell why` on the other node, too."],
    };
  }
  if (node.ringing) {
    return {
      because: "it is on its way at this moment",
      next: `${name}'s answer comes within seconds.`,
      todo: [],
    };
  }
  if (node.pause !== null) {
    return {
      because: `all of ${phone.app} on ${phone.platform} is paused since ${at(node.pause.since)} (${node.pause.reason})`,
      next: "It stays owed. Single rings probe whether the pause can end; then everything that is owed goes out by itself, the newest unread count included.",
      todo: [node.pause.hint, "After a repair `inboxbell reload` probes at once."],
    };
  }
  if (node.stalled) {
    return {
      because: `rings are due and ${name} accepts none, although nothing says why`,
      next: "It stays owed, and the connections are made anew until a ring gets through.",
      todo: [stallHint(phone.platform)],
    };
  }
  const waitMs = due.notBefore - now;
  if (waitMs <= 0) {
    const isSlow = now - due.since > MOMENT_MS && due.attempt === 0 && -waitMs > MOMENT_MS;
    return {
      because: isSlow ? "it is due, and others are due before it" : "it is due now",
      next: "It goes out within moments.",
      todo: isSlow ? ["`inboxbell status` tells how many rings are owed, and since when."] : [],
    };
  }
  const until = `It goes out at ${at(due.notBefore)}, in ${span(waitMs)}; newer news joins it`;
  if (due.heldUntil > now) {
    const word = node.refused === null ? "" : `: ${answerWords(phone.platform, node.refused.outcome)}`;
    return {
      because: `the last try did not get through${word}`,
      next: `${until} and does not cut that wait short.`,
      todo: [],
    };
  }
  if (lastRing?.outcome === "unknown" && badge?.isOwed === true) {
    return {
      because:
        "the database was restored from a backup, and every phone is rung once more, one after the other",
      next: `${until}.`,
      todo: [],
    };
  }
  if (next?.reason === "changed" && now - due.since < waitMs + MOMENT_MS && waitMs < MOMENT_MS) {
    return {
      because: "more changes made elsewhere may follow, which are told together (ringing.merge_changes)",
      next: `${until}.`,
      todo: [],
    };
  }
  return {
    because:
      "the phone was rung so often that its allowance is used up, since Apple and Google slow apps that ring too much",
    next: `${until}.`,
    todo: [
      `Nothing has to be done. A mailbox that changes all the time, such as by a mail loop, causes it. More: ${page("delivery.md")}.`,
    ],
  };
}
