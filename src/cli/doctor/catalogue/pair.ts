// What can be wrong with the clock, and between the two nodes of a pair.
import type { Finding } from "./finding.ts";

export const PAIR_FINDINGS = {
  clock_wrong: {
    hop: "clock",
    level: "failure",
    cause: "This machine's clock is wrong by minutes: Apple and Google refuse the credentials that it signs.",
    remedy:
      "Set it and keep it right: timedatectl set-ntp true, with an NTP server that this machine reaches.",
  },
  clock_off: {
    hop: "clock",
    level: "warning",
    cause: "This machine's clock is off by more than ten seconds.",
    remedy: "Look at its time synchronisation (timedatectl, chronyc tracking).",
  },
  pair_clocks_apart: {
    hop: "clock",
    level: "warning",
    cause: "The clocks of the two nodes differ by seconds or more.",
    remedy:
      "Have both set by NTP. Where Apple and Google find this machine's clock right, it is the other node's that is wrong.",
  },

  pair_self: {
    hop: "pair",
    level: "failure",
    cause: "The other node's address, `pair.peer`, leads back to this node.",
    remedy:
      "Write the other node's host and port into pair.peer. If its name is right, look at /etc/hosts and the DNS on this machine.",
  },
  pair_disconnected: {
    hop: "pair",
    level: "failure",
    cause: "The other node of the pair is not connected: this one works alone.",
    remedy: "Look at the other node; check the firewall for the pair's port in both directions.",
  },
  pair_unprotected: {
    hop: "pair",
    level: "warning",
    cause: "The other node does not hold everything yet that this one holds.",
    remedy: "Wait until it has caught up; look at the link if it does not.",
  },
  pair_alarm: {
    hop: "pair",
    level: "warning",
    cause: "The node itself reports something wrong with its pair.",
    remedy: "The sentence says what to do; `inboxbell pair status` shows both nodes.",
  },
} as const satisfies Record<string, Finding>;
