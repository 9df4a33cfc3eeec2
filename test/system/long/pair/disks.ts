// Disks that are lost, and which answers the promise gives up with them: what a node answered for alone since both had the
// same, or since its last disk was lost, and no more.
import type { Breaking } from "./faults.ts";
import type { PairNode } from "./node.ts";
import { watchUnseeded } from "./unseeded.ts";

/** The name of a copy of the database as it was a moment ago. */
export const STALE = "stale";

// An answer is noted so much after its node sent it, milliseconds.
const NOTED_MS = 50;
// Somebody was acknowledged something before the node ends, milliseconds.
const BEFORE_MS = 50;
// To fill a database over a slow link, milliseconds; it goes on without it.
const FILLED_WITHIN_MS = 6_000;
// A new disk is lost again so long after its node came back, milliseconds: before it is filled, as a rule.
const AGAIN_MS = 700;
const GONE_MS = 400;

export interface Loss {
  /** What it alone answered for before is on the disk that it gets, or was never its own. */
  readonly sinceMs: number;
  /** Nothing is on the disk that it gets; default: something is. */
  readonly emptied?: boolean;
  readonly replace: () => void | Promise<void>;
}

/** The node's process ends and its database is another one; it is not started again. */
export async function loseDisk(
  node: PairNode,
  { scene, strike }: Breaking,
  { sinceMs, emptied = false, replace }: Loss,
): Promise<void> {
  const { ledger } = scene;
  strike();
  await Bun.sleep(BEFORE_MS);
  await node.kill();
  await Bun.sleep(NOTED_MS);
  // What was acknowledged before both held the same is on the other node as well.
  const fromMs = Math.max(sinceMs, scene.togetherAtMs());
  ledger.diskLosses.push({ node: node.name, fromMs, toMs: ledger.now(), emptied });
  await replace();
}

/** The node's process ends, and its database is as it was so long ago; it is not started again. */
export async function goBack(node: PairNode, ageMs: number, breaking: Breaking): Promise<void> {
  const sinceMs = breaking.scene.ledger.now();
  node.copyStore(STALE);
  await Bun.sleep(ageMs);
  await loseDisk(node, breaking, { sinceMs, replace: () => node.putBack(STALE) });
}

/** The node's process ends and all that its disk had is gone; it is not started again. */
export async function emptyDisk(node: PairNode, breaking: Breaking): Promise<void> {
  // So that no more is given up than what it answers for from now on.
  await breaking.scene.together(false);
  await loseDisk(node, breaking, { sinceMs: 0, emptied: true, replace: () => node.replaceDisk() });
}

/** The node gets an empty disk and is filled over a slow link, after having lost it again so many times less one. */
export async function replaceDisk(node: PairNode, times: number, breaking: Breaking): Promise<void> {
  const { network } = breaking.scene;
  await emptyDisk(node, breaking);
  network.thin();
  for (let n = 1; n < times; n += 1) {
    await Bun.sleep(GONE_MS);
    const filling = watchUnseeded(node, breaking.scene);
    await node.start();
    await Bun.sleep(AGAIN_MS);
    // Until it was filled it has answered nobody, which is watched.
    const sinceMs = filling.lastSeenMs() ?? 0;
    await loseDisk(node, breaking, { sinceMs, emptied: true, replace: () => node.replaceDisk() });
    await filling.stop();
  }
  await Bun.sleep(GONE_MS);
  const filling = watchUnseeded(node, breaking.scene);
  await node.start();
  await filling.over(FILLED_WITHIN_MS);
  network.heal();
}
