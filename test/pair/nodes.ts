// Two whole pair nodes in this process: real databases, real links with mutual TLS through wires that a test can cut, and
// clocks that it can move.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EpochFile, openEpochFile } from "../../src/pair/epoch-file.ts";
import { createPairNode, type PairNode } from "../../src/pair/node.ts";
import type { Standing } from "../../src/pair/types.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/types.ts";
import { keyring } from "../store/helpers.ts";
import { createAuthority, type NodeCertificate, nodeCertificate } from "./certificates.ts";
import { recordingLogger, until } from "./helpers.ts";
import { createRelay, type Relay } from "./relay.ts";

export const TAKEOVER_MS = 1_000;

export interface NodeUnderTest {
  readonly name: string;
  readonly database: string;
  readonly identity: NodeCertificate & { readonly expiresAt: number };
  readonly logged: string[];
  /** Standings as they changed. */
  readonly standings: Standing[];
  /** Resolves the drain that is waited for; null: drains end at once. */
  drains: (() => void)[] | null;
  /** Moves this node's monotonic clock ahead, as if its process had not been running. */
  stoodStillMs: number;
  /** How far its wall clock is ahead. Before `start`: a clock that is set later looks like a process that stood still. */
  aheadMs: number;
  takeovers: number;
  /** Called when the store is open and the pair has not begun yet. */
  opened: () => void;
  pair: PairNode;
  store: Store;
  file: EpochFile;
  start(restored?: boolean): Promise<void>;
  /** As a process that ends without a word. */
  stop(): Promise<void>;
  wipe(): void;
}

export interface TwoNodes {
  readonly a: NodeUnderTest;
  readonly b: NodeUnderTest;
  readonly wires: readonly Relay[];
  cut(): void;
  heal(): void;
  /** Both run, have each other's rows, and one is active: that one, and the other. */
  begin(): Promise<{ readonly active: NodeUnderTest; readonly passive: NodeUnderTest }>;
  close(): Promise<void>;
}

/** What of a node is not as usual. */
export interface NodesWish {
  /** Where the second node's database lies. */
  readonly directoryOfB?: string;
  readonly reserveBytes?: number;
  readonly aloneAfterMs?: number;
  /** Milliseconds since it began, for both nodes' clocks: time that a test lets pass. */
  readonly clock?: () => number;
}

export async function createTwoNodes(wish: NodesWish = {}): Promise<TwoNodes> {
  const { directoryOfB, reserveBytes, aloneAfterMs = 500, clock } = wish;
  const beganAt = Date.now();
  const wall = clock === undefined ? Date.now : () => beganAt + clock();
  const monotonic = clock ?? (() => performance.now());
  const authority = await createAuthority("Inboxbell pair");
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-nodes-"));
  const wires = { a: await createRelay(), b: await createRelay() };

  async function make(name: "bell-a" | "bell-b"): Promise<NodeUnderTest> {
    const isA = name === "bell-a";
    const [out, into] = isA ? [wires.a, wires.b] : [wires.b, wires.a];
    const database = join((isA ? null : directoryOfB) ?? directory, `${name}.db`);
    const identity = { ...(await nodeCertificate(authority, name)), expiresAt: Date.now() + 86_400_000 };
    let port = 0;
    const node: NodeUnderTest = {
      name,
      database,
      identity,
      logged: [],
      standings: [],
      drains: null,
      stoodStillMs: 0,
      aheadMs: 0,
      takeovers: 0,
      opened: () => {},
      async start(restored = false) {
        const log = recordingLogger(node.logged);
        const now = () => wall() + node.aheadMs;
        node.file = await openEpochFile(database, (error) => node.logged.push(String(error)));
        node.store = createStore({
          path: database,
          keyring,
          now,
          synchronous: "OFF",
          mergeChangesMs: 0,
          ...(reserveBytes === undefined ? {} : { reserveBytes }),
        });
        node.pair = createPairNode({
          config: {
            listen: { address: "127.0.0.1", port },
            peer: { host: "127.0.0.1", port: out.port },
            peerName: isA ? "bell-b" : "bell-a",
            tls: { ca: "", certificate: "", key: "" },
            takeoverAfterMs: TAKEOVER_MS,
            aloneAfterMs,
          },
          node: name,
          store: node.store,
          file: node.file,
          identity,
          log,
          events: {
            changed: (standing) => node.standings.push(standing),
            drain: () =>
              node.drains === null ? Promise.resolve() : new Promise((resolve) => node.drains?.push(resolve)),
            tookOver: () => {
              node.takeovers += 1;
            },
          },
          now,
          monotonicNow: () => monotonic() + node.stoodStillMs,
        });
        await node.store.start();
        if (restored) node.pair.restored();
        node.opened();
        port = (await node.pair.start()) ?? port;
        into.target = port;
        await into.accept();
      },
      async stop() {
        await into.refuse();
        await node.pair.stop();
        await node.store.stop();
      },
      wipe() {
        for (const suffix of ["", "-wal", "-shm"]) rmSync(database + suffix, { force: true });
      },
      // Set by start.
      pair: null as unknown as PairNode,
      store: null as unknown as Store,
      file: null as unknown as EpochFile,
    };
    return node;
  }

  const a = await make("bell-a");
  const b = await make("bell-b");
  const all = [wires.a, wires.b];
  const isWhole = ({ pair }: NodeUnderTest) => {
    const { protected: isProtected, here, peer } = pair.status();
    // What the other one has just become is known here a moment later.
    const knows = peer?.seeding === "seeded" && peer.ready;
    return isProtected && here.serving && here.seeding === "seeded" && knows;
  };
  return {
    a,
    b,
    wires: all,
    cut() {
      for (const wire of all) wire.mode = "dead";
    },
    heal() {
      for (const wire of all) {
        wire.mode = "open";
        wire.sever();
      }
    },
    async begin() {
      await a.start();
      await b.start();
      await a.pair.wish("first");
      const actives = () => [a, b].filter(({ pair }) => pair.standing().role === "active");
      await until(() => [a, b].every(isWhole) && actives().length === 1, "a pair with one active node");
      const [active] = actives();
      return active === a ? { active: a, passive: b } : { active: b, passive: a };
    },
    async close() {
      for (const node of [a, b]) await node.stop().catch(() => {});
      for (const wire of all) wire.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
