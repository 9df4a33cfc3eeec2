// The pair in its network, with everything around it: HAProxy, Exchange, push services and phones.
import { join } from "node:path";
import { PAIR_VERBS } from "../../../../src/pair/status.ts";
import { createExchangeSimulator, type ExchangeSimulator } from "../../../../src/rehearsal/ews/simulator.ts";
import { type Running, until } from "../../helpers.ts";
import { startBalancer } from "./balancer.ts";
import { NODES, type NodeName } from "./evidence.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { createMail, type Mail } from "./mail.ts";
import { ADDRESS, type Network } from "./network.ts";
import { createPairNode, type PairNode } from "./node.ts";
import { createPhones, type Phones, pickAddress } from "./phones.ts";
import { makePairProps, type PairProps, writePairConfig } from "./props.ts";
import { type PushServices, startPushServices } from "./push-services.ts";
import type { Random } from "./random.ts";
import { createResting, type Resting } from "./resting.ts";
import { type RoleWatch, watchRoles } from "./roles.ts";

export interface PairScene {
  readonly props: PairProps;
  readonly network: Network;
  readonly nodes: Readonly<Record<NodeName, PairNode>>;
  readonly ledger: Ledger;
  readonly exchange: ExchangeSimulator;
  readonly services: PushServices;
  readonly phones: Phones;
  readonly mail: Mail;
  readonly resting: Resting;
  readonly roles: RoleWatch;
  readonly random: Random;
  /** Since the clock of the ledger: everything that was acknowledged before is on both nodes. */
  togetherAtMs(): number;
  /** Waits until both nodes hold the same and one is active; with `isProtected`, until answers wait for both again. */
  together(isProtected: boolean): Promise<void>;
  stop(): Promise<void>;
}

export interface SceneOptions {
  readonly directory: string;
  readonly network: Network;
  readonly binary: string;
  readonly env: Readonly<Record<string, string>>;
  readonly random: Random;
  readonly phones: number;
  readonly hasFakeClock: boolean;
  readonly diskMegabytes: number | null;
  readonly rolesEveryMs: number;
  /** Nobody reaches a node but through the load balancer; default: some do. */
  readonly frontOnly?: boolean;
}

// Exchange's first repeat, after 30 s, comes after 1.5 s.
const TIME_SCALE = 20;
const TOGETHER_WITHIN_MS = 60_000;

/** Sets everything up in this process's namespace, which is the clients'; no node is started yet. */
export async function setPairScene(options: SceneOptions): Promise<PairScene> {
  const { directory, network, binary, env, random, hasFakeClock, diskMegabytes } = options;
  const { frontOnly = false } = options;
  const ledger = createLedger();
  const props = await makePairProps(directory);
  const common = { props, network, binary, env, hasFakeClock, diskMegabytes };
  const [one, two] = await Promise.all(NODES.map((name) => createPairNode({ ...common, name })));
  if (one === undefined || two === undefined) throw new Error("a pair has two nodes");
  const nodes = { "bell-a": one, "bell-b": two };
  // Callback URLs name the load balancer; now and then Exchange reaches a node itself.
  const hosts = {
    get [ADDRESS.clients]() {
      return pickAddress(random, frontOnly);
    },
  };
  const exchange = createExchangeSimulator({ ca: props.ca, timeScale: TIME_SCALE, hosts });
  const services: PushServices = await startPushServices(
    props,
    ADDRESS.clients,
    random,
    (node, token, push) => phones.receive(node, token, push),
  );
  const resting: Resting = createResting(() => phones.names());
  const phones: Phones = createPhones({
    count: options.phones,
    props,
    exchange,
    services: () => services,
    ledger,
    random,
    rests: resting.has,
    frontOnly,
  });
  for (const name of NODES) writePairConfig(props, name, services.urls[name]);
  const balancer: Running = await startBalancer(directory);
  const roles = watchRoles(props.ca, ledger.now, options.rolesEveryMs);
  let togetherAtMs = 0;

  async function isTogether(isProtected: boolean): Promise<boolean> {
    const askedAtMs = ledger.now();
    const [first, second] = await Promise.all(NODES.map((name) => nodes[name].status()));
    if (!first || !second) return false;
    const both = [first, second];
    const isEven = both.every(
      ({ link, here, lagRows, behindRows }) =>
        link?.up === true && here.seeding === "seeded" && here.serving && lagRows === 0 && behindRows === 0,
    );
    if (isEven) togetherAtMs = askedAtMs;
    const actives = both.filter(({ here }) => here.role === "active");
    if (!isEven || actives.length !== 1 || actives[0]?.here.rings !== true || roles.active() === null)
      return false;
    return !isProtected || both.every(({ waiting, protected: isSafe }) => waiting && isSafe);
  }

  return {
    props,
    network,
    nodes,
    ledger,
    exchange,
    services,
    phones,
    mail: createMail(exchange, ledger, random, resting.has),
    resting,
    roles,
    random,
    togetherAtMs: () => togetherAtMs,
    async together(isProtected) {
      const told = async () => {
        const statuses = await Promise.all(NODES.map((name) => nodes[name].status()));
        return JSON.stringify(statuses);
      };
      try {
        await until(() => isTogether(isProtected), "the pair is together", TOGETHER_WITHIN_MS);
      } catch {
        throw new Error(
          `the pair did not come together${isProtected ? " and wait for both" : ""}: ${await told()}`,
        );
      }
    },
    async stop() {
      await roles.stop();
      await exchange.stop();
      for (const name of NODES) {
        nodes[name].makeRoom();
        nodes[name].thaw();
        await nodes[name].kill();
      }
      balancer.kill("SIGKILL");
      await balancer.exited;
      await services.stop();
    },
  };
}

/**
 * Starts two empty nodes: one is told that it is the first, the other one is filled by it.
 * @param command that runs a node, if it is not the plain one
 */
export async function startPair(
  { nodes, together }: PairScene,
  command?: (node: NodeName) => readonly string[],
): Promise<void> {
  await nodes["bell-a"].start(command?.("bell-a"));
  await nodes["bell-a"].ask(PAIR_VERBS.first);
  await nodes["bell-b"].start(command?.("bell-b"));
  await together(true);
}

/** Where a run leaves its result. */
export function resultFile(directory: string): string {
  return join(directory, "result.json");
}
