// Two nodes on loopback: real databases, the real link with mutual TLS through wires that a test can cut.
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "../../src/ops/log.ts";
import type { Json } from "../../src/pair/frames.ts";
import { createLink, type Link, type LinkState } from "../../src/pair/link.ts";
import { createReplicator, type Replicator, type ReplicatorOptions } from "../../src/pair/replicator.ts";
import type { ReplicaRow } from "../../src/store/feed-types.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/types.ts";
import { keyring } from "../store/helpers.ts";
import { createAuthority, type NodeCertificate, nodeCertificate } from "./certificates.ts";
import { createRelay, type Relay } from "./relay.ts";

export type NodeName = "bell-a" | "bell-b";

export interface NodeOptions {
  /** What this node's wall clock is ahead, milliseconds. */
  readonly aheadMs?: number;
  readonly replicator?: Partial<ReplicatorOptions>;
  readonly silentMs?: number;
  /** Puts something between the store and the replicator. */
  readonly between?: (store: Store) => Store;
}

export interface TestNode {
  readonly name: NodeName;
  readonly path: string;
  store: Store;
  link: Link;
  replicator: Replicator;
  readonly states: LinkState[];
  readonly heard: Json[];
  readonly newFeeds: string[];
  readonly logged: string[];
  start(): Promise<void>;
  /** As a process ends: the listener goes with the connections. */
  stop(): Promise<void>;
  /** While stopped: keeps a copy of the database, or puts it back, or removes the database. */
  keepCopy(): void;
  restoreCopy(from?: TestNode): void;
  wipe(): void;
}

export interface TestPair {
  readonly identities: Readonly<Record<NodeName, NodeCertificate>>;
  readonly a: TestNode;
  readonly b: TestNode;
  /** What a dials through, and what b dials through. */
  readonly wires: { readonly a: Relay; readonly b: Relay };
  start(): Promise<void>;
  /** Cuts both ways (nothing listens to what is sent) or joins again. */
  cut(): void;
  heal(): void;
  close(): Promise<void>;
}

export function recordingLogger(lines: string[]): Logger {
  const note = (level: string) => (fields: object, message: string) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  const logger: Logger = {
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
    child: () => logger,
  };
  return logger;
}

