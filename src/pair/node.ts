// This node as one of two: the role, the link, the replication of rows, and what is remembered of them, put together.
// What the rest of the appliance asks of the pair, it asks here.
import type { PairConfig } from "../config/types.ts";
import type { Logger } from "../ops/log.ts";
import type { Store } from "../store/types.ts";
import type { Connection } from "./connection.ts";
import type { LinkIdentity } from "./dial.ts";
import type { EpochFile } from "./epoch-file.ts";
import { createLink, type Link, type LinkUser } from "./link.ts";
import { createPairedStore } from "./paired-store.ts";
import { createReplicator } from "./replicator.ts";
import { pairStatus } from "./report.ts";
import { readBeat, readCovers, readPeer } from "./role-beat.ts";
import { createRoleClock } from "./role-clock.ts";
import { createRoleOwner, type RoleOwner } from "./role-owner.ts";
import { mayBeSeeded, presentPeer } from "./role-rules.ts";
import { createStandingKeeper } from "./standing-keeper.ts";
import type { PairAlarm, PairStatus } from "./status.ts";
import type { RoleState, Seeding, Standing, Wish, WishResult } from "./types.ts";
import { ALARM_LINES, ROLE_LINES } from "./words.ts";

export interface PairNodeOptions {
  readonly config: PairConfig;
  /** This node's name. */
  readonly node: string;
  readonly store: Store;
  readonly file: EpochFile;
  readonly identity: LinkIdentity & { readonly expiresAt: number };
  readonly log: Logger;
  readonly events: PairEvents;
  /** Wall time, epoch milliseconds, and monotonic time, milliseconds. */
  readonly now: () => number;
  readonly monotonicNow: () => number;
}

export interface PairEvents {
  /** What this node may do has changed. */
  readonly changed: (standing: Standing) => void;
  /** Resolves once no ring is on its way; none begins meanwhile, since the standing says so. */
  readonly drain: () => Promise<void>;
  /** This node became active. */
  readonly tookOver: () => void;
}

export interface PairNode {
  /** The store as the rooms that answer see it. */
  readonly store: Store;
  /** The store is open: begins to listen, to dial and to have a role; gives the port, null without another node. */
  start(): Promise<number | null>;
  stop(): Promise<void>;
  standing(): Standing;
  /** Whether this node has every row that the other one had, so that it may say that a subscription has ended. */
  mayEnd(): boolean;
  /** The last position of this node's feed that is on every node that there is; 0 while the other one is away. */
  onAllNodesSeq(): number;
  /** The other node's present feed; null while it is away, or where there is none any more. */
  peerFeed(): string | null;
  /** Whether the other node may have answered for rows that this one does not have. */
  mayLackRows(): boolean;
  /** Commits fail from now on, or work again. */
  commitsFail(fail: boolean): void;
  /** The database came out of a backup. Before `start`. */
  restored(): void;
  /** Gives the active role to the other node, if there is one that takes it; not for longer than `limitMs`. */
  handOver(limitMs: number): Promise<void>;
  wish(wish: Wish): Promise<WishResult>;
  /** Handshakes of the link that begin from now on use it. */
  setIdentity(identity: PairNodeOptions["identity"]): void;
  status(): PairStatus;
}

// The other node's last word of this one, in its log.
const FORGOTTEN = {
  code: "forgotten",
  detail:
    "It was told to forget this node and goes on as a single one. If that was right, stop the service here: otherwise both ring.",
};
// As far as an administrator should know of it, milliseconds; as in skew.ts.
const SKEW_MS = 2_000;
// Nothing is answered, rung or said to be the active node before the start.
const NOTHING_YET: Standing = {
  role: "passive",
  why: "started",
  since: 0,
  epoch: 0,
  serving: false,
  primary: false,
  rings: false,
  alone: false,
  alarms: [],
  lastTakeover: null,
};

