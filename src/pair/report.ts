// Puts together what a node tells of its pair. Pure.
import { hostPortText } from "../config/host-port.ts";
import type { PairConfig } from "../config/types.ts";
import type { LinkState } from "./link.ts";
import type { ReplicatorStatus } from "./replicator.ts";
import { isReady } from "./role-rules.ts";
import type { PairAlarm, PairLink, PairMember, PairStatus } from "./status.ts";
import type { RoleState, Standing } from "./types.ts";

export interface ReportFacts {
  /** Null before the start. */
  readonly state: RoleState | null;
  readonly standing: Standing;
  readonly node: string;
  readonly config: PairConfig;
  /** Null without a link. */
  readonly link: LinkState | null;
  readonly skewMs: number | null;
  readonly roundTripMs: number | null;
  readonly replication: ReplicatorStatus;
  readonly certificateExpiresAt: number;
  readonly takeovers: number;
  /** Alarms besides those of the roles. */
  readonly further: readonly PairAlarm[];
  /** The time on the roles' clock, milliseconds, and epoch milliseconds. */
  readonly roleNow: number;
  readonly now: number;
}

export function pairStatus(facts: ReportFacts): PairStatus {
  const { state, standing, config, replication } = facts;
  const secondsSince = (at: number) => Math.max(0, facts.roleNow - at) / 1000;
  const isPaired = state?.paired ?? true;
  const last = standing.lastTakeover;
  const ago = last === null ? 0 : secondsSince(last.at);
  return {
    paired: isPaired,
    here: {
      name: facts.node,
      role: standing.role,
      why: standing.why,
      forSeconds: state === null ? 0 : secondsSince(standing.since),
      epoch: standing.epoch,
      seeding: state?.seeding ?? "unseeded",
      ready: state !== null && isReady(state),
      serving: standing.serving,
      rings: standing.rings,
    },
    peer: isPaired ? peerOf(facts) : null,
    peerAddress: isPaired ? hostPortText(config.peer) : null,
    link: isPaired ? linkOf(facts) : null,
    waiting: isPaired && replication.isWaiting,
    protected: isPaired && replication.isProtected,
    lagRows: isPaired ? replication.lagRows : 0,
    behindRows: isPaired ? replication.behindRows : null,
    clockSkewMs: facts.skewMs,
    roundTripMs: facts.roundTripMs,
    lastTakeover:
      last === null
        ? null
        : {
            by: last.by,
            epoch: last.epoch,
            why: last.why,
            secondsAgo: ago,
            at: new Date(facts.now - ago * 1000).toISOString(),
          },
    takeovers: facts.takeovers,
    alarms: [...standing.alarms, ...facts.further],
  };
}

function peerOf({ state, config, roleNow }: ReportFacts): PairStatus["peer"] {
  if (!state?.peer) return null;
  const { name, beat } = state.peer;
  const heardMs = state.heardAt === null ? null : Math.max(0, roleNow - state.heardAt);
  const member: PairMember = {
    name,
    role: beat.role,
    why: beat.why,
    // As of its last word.
    forSeconds: (beat.forMs + (heardMs ?? 0)) / 1000,
    epoch: beat.epoch,
    seeding: beat.seeding,
    ready: beat.ready,
  };
  return {
    ...member,
    address: hostPortText(config.peer),
    heardSecondsAgo: heardMs === null ? null : heardMs / 1000,
  };
}

function linkOf({ link, certificateExpiresAt }: ReportFacts): PairLink {
  if (link?.kind === "up") return { up: true, why: null, detail: null, certificateExpiresAt };
  return { up: false, why: link?.why ?? "starting", detail: link?.detail ?? null, certificateExpiresAt };
}