export async function createPair(
  options: { readonly a?: NodeOptions; readonly b?: NodeOptions } = {},
): Promise<TestPair> {
  const authority = await createAuthority("Inboxbell pair");
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-pair-"));
  const wires = { a: await createRelay(), b: await createRelay() };
  const identities = {
    "bell-a": await nodeCertificate(authority, "bell-a"),
    "bell-b": await nodeCertificate(authority, "bell-b"),
  };
  const make = async (name: NodeName, more: NodeOptions = {}): Promise<TestNode> => {
    const isA = name === "bell-a";
    const [out, into] = isA ? [wires.a, wires.b] : [wires.b, wires.a];
    const peerName = isA ? "bell-b" : "bell-a";
    const path = join(directory, `${name}.db`);
    const identity = identities[name];
    const now = () => Date.now() + (more.aheadMs ?? 0);
    const monotonicNow = () => performance.now();
    let port = 0;
    const node: TestNode = {
      name,
      path,
      states: [],
      heard: [],
      newFeeds: [],
      logged: [],
      async start() {
        const store = createStore({ path, keyring, now, synchronous: "OFF", mergeChangesMs: 0 });
        await store.start();
        node.store = more.between?.(store) ?? store;
        node.replicator = createReplicator({
          store: node.store,
          node: name,
          peerName,
          aloneAfterMs: 600,
          resumeAfterMs: 500,
          log: recordingLogger(node.logged),
          monotonicNow,
          ...more.replicator,
          events: { newFeed: (why) => node.newFeeds.push(why), ...more.replicator?.events },
        });
        node.replicator.start();
        node.link = createLink({
          node: name,
          peerName,
          listen: { address: "127.0.0.1", port },
          peer: { host: "127.0.0.1", port: out.port },
          identity,
          user: {
            ...node.replicator,
            frame(connection, frame) {
              if (frame.kind === "message" || frame.kind === "beat")
                node.heard.push("body" in frame ? frame.body : frame.state);
              node.replicator.frame(connection, frame);
            },
            changed(state) {
              node.states.push(state);
              node.replicator.changed(state);
            },
          },
          state: () => ({ name }),
          timing: { beatMs: 50, silentMs: more.silentMs ?? 500, helloMs: 1_000 },
          log: recordingLogger(node.logged),
          now,
          monotonicNow,
        });
        port = (await node.link.start()).port;
        into.target = port;
        await into.accept();
      },
      async stop() {
        await into.refuse();
        await node.link.stop();
        node.replicator.stop();
        await node.store.stop();
      },
      keepCopy: () => copyFileSync(path, `${path}.copy`),
      restoreCopy(from = node) {
        node.wipe();
        copyFileSync(`${from.path}.copy`, path);
      },
      wipe() {
        for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
      },
      // Set by start.
      store: null as unknown as Store,
      link: null as unknown as Link,
      replicator: null as unknown as Replicator,
    };
    return node;
  };
  const a = await make("bell-a", options.a);
  const b = await make("bell-b", options.b);
  return {
    a,
    b,
    identities,
    wires,
    async start() {
      await a.start();
      await b.start();
      await until(() => a.link.state.kind === "up" && b.link.state.kind === "up", "the link is up");
    },
    cut() {
      for (const wire of [wires.a, wires.b]) {
        wire.mode = "cut";
        wire.sever();
      }
    },
    heal() {
      for (const wire of [wires.a, wires.b]) wire.mode = "open";
    },
    async close() {
      for (const node of [a, b]) await node.stop().catch(() => {});
      wires.a.close();
      wires.b.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Waits for something to come true; fails, naming it, when it does not. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 10_000,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** All replicated rows of a database as texts, without what is each node's own. */
export async function rowsOf(store: Store): Promise<readonly string[]> {
  const rows: ReplicaRow[] = [];
  for (let seq = 0; ; ) {
    const page = await store.rowsAfter(seq, 1_000);
    const last = page.at(-1);
    if (last === undefined) break;
    rows.push(...page);
    seq = last.seq;
  }
  return rows
    .map(({ table, row }) => {
      const { seq: _, ...rest } = row;
      const cells = Object.entries(rest).map(([column, cell]) => [
        column,
        Buffer.isBuffer(cell) ? cell.toString("hex") : cell,
      ]);
      return `${table} ${JSON.stringify(Object.fromEntries(cells))}`;
    })
    .sort();
}

/** Waits until both hold the same rows and everything is acknowledged; else says what stands in the way. */
export async function untilEqual({ a, b }: Pick<TestPair, "a" | "b">, withinMs = 15_000): Promise<void> {
  let found: unknown = null;
  const isEqual = async (): Promise<boolean> => {
    const [ofA, ofB] = [await rowsOf(a.store), await rowsOf(b.store)];
    const onlyA = ofA.filter((row) => !ofB.includes(row));
    const onlyB = ofB.filter((row) => !ofA.includes(row));
    const statuses = [a.replicator.status, b.replicator.status];
    const logs = [a.logged.slice(-5), b.logged.slice(-5)];
    found = { logs, statuses, states: [a.states.at(-1), b.states.at(-1)], onlyA: onlyA[0], onlyB: onlyB[0] };
    return onlyA.length + onlyB.length === 0 && statuses.every(({ lagRows }) => lagRows === 0);
  };
  try {
    await until(
      async () => {
        const isIdle = [a, b].every((node) => node.replicator.status.lagRows === 0);
        return isIdle && (await isEqual());
      },
      "both nodes hold the same rows",
      withinMs,
    );
  } catch (error) {
    await isEqual();
    throw new Error(JSON.stringify(found, null, 2), { cause: error });
  }
}
