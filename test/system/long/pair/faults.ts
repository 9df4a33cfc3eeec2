// Breaks something, leaves it broken for a while, and mends it.
import { PAIR_VERBS } from "../../../../src/pair/status.ts";
import { goBack, loseDisk, replaceDisk, STALE } from "./disks.ts";
import { killWhileSwitching, returnAlone, strikeTwice } from "./double-faults.ts";
import { NODES, type NodeName, otherNode } from "./evidence.ts";
import type { PairNode } from "./node.ts";
import type { Fault, Who } from "./plan.ts";
import type { PairScene } from "./scene.ts";

/** The copy that `backup` restores; made when the run begins. */
export const FIRST_BACKUP = "first.backup";
const SWITCH_PAUSE_MS = 2_500;
// Clocks are read anew once a second.
const CLOCK_READ_MS = 1_500;
const MERGING_MS = 1_000;
// Mails at the moment of the fault, so that some are on their way.
const BURST = 4;
// Of those that rest from then on, so many phones renew at that moment; every one of their mailboxes changes.
const RENEW_SHARE = 0.5;

/** What breaks something has, and what it tells. */
export interface Breaking {
  readonly scene: PairScene;
  nodeOf(who: Who): PairNode;
  /** Makes traffic; what is at risk from then on is at its first call. */
  strike(): void;
  /** None of the nodes that ran since it struck could be active; from here on one can. */
  canLead(): void;
}

/**
 * Resolves when the fault is over; coming together again is waited for elsewhere.
 * @returns since when a node runs that can be active, as a rule since it struck; on the ledger's clock
 */
export async function inject(fault: Fault, scene: PairScene, backedUpAtMs: number): Promise<number> {
  const active = scene.roles.active() ?? "bell-a";
  let struckAtMs: number | null = null;
  let ledAtMs: number | null = null;
  const breaking: Breaking = {
    scene,
    nodeOf: (who) => scene.nodes[who === "active" ? active : otherNode(active)],
    strike() {
      scene.mail.burst(BURST);
      if (struckAtMs !== null) return;
      struckAtMs = scene.ledger.now();
      hush(scene, scene.resting.early);
    },
    canLead() {
      ledAtMs = scene.ledger.now();
    },
  };
  await breakAndMend(fault, breaking, backedUpAtMs);
  hush(scene, scene.resting.late);
  return ledAtMs ?? struckAtMs ?? scene.ledger.now();
}

/** The last that these do for now. */
function hush({ mail, phones, resting }: PairScene, mailboxes: readonly string[]): void {
  mail.burst(mailboxes.length, mailboxes);
  phones.renew(mailboxes.slice(0, Math.ceil(mailboxes.length * RENEW_SHARE)));
  resting.hush(mailboxes);
}

async function breakAndMend(fault: Fault, breaking: Breaking, backedUpAtMs: number): Promise<void> {
  const { scene, nodeOf, strike } = breaking;
  const { nodes, network, ledger } = scene;
  const nameOf = (who: Who): NodeName => nodeOf(who).name;

  switch (fault.kind) {
    case "kill": {
      const victims = fault.who === "both" ? NODES.map((name) => nodes[name]) : [nodeOf(fault.who)];
      strike();
      await Bun.sleep(scene.random.between(0, 30));
      await Promise.all(victims.map((node) => node.kill()));
      await Bun.sleep(fault.forMs);
      await Promise.all(victims.map((node) => node.start()));
      return;
    }
    case "freeze": {
      const node = nodeOf(fault.who);
      strike();
      const fromMs = ledger.now();
      node.freeze();
      await Bun.sleep(fault.forMs);
      ledger.freezes.push({ node: node.name, fromMs, toMs: ledger.now() });
      node.thaw();
      return;
    }
    case "cut": {
      strike();
      for (const name of fault.from === "both" ? NODES : [nameOf(fault.from)]) network.cut(name);
      await Bun.sleep(fault.forMs);
      network.heal();
      return;
    }
    case "isolate":
      strike();
      network.isolate(nameOf(fault.who));
      await Bun.sleep(fault.forMs);
      network.heal();
      return;
    case "lossy":
      network.thin();
      strike();
      await Bun.sleep(fault.forMs);
      network.heal();
      return;
    case "clock": {
      const node = nodeOf(fault.who);
      node.setClock(fault.seconds);
      strike();
      await Bun.sleep(fault.forMs);
      node.setClock(0);
      await Bun.sleep(CLOCK_READ_MS);
      return;
    }
    case "disk_full": {
      const node = nodeOf(fault.who);
      node.fillDisk();
      const until = ledger.now() + fault.forMs;
      while (ledger.now() < until) {
        strike();
        await Bun.sleep(250);
      }
      node.makeRoom();
      return;
    }
    case "switch":
      for (let n = 0; n < fault.times; n += 1) {
        const fromMs = ledger.now();
        const asked = NODES[n % NODES.length] ?? "bell-a";
        strike();
        // So that some rings are on their way.
        await Bun.sleep(scene.random.between(0, 150));
        const answer = await nodes[asked].ask(PAIR_VERBS.switch, {});
        ledger.note(`switched: ${JSON.stringify(answer)}`);
        ledger.switches.push({ fromMs, toMs: ledger.now() });
        if ((answer as { readonly result?: unknown }).result !== "done") {
          ledger.complaints.push(`a switch by hand was answered ${JSON.stringify(answer)}`);
        }
        await Bun.sleep(SWITCH_PAUSE_MS);
      }
      return;
    case "stale": {
      const node = nodeOf(fault.who);
      await goBack(node, fault.ageMs, breaking);
      await node.start();
      return;
    }
    case "backup": {
      const node = nodeOf(fault.who);
      await scene.together(false);
      await loseDisk(node, breaking, { sinceMs: backedUpAtMs, replace: () => node.restore(FIRST_BACKUP) });
      await node.start();
      return;
    }
    case "disk_lost": {
      const node = nodeOf(fault.who);
      const sinceMs = ledger.now();
      node.copyStore(STALE);
      await Bun.sleep(500);
      for (const name of NODES) network.cut(name);
      strike();
      // Shorter than `alone_after`: nothing that comes in now may be answered before the other node has it.
      await Bun.sleep(fault.stallMs);
      await loseDisk(node, breaking, {
        sinceMs,
        replace() {
          node.putBack(STALE);
          network.heal();
        },
      });
      await node.start();
      return;
    }
    case "replaced":
      await replaceDisk(nodeOf(fault.who), fault.times, breaking);
      return;
    case "twice":
      await strikeTwice(fault, breaking);
      return;
    case "switch_kill":
      await killWhileSwitching(fault, breaking);
      return;
    case "one_returns":
      await returnAlone(fault, breaking);
      return;
    case "clock_cut": {
      const node = nodeOf(fault.who);
      node.setClock(fault.seconds);
      for (const name of NODES) network.cut(name);
      strike();
      await Bun.sleep(fault.forMs);
      network.heal();
      // What each wrote alone is merged while they are apart.
      await Bun.sleep(MERGING_MS);
      node.setClock(0);
      await Bun.sleep(CLOCK_READ_MS);
    }
  }
}

/** Whatever was broken is whole, and both nodes run. */
export async function mend({ network, nodes }: PairScene): Promise<void> {
  network.heal();
  for (const name of NODES) {
    nodes[name].setClock(0);
    nodes[name].thaw();
    nodes[name].makeRoom();
    if (!nodes[name].isRunning()) await nodes[name].start();
  }
}
