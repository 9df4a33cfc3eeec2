// Asks both nodes for their role, many times a second, as a load balancer does.
import { NODES, type NodeName, type RoleSpell } from "./evidence.ts";
import { ADDRESS } from "./network.ts";
import { PORTS } from "./props.ts";

export interface RoleWatch {
  spells(): readonly RoleSpell[];
  /** What a node said last, if that was within the last second. */
  role(node: NodeName): "active" | "passive" | null;
  /** The node that says it is active, and its peer does not. */
  active(): NodeName | null;
  stop(): Promise<void>;
}

// Answers further apart than this do not make one spell, milliseconds.
const APART_MS = 700;
const FRESH_MS = 1_000;

/**
 * @param now the run's clock
 * @param everyMs between two questions to a node
 */
export function watchRoles(ca: string, now: () => number, everyMs: number): RoleWatch {
  const spells: RoleSpell[] = [];
  const last = new Map<NodeName, RoleSpell>();
  let isStopped = false;

  async function ask(node: NodeName): Promise<"active" | "passive" | null> {
    try {
      const response = await fetch(`https://${ADDRESS[node]}:${PORTS.exchange}/primary`, {
        signal: AbortSignal.timeout(APART_MS),
        tls: { ca },
      });
      const text = await response.text();
      return text.startsWith("ROLE=ACTIVE") ? "active" : text.startsWith("ROLE=PASSIVE") ? "passive" : null;
    } catch {
      return null;
    }
  }
  async function follow(node: NodeName): Promise<void> {
    while (!isStopped) {
      const askedAt = now();
      const role = await ask(node);
      if (role !== null) {
        const before = last.get(node);
        const joins = before?.role === role && askedAt - before.toMs < APART_MS;
        const fromMs = joins ? before.fromMs : askedAt;
        const spell = { node, role, fromMs, toMs: now(), lastAskedMs: askedAt };
        if (joins) spells.splice(spells.indexOf(before), 1);
        spells.push(spell);
        last.set(node, spell);
      }
      await Bun.sleep(Math.max(0, everyMs - (now() - askedAt)));
    }
  }
  const following = Promise.all(NODES.map(follow));
  const watch: RoleWatch = {
    spells: () => spells,
    role(node) {
      const spell = last.get(node);
      return spell !== undefined && now() - spell.toMs < FRESH_MS ? spell.role : null;
    },
    active() {
      const active = NODES.filter((node) => watch.role(node) === "active");
      return active.length === 1 ? (active[0] ?? null) : null;
    },
    async stop() {
      isStopped = true;
      await following;
    },
  };
  return watch;
}
