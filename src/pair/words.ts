// What is said of roles, alarms and wishes: sentences for the log and for people at a terminal.
import type { PairAlarm } from "./status.ts";
import type { Role, Standing, Wish, WishResult } from "./types.ts";

export const ROLE_LINES: Readonly<Record<Role, string>> = {
  active: "This node is active: it rings the phones.",
  passive: "This node is passive: it answers and stores, and rings nobody.",
};

interface AlarmLines {
  readonly begins: string;
  readonly ends: string;
}

export const ALARM_LINES: Readonly<Record<PairAlarm, AlarmLines>> = {
  alone: {
    begins: "The other node counts as gone: this one goes on alone, and no subscription is ended meanwhile.",
    ends: "The other node is back.",
  },
  cannot_commit: {
    begins:
      "This node has not been able to write its database for a while: it hands over to a node that can.",
    ends: "This node can write its database again.",
  },
  no_active: {
    begins: "No node is active, and this one cannot be.",
    ends: "There is an active node again, or this one can be.",
  },
  two_active: {
    begins: "Both nodes are active after a time apart: one of them hands over.",
    ends: "One node is active.",
  },
  same_name: {
    begins: "Both nodes have the same name: give one of them another.",
    ends: "The two nodes have different names.",
  },
  frozen: {
    begins:
      "This node was not running for a while: it answers and rings nothing until it knows about the other one.",
    ends: "This node knows about the other one and goes on.",
  },
  clock_skew: {
    begins: "The clocks of the two nodes are apart. Let both follow one time server.",
    ends: "The clocks of the two nodes agree.",
  },
  epoch_unwritable: {
    begins: "The file with this node's standing in the pair cannot be written: it cannot become active.",
    ends: "The file with this node's standing in the pair can be written.",
  },
};

/** What to tell somebody who asked for something. */
export function wishSentence(wish: Wish, result: WishResult): string {
  switch (result) {
    case "done":
      return DONE[wish];
    case "already":
      return wish === "switch_here"
        ? "This node is the active one already."
        : "The other node is the active one already.";
    case "no_peer":
      return "This node has no other node.";
    case "peer_silent":
      return "The other node cannot be reached.";
    case "not_ready":
      return "The node that is to be active has no rows yet, cannot write its database, or has just woken up.";
    case "no_active":
      return "No node is active at the moment.";
    case "not_taken":
      return "It did not happen in time; nothing has changed.";
    case "overtaken":
      return "Something else changed the roles meanwhile; look at the status.";
  }
}

const DONE: Readonly<Record<Wish, string>> = {
  switch_here: "This node is the active one now.",
  switch_away: "The other node is the active one now.",
  forget: "This is a single node now. Remove `pair` from its configuration.",
  first: "This node's database is the first of the pair.",
};

/** Why a node answers 503, or that it does not. */
export function servingSentence({ serving, role, alarms }: Standing, isUnseeded: boolean): string {
  if (serving) return `${role}`;
  if (isUnseeded) {
    return "its database is empty and waits for the other node's rows; `inboxbell pair status` tells more";
  }
  return alarms.includes("frozen")
    ? "it was not running for a while and waits for word of the other node"
    : "it starts";
}
