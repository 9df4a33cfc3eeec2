// Rings for everything that a prepared database owes, with the appliance's own store, dispatcher and senders in a
// process of their own. Input (standard input): {"configFile", "platform", "connections", "rings"}. Output: when how
// many were settled.
import { loadConfig } from "../../src/config/load.ts";
import { loadSecrets } from "../../src/config/secrets.ts";
import { createDispatcher } from "../../src/delivery/dispatcher.ts";
import type { Sender } from "../../src/delivery/sender.ts";
import { createSenders } from "../../src/delivery/senders.ts";
import { readKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { createLogger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { Platform, Store } from "../../src/store/types.ts";

export interface OwnInput {
  readonly configFile: string;
  readonly platform: Platform;
  readonly connections: number;
  readonly rings: number;
}

/** What every sender reports: the time and CPU time of the rings after the first fifth, in which all warm up. */
export interface SenderOutput {
  readonly rings: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

// What one connection carries at once.
const STREAMS = 100;
const LOOK_MS = 5;
const LIMIT_MS = 120_000;

/** Keeps so few requests on their way that the pool has no reason for another connection. */
function onConnections(sender: Sender, count: number): Sender {
  let free = count * STREAMS;
  const waiting: (() => void)[] = [];
  return {
    ...sender,
    async send(ring) {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await sender.send(ring);
      } finally {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
      }
    },
  };
}

async function main(): Promise<SenderOutput> {
  const input = JSON.parse(await Bun.stdin.text()) as OwnInput;
  const config = loadConfig(input.configFile, process.env);
  const secrets = loadSecrets(config, process.env);
  const keyring = createKeyring(readKeyFile(config.keys.file));
  const store = createStore({ path: config.store.path, keyring, now: Date.now });
  let settled = 0;
  const counting: Store = {
    ...store,
    async settle(settlements) {
      await store.settle(settlements);
      settled += settlements.filter(({ kind, outcome }) => kind === "done" && outcome === "accepted").length;
    },
  };
  const monotonicNow = () => performance.now();
  const shared = { now: Date.now, monotonicNow, random: Math.random };
  const senders = createSenders({ config, secrets, ...shared })
    .filter(({ queue }) => queue.platform === input.platform)
    .map(({ queue, sender }) => ({ queue, sender: onConnections(sender, input.connections) }));
  const dispatcher = createDispatcher({
    store: counting,
    senders,
    keyring,
    log: createLogger("warn", "json"),
    metrics: createMetrics({ version: "bench", commit: "bench" }),
    stalledAfterMs: config.ringing.stalledAfterMs,
    ...shared,
  });
  await store.start();
  dispatcher.start();
  const reached = async (count: number) => {
    const limit = monotonicNow() + LIMIT_MS;
    while (settled < count) {
      if (monotonicNow() > limit) throw new Error(`Only ${settled} of ${input.rings} rings were settled.`);
      await Bun.sleep(LOOK_MS);
    }
    return { at: monotonicNow(), count: settled, cpu: process.cpuUsage() };
  };
  const first = await reached(input.rings / 5);
  const last = await reached(input.rings);
  await dispatcher.stop(1_000);
  await store.stop();
  return {
    rings: last.count - first.count,
    seconds: (last.at - first.at) / 1000,
    cpuSeconds: (last.cpu.user + last.cpu.system - first.cpu.user - first.cpu.system) / 1e6,
  };
}

process.stdout.write(`${JSON.stringify(await main())}\n`);
process.exit(0);
