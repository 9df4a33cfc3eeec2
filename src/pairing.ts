// What a node has to know of a possible other one: a single node, or one of two, behind the same questions. Builds the
// pair's parts (standing, link, certificates) and starts and stops them.

import { type PairIdentity, readPairFiles } from "./config/pair-files.ts";
import type { PairConfig } from "./config/types.ts";
import { BellError } from "./errors.ts";
import { createCertificateWatch } from "./net/certificate-watch.ts";
import type { ControlHandler } from "./ops/control.ts";
import type { Check } from "./ops/health.ts";
import type { Logger } from "./ops/log.ts";
import type { Metrics } from "./ops/metrics.ts";
import type { NodeStatus } from "./ops/status.ts";
import { dropEpochFile, openEpochFile } from "./pair/epoch-file.ts";
import { createPairNode } from "./pair/node.ts";
import { createPairRenewal } from "./pair/renewal.ts";
import { PAIR_VERBS, type PairWishAnswer } from "./pair/status.ts";
import type { Standing, Wish } from "./pair/types.ts";
import { servingSentence, wishSentence } from "./pair/words.ts";
import type { Store } from "./store/types.ts";

// A failure that goes on is told once in this time, milliseconds.
const QUIET_MS = 60_000;

export interface Pairing {
  /** The store as the rooms that answer see it. */
  readonly store: Store;
  /** What `/primary` says. */
  role(): "active" | "passive";
  /** May answer Exchange and phones. */
  serving(): boolean;
  /** May ring and judge subscriptions. */
  rings(): boolean;
  /** The other node counts as gone. */
  alone(): boolean;
  /** May say that a subscription has ended. */
  mayEnd(): boolean;
  /** The other node may have answered for rows that this one does not have. */
  mayLackRows(): boolean;
  /** The last position of this node's feed that is on every node that there is. */
  onAllNodesSeq(): number;
  /** The other node's present feed, null without another node. */
  peerFeed(): string | null;
  /** Commits fail from now on, or work again. */
  commitsFail(fail: boolean): void;
  /** The database came out of a backup. */
  restored(): void;
  /** For `/readyz`. */
  readonly checks: readonly Check[];
  /** For the control socket. */
  readonly verbs: Readonly<Record<string, ControlHandler>>;
  /** For `status`; null for a single node. */
  summary(): NonNullable<NodeStatus["pair"]> | null;
  /** Brings the gauges up to date. */
  refresh(): void;
  /** The store is open. Gives the port that it listens on, by name. */
  start(): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
  /** Gives the active role away before a stop; not for longer than `limitMs`. */
  handOver(limitMs: number): Promise<void>;
  /**
   * Reads the link's files of a new configuration; nothing changes before `apply`.
   * @throws BellError of the file that cannot be used
   */
  renew(config: PairConfig | null): Renewal;
}

export interface Renewal {
  /** Whether there is another certificate than the link has. */
  readonly isRenewed: boolean;
  apply(): void;
}

export interface PairingOptions {
  readonly config: PairConfig | null;
  readonly node: string;
  readonly database: string;
  readonly store: Store;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Rings may begin from now on. */
  readonly takeUp: () => void;
  /** Resolves once no ring is on its way. */
  readonly idle: () => Promise<void>;
  /** Epoch milliseconds, and monotonic milliseconds. */
  readonly now: () => number;
  readonly monotonicNow: () => number;
}

/**
 * Before the store opens its database.
 * @throws BellError of the link's files, or `pair_file`
 */
export async function createPairing(options: PairingOptions): Promise<Pairing> {
  if (options.config !== null) return await oneOfTwo(options, options.config);
  dropEpochFile(options.database);
  return singleNode(options.store);
}

function singleNode(store: Store): Pairing {
  const alone = (): never => {
    throw new BellError("no_pair");
  };
  return {
    store,
    role: () => "active",
    serving: () => true,
    rings: () => true,
    alone: () => false,
    mayEnd: () => true,
    mayLackRows: () => false,
    onAllNodesSeq: () => store.committedSeq(),
    peerFeed: () => null,
    commitsFail() {},
    restored() {},
    checks: [],
    verbs: Object.fromEntries(Object.values(PAIR_VERBS).map((verb) => [verb, alone])),
    summary: () => null,
    refresh() {},
    start: async () => ({}),
    async stop() {},
    async handOver() {},
    renew: () => ({ isRenewed: false, apply() {} }),
  };
}

