// Faults that strike while something else is going on: a node that is being healed, a switch by hand, a node alone.
import { isPairWishAnswer, PAIR_VERBS } from "../../../../src/pair/status.ts";
import { emptyDisk, goBack } from "./disks.ts";
import { NODES, otherNode } from "./evidence.ts";
import type { Breaking } from "./faults.ts";
import type { PairNode } from "./node.ts";
import type { Fault, FirstStrike } from "./plan.ts";
import { watchUnseeded } from "./unseeded.ts";

type Of<Kind extends Fault["kind"]> = Extract<Fault, { readonly kind: Kind }>;

// So much the node misses that comes back, milliseconds.
const MISSED_MS = 1_000;
// An administrator who switches knows after that time what became of it; milliseconds.
const SWITCHED_WITHIN_MS = 10_000;

export async function strikeTwice(fault: Of<"twice">, breaking: Breaking): Promise<void> {
  const { scene, nodeOf, strike, canLead } = breaking;
  const { nodes, network, ledger } = scene;
  const it = nodeOf(fault.who);
  const other = nodes[otherNode(it.name)];
  await strikeFirst(fault.first, it, breaking);
  // What it lacks takes a while to come.
  network.thin();
  const filling = fault.first === "replaced" ? watchUnseeded(it, scene) : null;
  /** Again, in the middle of it. @returns whether the node was unseeded */
  async function again(): Promise<boolean> {
    await Bun.sleep(fault.afterMs);
    const status = await it.status();
    const seeding = status?.here.seeding ?? "not up";
    ledger.note(`again: ${it.name} is ${seeding}, ${status?.behindRows ?? "unknown"} rows behind`);
    strike();
    return seeding === "unseeded";
  }
  switch (fault.second) {
    case "kill_it":
      it.launch();
      await again();
      await it.kill();
      network.heal();
      await Bun.sleep(fault.forMs);
      await it.start();
      break;
    case "kill_other": {
      await it.start();
      const isUnseeded = await again();
      await other.kill();
      network.heal();
      await Bun.sleep(fault.forMs);
      await other.start();
      if (isUnseeded) canLead();
      break;
    }
    case "cut":
      await it.start();
      await again();
      for (const name of NODES) network.cut(name);
      await Bun.sleep(fault.forMs);
      network.heal();
      break;
  }
  await filling?.stop();
}

/** Leaves the node ready to be started. */
async function strikeFirst(first: FirstStrike, node: PairNode, breaking: Breaking): Promise<void> {
  switch (first) {
    case "kill":
      breaking.strike();
      await node.kill();
      await Bun.sleep(MISSED_MS);
      return;
    case "stale":
      await goBack(node, MISSED_MS, breaking);
      return;
    case "replaced":
      await emptyDisk(node, breaking);
      await Bun.sleep(MISSED_MS);
      return;
  }
}

export async function killWhileSwitching(fault: Of<"switch_kill">, breaking: Breaking): Promise<void> {
  const { scene, nodeOf, strike } = breaking;
  const { nodes, ledger, random } = scene;
  const node = nodeOf(fault.who);
  const asked = nodes[random.pick(NODES)];
  strike();
  const askedAtMs = ledger.now();
  const answering = asked.ask(PAIR_VERBS.switch, {}).catch(String);
  await Bun.sleep(fault.afterMs);
  await node.kill();
  await Bun.sleep(fault.forMs);
  await node.start();
  const answer = await answering;
  const tookMs = Math.round(ledger.now() - askedAtMs);
  ledger.note(`${asked.name} was asked to switch, ${node.name} was killed: ${JSON.stringify(answer)}`);
  // Whatever it is: a node that lives says what became of it, and in time.
  const isTold = isPairWishAnswer(answer) && tookMs < SWITCHED_WITHIN_MS;
  if (!isTold && asked !== node) {
    ledger.complaints.push(`a switch by hand was answered ${JSON.stringify(answer)} after ${tookMs} ms`);
  }
}

export async function returnAlone(fault: Of<"one_returns">, breaking: Breaking): Promise<void> {
  const { scene, nodeOf, strike, canLead } = breaking;
  const node = nodeOf(fault.who);
  const other = scene.nodes[otherNode(node.name)];
  strike();
  await Promise.all([node.kill(), other.kill()]);
  await Bun.sleep(fault.goneMs);
  await node.start();
  canLead();
  await Bun.sleep(fault.aloneMs);
  strike();
  await other.start();
}
