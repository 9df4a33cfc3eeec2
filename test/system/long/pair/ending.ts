// The end of a run: traffic ends, everything comes to rest, both nodes stop, and what they hold is read.
import { check, lostBadges } from "./checker.ts";
import { type Evidence, NODES } from "./evidence.ts";
import { evidenceOf } from "./ledger.ts";
import type { Played } from "./run.ts";
import type { PairScene } from "./scene.ts";
import { dumpStore } from "./stores.ts";

// No ring for so long: nothing is on its way any more.
const STILL_MS = 2_500;
const KEPT_LINES = 400;

/**
 * @param end.patienceMs how long each part may take to become quiet
 * @param end.calmFromMs nothing has been broken since; on the ledger's clock
 */
export async function finish(
  scene: PairScene,
  { patienceMs, calmFromMs }: { readonly patienceMs: number; readonly calmFromMs: number },
): Promise<Evidence> {
  const { ledger, nodes, mail, phones, exchange } = scene;
  mail.end();
  await phones.end();
  await scene.together(true);
  await quiet(scene, patienceMs);
  const [quietFromMs, quietAt] = [ledger.now(), Date.now()];
  const unended = await endings(scene, patienceMs);
  ledger.calm.push({ fromMs: calmFromMs, toMs: ledger.now() });
  await scene.roles.stop();
  await exchange.stop();
  // Both at once would do; one after the other shows that the second one takes over without a word of the first.
  for (const name of NODES) {
    const { code } = await nodes[name].stop();
    if (code !== 0) ledger.complaints.push(`${name} ended with ${code} when it was asked to stop`);
  }
  return evidenceOf(ledger, {
    roles: scene.roles.spells(),
    stores: {
      "bell-a": dumpStore(nodes["bell-a"].files.database, quietAt),
      "bell-b": dumpStore(nodes["bell-b"].files.database, quietAt),
    },
    quietFromMs,
    unended,
    complaints: [
      ...scene.services.violations(),
      ...exchange.statistics().violations.map(({ rule, detail }) => `Exchange: ${rule} (${detail})`),
    ],
  });
}

/** The verdict on a run, with what explains it; without evidence it could not be ended. */
export function outcome({ ledger, nodes }: PairScene, seed: number, evidence: Evidence | null): Played {
  const finding = evidence === null ? null : check(evidence);
  return {
    seed,
    violations: finding?.violations ?? ledger.complaints,
    counts: finding?.counts ?? null,
    timeline: ledger.timeline,
    logs: {
      "bell-a": nodes["bell-a"].lines().slice(-KEPT_LINES),
      "bell-b": nodes["bell-b"].lines().slice(-KEPT_LINES),
    },
  };
}

/** Waits until Exchange has delivered all, every phone shows what it is owed, and rings have ended; or long enough. */
async function quiet({ exchange, ledger }: PairScene, patienceMs: number): Promise<void> {
  const until = ledger.now() + patienceMs;
  let isDelivered = false;
  void exchange.idle().then(() => {
    isDelivered = true;
  });
  const isStill = () => ledger.now() - (ledger.pushes.at(-1)?.atMs ?? 0) > STILL_MS;
  const isRight = () => {
    const deletions = [...ledger.deletions.values()];
    return lostBadges({ ...ledger, deletions, quietFromMs: ledger.now() }).length === 0;
  };
  while (ledger.now() < until && !(isDelivered && isStill() && isRight())) await Bun.sleep(250);
  if (!isDelivered) ledger.complaints.push("Exchange still waits to deliver notifications");
}

/** Every mailbox changes once more: subscriptions of deleted registrations have to end now. */
async function endings({ exchange, ledger }: PairScene, patienceMs: number): Promise<readonly string[]> {
  const gone = new Set(
    [...ledger.deletions.values()].flatMap(({ id, answered }) => (answered === null ? [] : id)),
  );
  const owners = new Map(ledger.subscriptions.map(({ subscriptionId, id }) => [subscriptionId, id]));
  const left = () =>
    exchange
      .subscriptions()
      .flatMap(({ id }) => owners.get(id) ?? [])
      .filter((id) => gone.has(id));
  const until = ledger.now() + patienceMs;
  do {
    // Again and again: some go to the passive node, which ends nothing.
    for (const box of exchange.mailboxes()) box.deliver();
    await Bun.sleep(STILL_MS);
  } while (left().length > 0 && ledger.now() < until);
  return left();
}
