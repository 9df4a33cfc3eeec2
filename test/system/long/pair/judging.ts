// Between a fault and the next: phones that rested since it are held against what they were answered, in both databases
// of the running nodes and on their screens. What the others do meanwhile covers nothing of theirs.
import { lostDeletions, lostRegistrations } from "./checker.ts";
import { NODES } from "./evidence.ts";
import type { Ledger } from "./ledger.ts";
import type { Acknowledged } from "./promises.ts";
import { lostBadges } from "./ring-checks.ts";
import type { PairScene } from "./scene.ts";
import { readRows, readWishes } from "./stores.ts";

const EVERY_MS = 250;
const COPY = "judged";

/**
 * What is lost after `patienceMs`, or nothing as soon as nothing is; then nobody rests any more. Both nodes run and are
 * together, all of the resting phones are hushed.
 */
export async function judge(scene: PairScene, patienceMs: number): Promise<readonly string[]> {
  const { ledger, phones, resting } = scene;
  const ids = new Set(await phones.settled([...resting.early, ...resting.late]));
  const fromMs = ledger.now();
  let lost = lossesOf(scene, ids, fromMs);
  while (lost.length > 0 && ledger.now() - fromMs < patienceMs) {
    await Bun.sleep(EVERY_MS);
    lost = lossesOf(scene, ids, fromMs);
  }
  for (const id of ids) if (lost.some((words) => words.includes(id))) explain(scene, id);
  release(scene);
  return lost;
}

/** What both nodes know of a registration, into the timeline. */
function explain({ ledger, nodes }: PairScene, id: string): void {
  const heard = ledger.subscriptions.filter((each) => each.id === id).map((each) => each.subscriptionId);
  for (const list of [
    ledger.puts.filter((each) => each.id === id),
    ledger.subscriptions.filter((each) => each.id === id),
    ledger.notified.filter(({ subscriptionId }) => heard.includes(subscriptionId)),
    ledger.pushes.filter((each) => each.id === id),
  ]) {
    for (const each of list) ledger.note(JSON.stringify(each));
  }
  for (const name of NODES) {
    for (const row of readRows(nodes[name].copyStore(COPY)).filter((line) => line.includes(id))) {
      ledger.note(`${name}: ${row}`);
    }
  }
}

/** Nobody rests any more. */
export function release({ phones, resting }: PairScene): void {
  resting.release();
  phones.wake();
}

/** @param deletedByMs deletions until then are judged, whose phone it ever was: nothing makes up for a lost one */
function lossesOf(
  { ledger, nodes }: PairScene,
  ids: ReadonlySet<string>,
  deletedByMs: number,
): readonly string[] {
  const stores = {
    "bell-a": readWishes(nodes["bell-a"].copyStore(COPY)),
    "bell-b": readWishes(nodes["bell-b"].copyStore(COPY)),
  };
  const evidence = { ...onlyOf(ledger, ids), stores };
  const deletions = evidence.deletions.filter(({ answered }) => (answered?.atMs ?? 0) < deletedByMs);
  return [
    ...lostRegistrations(evidence),
    ...lostDeletions({ ...evidence, deletions }),
    ...lostBadges({ ...evidence, pushes: ledger.pushes, quietFromMs: ledger.now() }),
  ];
}

/** What these registrations were answered, and all deletions. */
function onlyOf(ledger: Ledger, ids: ReadonlySet<string>): Acknowledged {
  return {
    puts: ledger.puts.filter(({ id }) => ids.has(id)),
    deletions: [...ledger.deletions.values()],
    subscriptions: ledger.subscriptions.filter(({ id }) => ids.has(id)),
    deaths: ledger.deaths,
    notified: ledger.notified,
    diskLosses: ledger.diskLosses,
  };
}