/** @param options.file was opened before the database was */
export function createPairNode(options: PairNodeOptions): PairNode {
  const { config, node, store, file, log, events, now, monotonicNow } = options;
  const { peerName } = config;
  const clock = createRoleClock(now, monotonicNow);
  let identity = options.identity;
  let owner: RoleOwner | null = null;
  let link: Link | null = null;
  let linked: Connection | null = null;
  let isCaughtUp = false;
  let isCovered = false;
  let isRestored = false;
  let takeovers = 0;
  let ending: Promise<unknown> = Promise.resolve();

  const keeper = createStandingKeeper({
    file,
    peerName,
    makeRoom: () => store.makeRoom(),
    unwritable: (is) => alarm("epoch_unwritable", is),
  });
  const replicator = createReplicator({
    store,
    node,
    peerName,
    aloneAfterMs: config.aloneAfterMs,
    log,
    monotonicNow,
    events: {
      caughtUp() {
        isCaughtUp = true;
        reviewSeeding();
      },
      // Said at once: from now on this node answers for rows that the other one may not have.
      waiting: () => link?.beat(),
      newFeed() {
        if (owner?.state.seeding === "seeded") owner.input({ kind: "seeding", seeding: "reseeding" });
      },
    },
  });

  const isPaired = () => owner?.state.paired ?? file.current.forgotten !== peerName;
  const paired = createPairedStore(store, replicator, isPaired);

  /** Rows can be relied on once everything is here that the other node had, if it had anything. */
  function reviewSeeding(): void {
    if (owner === null || owner.state.seeding === "seeded" || linked === null || !isCaughtUp) return;
    if (!mayBeSeeded(owner.state)) return;
    log.info({ peer: peerName }, "This node has every row of the other one.");
    owner.input({ kind: "seeding", seeding: "seeded" });
  }

  const user: LinkUser = {
    greeting: () => replicator.greeting(),

    up(connection) {
      linked = connection;
      isCaughtUp = false;
      isCovered = readCovers(connection.hello.state);
      const peer = readPeer(connection.hello);
      if (peer === null) {
        connection.close("incompatible", "What it says of its role is not understood.");
        return;
      }
      owner?.input({ kind: "opened", peer });
      if (linked !== connection) return;
      replicator.up(connection);
      reviewSeeding();
    },

    down(connection) {
      replicator.down(connection);
      if (linked !== connection) return;
      linked = null;
      isCaughtUp = false;
      // Unless another connection takes its place in this very moment.
      queueMicrotask(() => {
        if (linked === null) owner?.input({ kind: "closed", refused: false });
      });
    },

    frame(connection, frame) {
      owner?.input({ kind: "heard", beat: frame.kind === "beat" ? readBeat(frame.state) : null });
      if (frame.kind !== "beat") {
        replicator.frame(connection, frame);
        return;
      }
      isCovered = readCovers(frame.state);
      reviewSeeding();
    },

    changed(state) {
      replicator.changed(state);
      if (state.kind === "down") owner?.input({ kind: "closed", refused: state.why === "refused" });
    },
  };

  function alarm(name: PairAlarm, on: boolean): void {
    const lines = ALARM_LINES[name];
    const fields = { peer: peerName, alarm: name };
    if (on) log.warn(fields, lines.begins);
    else log.info(fields, lines.ends);
  }

  async function drain(): Promise<void> {
    await events.drain();
    await replicator.durableOnBoth(store.committedSeq());
  }

  async function ownRole(): Promise<RoleOwner> {
    const { feed } = await store.position();
    const { epoch, seeding, forgotten } = await keeper.begin(isRestored);
    const facts = { name: node, feed, paired: forgotten !== peerName, epoch, seeding };
    return createRoleOwner({
      facts: { ...facts, takeoverAfterMs: config.takeoverAfterMs },
      clock,
      persist: keeper.persist,
      beat: () => link?.beat(),
      drain,
      role({ role, why, epoch: withEpoch }) {
        log.info({ role, why, epoch: withEpoch }, ROLE_LINES[role]);
        if (role === "passive") return;
        takeovers += 1;
        events.tookOver();
      },
      alarm: (output) => alarm(output.alarm, output.on),
      changed: events.changed,
      seeding: (word: Seeding) => void keeper.save({ seeding: word }),
      forgotten() {
        void keeper.save({ forgotten: peerName });
        replicator.stop();
        ending = link?.stop(FORGOTTEN) ?? ending;
        link = null;
      },
    });
  }

  function startLink(): Promise<{ readonly port: number }> {
    link = createLink({
      node,
      peerName,
      listen: config.listen,
      peer: config.peer,
      identity,
      user,
      state: () => ({ ...(owner?.beat() ?? {}), covers: replicator.status.isProtected }),
      log,
      now,
      monotonicNow,
    });
    return link.start();
  }

  return {
    store: paired,

    async start() {
      owner = await ownRole();
      if (!owner.state.paired) {
        log.warn(
          { peer: peerName },
          "This node was told that its other node is no more: it is a single node.",
        );
        owner.start();
        return null;
      }
      replicator.start();
      const { port } = await startLink();
      owner.start();
      return port;
    },

    async stop() {
      owner?.stop();
      replicator.stop();
      await Promise.all([link?.stop(), ending]);
      await file.save({});
    },

    standing: () => owner?.standing() ?? NOTHING_YET,

    mayEnd() {
      if (owner === null) return false;
      const { role, serving, alone } = owner.standing();
      if (!owner.state.paired) return true;
      return role === "active" && serving && !alone && linked !== null && isCaughtUp;
    },

    onAllNodesSeq() {
      if (!isPaired()) return store.committedSeq();
      return linked !== null && isCaughtUp ? replicator.status.acknowledgedSeq : 0;
    },

    peerFeed: () => (isPaired() ? (linked?.hello.position.feed ?? null) : null),

    mayLackRows() {
      if (owner === null || !owner.state.paired) return false;
      return linked === null || !isCaughtUp || !isCovered || owner.standing().alone;
    },

    commitsFail(fail) {
      if (owner === null) return;
      const since = fail ? (owner.state.cannotCommitSince ?? owner.now()) : null;
      owner.input({ kind: "health", cannotCommitSince: since });
    },

    restored() {
      isRestored = true;
    },

    async handOver(limitMs) {
      if (owner === null || owner.state.role === "passive" || presentPeer(owner.state) === null) return;
      let timer: ReturnType<typeof setTimeout> | null = null;
      const limit = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, limitMs);
      });
      const result = await Promise.race([owner.wish("switch_away"), limit]);
      if (timer !== null) clearTimeout(timer);
      log.info({ peer: peerName, result: result ?? "not_taken" }, "Asked the other node to take over.");
    },

    async wish(wish) {
      const result = (await owner?.wish(wish)) ?? "overtaken";
      // What somebody has said is not to be forgotten by a restart.
      if (wish === "first" || wish === "forget") await keeper.save({});
      return result;
    },

    setIdentity(next) {
      identity = next;
      link?.setIdentity(next);
    },

    status() {
      const state: RoleState | null = owner?.state ?? null;
      const skewMs = link?.skewMs ?? null;
      const further: PairAlarm[] = [];
      if (skewMs !== null && Math.abs(skewMs) > SKEW_MS) further.push("clock_skew");
      if (keeper.isFileBad) further.push("epoch_unwritable");
      return pairStatus({
        state,
        standing: owner?.standing() ?? NOTHING_YET,
        node,
        config,
        link: link?.state ?? null,
        skewMs,
        roundTripMs: link?.roundTripMs ?? null,
        replication: replicator.status,
        certificateExpiresAt: identity.expiresAt,
        takeovers,
        further,
        roleNow: clock(),
        now: now(),
      });
    },
  };
}
