// The schedules that test the merge rules, over the real link: accepting, ringing, cutting, healing, switching,
// restoring an old copy. The replicator has to notice by itself what was restored.
import { expect, test } from "bun:test";
import { silentLogger } from "../../src/ops/log.ts";
import { createLink, type Link } from "../../src/pair/link.ts";
import { createReplicator, type Replicator } from "../../src/pair/replicator.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/types.ts";
import { explore, type Wire } from "../store/explore.ts";
import { createAuthority, nodeCertificate } from "./certificates.ts";
import { until } from "./helpers.ts";
import { createRelay } from "./relay.ts";

const SEEDS = Number(process.env.INBOXBELL_EXPLORE_LINK ?? 12);

const authority = await createAuthority("Inboxbell pair");
const identities = {
  a: await nodeCertificate(authority, "bell-a"),
  b: await nodeCertificate(authority, "bell-b"),
};

async function linkAsWire(): Promise<Wire & { close(): void; readonly newFeeds: number }> {
  let newFeeds = 0;
  const relays = { a: await createRelay(), b: await createRelay() };
  const parts = new Map<string, { readonly link: Link; readonly replicator: Replicator }>();
  const both = () => [...parts.values()];
  const isSettled = () =>
    both().length === 2 &&
    both().every(({ link, replicator }) => {
      const { lagRows, behindRows, isCaughtUp } = replicator.status;
      return link.state.kind === "up" && isCaughtUp && lagRows === 0 && behindRows === 0;
    });
  return {
    async opened(name: string, store: Store) {
      const isA = name === "a";
      const [out, into] = isA ? [relays.a, relays.b] : [relays.b, relays.a];
      const node = isA ? "bell-a" : "bell-b";
      const peerName = isA ? "bell-b" : "bell-a";
      const clocks = { now: Date.now, monotonicNow: () => performance.now() };
      const replicator = createReplicator({
        store,
        node,
        peerName,
        aloneAfterMs: 500,
        page: { rows: 3 },
        log: silentLogger,
        ...clocks,
        events: {
          newFeed: () => {
            newFeeds += 1;
          },
        },
      });
      replicator.start();
      const link = createLink({
        node,
        peerName,
        listen: { address: "127.0.0.1", port: 0 },
        peer: { host: "127.0.0.1", port: out.port },
        identity: isA ? identities.a : identities.b,
        user: replicator,
        state: () => null,
        timing: { beatMs: 20 },
        log: silentLogger,
        ...clocks,
      });
      into.target = (await link.start()).port;
      parts.set(name, { link, replicator });
    },
    async closing(name) {
      const part = parts.get(name);
      parts.delete(name);
      await part?.link.stop();
      part?.replicator.stop();
    },
    setLinked(isLinked) {
      for (const relay of [relays.a, relays.b]) {
        relay.mode = isLinked ? "open" : "cut";
        if (!isLinked) relay.sever();
      }
    },
    get newFeeds() {
      return newFeeds;
    },
    settled: () => until(isSettled, "both nodes have everything"),
    close() {
      relays.a.close();
      relays.b.close();
    },
  };
}

test(`the rules hold over ${SEEDS} random schedules on the real link`, async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const wire = await linkAsWire();
    try {
      const { wrong, log } = await explore({ createStore }, seed, { newFeed: true, wire });
      expect(wrong, `seed ${seed}: ${log.join(" | ")}`).toBeNull();
      // Nothing else is taken for a restored database: each new feed rings every phone once more.
      const restores = log.filter((line) => line.startsWith("restore")).length;
      expect(wire.newFeeds, `seed ${seed}: ${log.join(" | ")}`).toBeLessThanOrEqual(restores);
    } finally {
      wire.close();
    }
  }
}, 3_600_000);

test.each([
  "badge b | cut | ring b | heal | cut | badge a | begin a | end a | restore a",
  "snap a | badge b | ring a | badge b | ring a | cut | badge a | ring a | restore a | heal | switch",
])(
  "they hold where it is hard for them: %s",
  async (text) => {
    const wire = await linkAsWire();
    try {
      const { wrong, log } = await explore({ createStore }, text.split(" | "), { newFeed: true, wire });
      expect(wrong, log.join(" | ")).toBeNull();
    } finally {
      wire.close();
    }
  },
  60_000,
);