async function oneOfTwo(options: PairingOptions, config: PairConfig): Promise<Pairing> {
  const { node, store, log, metrics, now, monotonicNow } = options;
  let files = config.tls;
  let identity = readPairFiles(files, node, process.env, now());
  if (identity.outOfDate !== null) log.error({ code: "tls_invalid" }, identity.outOfDate);
  let wasRinging = false;
  let fileSaidAt = Number.NEGATIVE_INFINITY;
  const file = await openEpochFile(options.database, (error) => {
    if (monotonicNow() - fileSaidAt < QUIET_MS) return;
    fileSaidAt = monotonicNow();
    log.error(
      { code: "pair_file", reason: String(error) },
      "This node's standing in the pair cannot be noted.",
    );
  });
  const events = { changed, drain: options.idle, tookOver: () => metrics.takeovers.inc() };
  const pair = createPairNode({ config, node, store, file, identity, log, events, now, monotonicNow });

  function changed({ primary, rings }: Standing): void {
    metrics.pairRole.set(primary ? 1 : 0);
    if (rings && !wasRinging) options.takeUp();
    wasRinging = rings;
  }

  function take(next: PairIdentity): void {
    identity = next;
    pair.setIdentity(next);
  }

  function isOther(next: PairIdentity): boolean {
    return next.certificate !== identity.certificate || next.key !== identity.key || next.ca !== identity.ca;
  }

  /** A certificate that is out of date replaces none that is in date. */
  function refuseWorse(next: PairIdentity): void {
    if (next.outOfDate !== null && identity.outOfDate === null)
      throw new BellError("tls_invalid", next.outOfDate);
  }

  // An administrator's own tool may renew them too.
  const watch = createCertificateWatch({
    files: () => [{ listener: "pair", files }],
    take() {
      const next = readPairFiles(files, node, process.env, now());
      if (!isOther(next)) return false;
      refuseWorse(next);
      take(next);
      return true;
    },
    log,
    now: monotonicNow,
  });
  const renewal = createPairRenewal({
    files: () => files,
    node,
    renewed: () => take(readPairFiles(files, node, process.env, now())),
    log,
    now,
  });

  async function asked(wish: Wish): Promise<PairWishAnswer> {
    const wasLinked = pair.status().link?.up === true;
    const result = await pair.wish(wish);
    log.info({ wish, result }, "An administrator asked something of the pair.");
    const detail = wishSentence(wish, result);
    if (wish !== "forget" || !wasLinked) return { result, detail };
    return {
      result,
      detail: `${detail} ${config.peerName} was still connected: stop its service, or both ring.`,
    };
  }

  const standing = () => pair.standing();
  return {
    store: pair.store,
    role: () => (standing().primary ? "active" : "passive"),
    serving: () => standing().serving,
    rings: () => standing().rings,
    alone: () => standing().alone,
    mayEnd: () => pair.mayEnd(),
    mayLackRows: () => pair.mayLackRows(),
    onAllNodesSeq: () => pair.onAllNodesSeq(),
    peerFeed: () => pair.peerFeed(),
    commitsFail: (fail) => pair.commitsFail(fail),
    restored: () => pair.restored(),
    checks: [
      {
        name: "pair",
        essential: true,
        look() {
          const now = standing();
          return {
            ok: now.serving,
            detail: servingSentence(now, pair.status().here.seeding === "unseeded"),
          };
        },
      },
      {
        name: "other node",
        // What one node does without the other is the whole point of a pair.
        essential: false,
        look() {
          const { paired, link, protected: isProtected, lagRows } = pair.status();
          if (!paired) return { ok: true, detail: "there is none any more" };
          if (link?.up !== true) return { ok: false, detail: link?.detail ?? "not reached" };
          return isProtected
            ? { ok: true, detail: "has every row that an answer rests on" }
            : { ok: false, detail: `lacks ${lagRows} rows` };
        },
      },
    ],
    verbs: {
      [PAIR_VERBS.status]: () => pair.status(),
      [PAIR_VERBS.switch](input) {
        const { to } = (input ?? {}) as { readonly to?: unknown };
        if (to !== undefined && to !== "here" && to !== "away") {
          throw new BellError("usage", "`to` is here or away.");
        }
        const isAway = to === undefined ? standing().role === "active" : to === "away";
        return asked(isAway ? "switch_away" : "switch_here");
      },
      [PAIR_VERBS.forget]: () => asked("forget"),
      [PAIR_VERBS.first]: () => asked("first"),
    },
    summary() {
      const { paired, here, peer, peerAddress, link, ...status } = pair.status();
      if (!paired) return null;
      return {
        peer: config.peerName,
        address: peerAddress ?? "",
        why: here.why,
        forSeconds: here.forSeconds,
        up: link?.up === true,
        detail: link?.detail ?? null,
        heardSecondsAgo: peer?.heardSecondsAgo ?? null,
        protected: status.protected,
        lagRows: status.lagRows,
        alarms: status.alarms,
      };
    },
    refresh() {
      const { paired, link, protected: isProtected, lagRows } = pair.status();
      metrics.credentialExpirySeconds.set({ name: "pair" }, (identity.expiresAt - now()) / 1000);
      const gauges = [metrics.pairConnected, metrics.pairProtected, metrics.pairLagRows];
      if (!paired) for (const gauge of gauges) gauge.remove();
      if (!paired) return;
      metrics.pairConnected.set(link?.up === true ? 1 : 0);
      metrics.pairProtected.set(isProtected ? 1 : 0);
      metrics.pairLagRows.set(lagRows);
    },

    async start() {
      watch.start();
      renewal.start();
      const port = await pair.start();
      return port === null ? {} : { pair: port };
    },

    async stop() {
      await Promise.all([watch.stop(), renewal.stop()]);
      await pair.stop();
    },

    handOver: (limitMs) => pair.handOver(limitMs),

    renew(next) {
      const nextFiles = next?.tls ?? files;
      const read = readPairFiles(nextFiles, node, process.env, now());
      refuseWorse(read);
      const isRenewed = isOther(read);
      return {
        isRenewed,
        apply() {
          files = nextFiles;
          if (isRenewed) take(read);
        },
      };
    },
  };
}
