// The end of a run: traffic ends, everything comes to rest, both nodes stop, and what they hold is read.
import { check } from "./checker.ts";
import { type Evidence, NODES } from "./evidence.ts";
import { evidenceOf } from "./ledger.ts";
import { promisedDeletions } from "./promises.ts";
import { lostBadges, lostMeetings } from "./ring-checks.ts";
import type { Played } from "./run.ts";
import type { PairScene } from "./scene.ts";
import { dumpStore, readRows } from "./stores.ts";

// No ring for so long: nothing is on its way any more.
const STILL_MS = 2_500;
const COPY = "quiet";
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
  const quietRows = await quiet(scene, patienceMs);
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
    refusals: refusalsOf(scene),
    stores: {
      "bell-a": dumpStore(nodes["bell-a"].files.database, quietAt),
      "bell-b": dumpStore(nodes["bell-b"].files.database, quietAt),
    },
    quietRows,
    quietFromMs,
    unended,
    complaints: [
      ...scene.services.violations(),
      ...exchange.statistics().violations.map(({ rule, detail }) => `Exchange: ${rule} (${detail})`),
    ],
  });
}

/** Rings to tokens whose app is gone, by the registration that has or had the token. */
function refusalsOf({ ledger, phones, services }: PairScene): Evidence["refusals"] {
  const aheadMs = Date.now() - ledger.now();
  return services.refused().flatMap(({ at, node, token }) => {
    const id = phones.ownerOf(token);
    return id === null ? [] : [{ atMs: at - aheadMs, node, id }];
  });
}

/** The verdict on a run, with what explains it; without evidence it could not be ended. */
export function outcome(
  { ledger, nodes }: Pick<PairScene, "ledger" | "nodes">,
  seed: number,
  evidence: Evidence | null,
  logs = logsOf(nodes),
): Played {
  const finding = evidence === null ? null : check(evidence);
  return {
    seed,
    violations: finding?.violations ?? ledger.complaints,
    unjudged: finding?.unjudged ?? [],
    counts: finding?.counts ?? null,
    timeline: ledger.timeline,
    logs,
  };
}

/** The last log lines of each node so far. */
export function logsOf(nodes: PairScene["nodes"]): Played["logs"] {
  return {
    "bell-a": nodes["bell-a"].lines().slice(-KEPT_LINES),
    "bell-b": nodes["bell-b"].lines().slice(-KEPT_LINES),
  };
}

/**
 * Waits until Exchange has delivered all, every phone shows what it is owed, rings have ended and both nodes hold the
 * same; or long enough.
 * @returns what they hold
 */
async function quiet(scene: PairScene, patienceMs: number): Promise<Evidence["quietRows"]> {
  const { exchange, ledger, nodes } = scene;
  const until = ledger.now() + patienceMs;
  let isDelivered = false;
  void exchange.idle().then(() => {
    isDelivered = true;
  });
  const isStill = () => ledger.now() - (ledger.pushes.at(-1)?.atMs ?? 0) > STILL_MS;
  const isRight = () => {
    const so = { ...ledger, deletions: [...ledger.deletions.values()], quietFromMs: ledger.now() };
    return lostBadges(so).length === 0 && lostMeetings(so).length === 0;
  };
  const read = () => ({
    "bell-a": readRows(nodes["bell-a"].copyStore(COPY)),
    "bell-b": readRows(nodes["bell-b"].copyStore(COPY)),
  });
  const isQuiet = () => {
    if (!(isDelivered && isStill() && isRight())) return false;
    rows = read();
    return rows["bell-a"].join() === rows["bell-b"].join();
  };
  let rows: Evidence["quietRows"] | null = null;
  while (ledger.now() < until && !isQuiet()) await Bun.sleep(250);
  if (!isDelivered) ledger.complaints.push("Exchange still waits to deliver notifications");
  return rows ?? read();
}

/** Every mailbox changes once more: subscriptions of deleted registrations have to end now. */
async function endings({ exchange, ledger }: PairScene, patienceMs: number): Promise<readonly string[]> {
  const deletions = [...ledger.deletions.values()];
  const gone = new Set(promisedDeletions({ ...ledger, deletions }).map(({ id }) => id));
  const owners = new Map(ledger.subscriptions.map(({ subscriptionId, id }) => [subscriptionId, id]));
  const left = () =>
    exchange
      .subscriptions()
      .flatMap(({ id }) => owners.get(id) ?? [])
      .filter((id) => gone.has(id));
  const until = ledger.now() + patienceMs;
  do {
    // Again and again: some go to the passive node, which ends nothing.
    for (const box of exchange.mailboxes()) {
      box.deliver();
      box.changeCalendar();
    }
    await Bun.sleep(STILL_MS);
  } while (left().length > 0 && ledger.now() < until);
  return left();
}
