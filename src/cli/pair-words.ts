// What the fixed words of a pair mean, in words for people. Pure.
import type { PairAlarm } from "../pair/status.ts";
import type { RoleReason, Seeding } from "../pair/types.ts";

/** Why a node has its role: completes "active since …" and "passive since …". */
export function reasonText(why: RoleReason): string {
  switch (why) {
    case "single":
      return "it is a single node";
    case "forgotten":
      return "an administrator said that there is no other node any more";
    case "peer_gone":
      return "the other node's process was gone";
    case "peer_silent":
      return "the other node fell silent";
    case "peer_absent":
      return "the other node was not there when this one started";
    case "elected":
      return "neither was active, and one had to be";
    case "switched":
      return "an administrator switched";
    case "cannot_commit":
      return "the active node could not write its database";
    case "reseeding":
      return "the active node's database was restored or rolled back";
    case "started":
      return "it started and the other node was active";
    case "peer_outranks":
      return "both were active, and the other one stayed";
    case "unseeded":
      return "it has no rows yet";
    case "unknown":
      return "for a reason that only its newer version knows";
  }
}

/** How far a node's rows can be relied on. */
export function seedingText(seeding: Seeding): string {
  switch (seeding) {
    case "seeded":
      return "complete";
    case "unseeded":
      return "EMPTY: being filled by the other node";
    case "reseeding":
      return "restored or rolled back: being completed by the other node";
  }
}

/** What is wrong and what somebody can do about it. */
export function alarmText(alarm: PairAlarm): string {
  switch (alarm) {
    case "alone":
      return "The other node counts as gone: this one goes on alone, and withholds Unsubscribe.";
    case "cannot_commit":
      return "This node cannot write its database: look at its disk.";
    case "no_active":
      return "No node is active, so nothing is rung. If both databases are empty, run `inboxbell pair first` on one of them.";
    case "two_active":
      return "Both nodes are active; one of them hands over in a moment.";
    case "same_name":
      return "Both nodes have the same name: give one another `node` and join it again.";
    case "frozen":
      return "This node was stopped for a while (a suspended machine?) and waits for word of the other one.";
    case "clock_skew":
      return "The clocks of the two nodes differ by seconds: have both set by NTP.";
    case "epoch_unwritable":
      return "The role cannot be stored beside the database: look at the disk and at who owns the directory.";
  }
}
