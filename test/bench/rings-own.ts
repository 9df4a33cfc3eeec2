// The appliance's own delivery in a process of its own: rings for everything that a prepared database owes, with
// store, dispatcher and sender; or with the sender alone, without a store. Reads an `OwnInput` from standard input,
// writes a `SenderOutput` to standard output.
import { loadConfig } from "../../src/config/load.ts";
import { loadSecrets } from "../../src/config/secrets.ts";
import type { Config } from "../../src/config/types.ts";
import { createDispatcher } from "../../src/delivery/dispatcher.ts";
import type { Sender } from "../../src/delivery/sender.ts";
import { createSenders, type QueueSender } from "../../src/delivery/senders.ts";
import { readKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { createLogger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { Platform, Ring, Store } from "../../src/store/types.ts";
import { APP, registrationId, tokenOf, unreadOf } from "./fleet.ts";

export interface OwnInput {
  readonly configFile: string;
  readonly platform: Platform;
  readonly connections: number;
  readonly rings: number;
  /** Whether rings come from a database and are noted there. */
  readonly store: boolean;
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
const STOP_MS = 1_000;
const CLOCKS = { now: Date.now, monotonicNow: () => performance.now(), random: Math.random };

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

interface Mark {
  readonly at: number;
  readonly count: number;
  readonly cpu: NodeJS.CpuUsage;
}

const mark = (count: number): Mark => ({ at: performance.now(), count, cpu: process.cpuUsage() });

function between(first: Mark, last: Mark): SenderOutput {
  return {
    rings: last.count - first.count,
    seconds: (last.at - first.at) / 1000,
    cpuSeconds: (last.cpu.user + last.cpu.system - first.cpu.user - first.cpu.system) / 1e6,
  };
}

async function throughStore(
  { rings }: OwnInput,
  config: Config,
  senders: readonly QueueSender[],
): Promise<SenderOutput> {
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
  const dispatcher = createDispatcher({
    store: counting,
    senders,
    keyring,
    log: createLogger("warn", "json"),
    metrics: createMetrics({ version: "bench", commit: "bench" }),
    stalledAfterMs: config.ringing.stalledAfterMs,
    ...CLOCKS,
  });
  const reached = async (count: number) => {
    const limit = performance.now() + LIMIT_MS;
    while (settled < count) {
      if (performance.now() > limit) throw new Error(`Only ${settled} of ${rings} rings were settled.`);
      await Bun.sleep(LOOK_MS);
    }
    return mark(settled);
  };
  await store.start();
  dispatcher.start();
  const first = await reached(rings / 5);
  const last = await reached(rings);
  await dispatcher.stop(STOP_MS);
  await store.stop();
  return between(first, last);
}

async function senderAlone(
  { rings, platform, connections }: OwnInput,
  sender: Sender,
): Promise<SenderOutput> {
  let next = 0;
  let accepted = 0;
  let first: Mark | null = null;
  async function worker(): Promise<void> {
    while (next < rings) {
      const phone = next;
      next += 1;
      const verdict = await sender.send(ringFor(phone, rings, platform));
      if (verdict.kind !== "accepted") throw new Error(`A ring was not accepted: ${JSON.stringify(verdict)}`);
      accepted += 1;
      if (accepted >= rings / 5) first ??= mark(accepted);
    }
  }
  await Promise.all(Array.from({ length: connections * STREAMS }, worker));
  if (first === null) throw new Error("Nothing was sent.");
  return between(first, mark(accepted));
}

function ringFor(phone: number, rings: number, platform: Platform): Ring {
  return {
    registrationId: registrationId(phone),
    app: APP,
    platform,
    token: tokenOf(phone, platform),
    tokenMac: Buffer.alloc(16),
    renewedAt: Date.now(),
    locale: null,
    badge: unreadOf(phone, rings),
    reason: "mail",
    folder: null,
    attempt: 0,
    since: Date.now(),
    apnsId: crypto.randomUUID(),
    carries: { badgeRef: null, seen: {}, marks: {} },
  };
}

async function main(): Promise<SenderOutput> {
  const input = JSON.parse(await Bun.stdin.text()) as OwnInput;
  const config = loadConfig(input.configFile, process.env);
  const secrets = loadSecrets(config, process.env);
  const senders = createSenders({ config, secrets, ...CLOCKS })
    .filter(({ queue }) => queue.platform === input.platform)
    .map(({ queue, sender }) => ({ queue, sender: onConnections(sender, input.connections) }));
  const [only] = senders;
  if (only === undefined) throw new Error(`No sender for ${input.platform}.`);
  if (input.store) return throughStore(input, config, senders);
  const output = await senderAlone(input, only.sender);
  only.sender.stop();
  return output;
}

process.stdout.write(`${JSON.stringify(await main())}\n`);
process.exit(0);
