// Breaks something, leaves it broken for a while, and mends it.
import { PAIR_VERBS } from "../../../../src/pair/status.ts";
import { NODES, type NodeName, otherNode } from "./evidence.ts";
import type { PairNode } from "./node.ts";
import type { Fault, Who } from "./plan.ts";
import type { PairScene } from "./scene.ts";

/** The copy that `backup` restores; made when the run begins. */
export const FIRST_BACKUP = "first.backup";
const STALE = "stale";
const SWITCH_PAUSE_MS = 2_500;
// Mails at the moment of the fault, so that some are on their way.
const BURST = 4;

/** Resolves when the fault is over; coming together again is waited for elsewhere. */
export async function inject(fault: Fault, scene: PairScene, backedUpAtMs: number): Promise<void> {
  const { nodes, network, ledger, mail, roles } = scene;
  const active = roles.active() ?? "bell-a";
  const nodeOf = (who: Who): PairNode => nodes[nameOf(who)];
  const nameOf = (who: Who): NodeName => (who === "active" ? active : otherNode(active));
  const burst = () => mail.burst(BURST);

  /** The node's process ends and its database is another one, as old as `fromMs`. */
  async function lose(node: PairNode, sinceMs: number, replace: () => void | Promise<void>): Promise<void> {
    burst();
    await Bun.sleep(50);
    await node.kill();
    // What was acknowledged before both held the same is on the other node as well.
    const fromMs = Math.max(sinceMs, scene.togetherAtMs());
    ledger.diskLosses.push({ node: node.name, fromMs, toMs: ledger.now() });
    await replace();
    await node.start();
  }

  switch (fault.kind) {
    case "kill": {
      const victims = fault.who === "both" ? NODES.map((name) => nodes[name]) : [nodeOf(fault.who)];
      burst();
      await Bun.sleep(scene.random.between(0, 30));
      await Promise.all(victims.map((node) => node.kill()));
      await Bun.sleep(fault.forMs);
      await Promise.all(victims.map((node) => node.start()));
      return;
    }
    case "freeze": {
      const node = nodeOf(fault.who);
      burst();
      node.freeze();
      await Bun.sleep(fault.forMs);
      node.thaw();
      return;
    }
    case "cut": {
      burst();
      for (const name of fault.from === "both" ? NODES : [nameOf(fault.from)]) network.cut(name);
      await Bun.sleep(fault.forMs);
      network.heal();
      return;
    }
    case "isolate":
      burst();
      network.isolate(nameOf(fault.who));
      await Bun.sleep(fault.forMs);
      network.heal();
      return;
    case "lossy":
      network.thin();
      await Bun.sleep(fault.forMs);
      network.heal();
      return;
    case "clock": {
      const node = nodeOf(fault.who);
      node.setClock(fault.seconds);
      await Bun.sleep(fault.forMs);
      node.setClock(0);
      // Read anew once a second.
      await Bun.sleep(1_500);
      return;
    }
    case "disk_full": {
      const node = nodeOf(fault.who);
      node.fillDisk();
      const until = ledger.now() + fault.forMs;
      while (ledger.now() < until) {
        burst();
        await Bun.sleep(250);
      }
      node.makeRoom();
      return;
    }
    case "switch":
      for (let n = 0; n < fault.times; n += 1) {
        const fromMs = ledger.now();
        const asked = NODES[n % NODES.length] ?? "bell-a";
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
      const sinceMs = ledger.now();
      node.copyStore(STALE);
      await Bun.sleep(fault.ageMs);
      await lose(node, sinceMs, () => node.putBack(STALE));
      return;
    }
    case "backup": {
      const node = nodeOf(fault.who);
      await lose(node, backedUpAtMs, () => node.restore(FIRST_BACKUP));
      return;
    }
    case "disk_lost": {
      const node = nodeOf(fault.who);
      const sinceMs = ledger.now();
      node.copyStore(STALE);
      await Bun.sleep(500);
      for (const name of NODES) network.cut(name);
      burst();
      // Shorter than `alone_after`: nothing that comes in now may be answered before the other node has it.
      await Bun.sleep(fault.stallMs);
      await lose(node, sinceMs, () => {
        node.putBack(STALE);
        network.heal();
      });
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
