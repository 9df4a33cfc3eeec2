// One run, as a program in the clients' namespace: sets the pair up, breaks one thing after another under load, lets it
// heal, and leaves what the checker says. Started by run.ts.
import { existsSync } from "node:fs";
import { check, lostBadges } from "./checker.ts";
import { type Evidence, NODES } from "./evidence.ts";
import { FIRST_BACKUP, inject, mend } from "./faults.ts";
import { evidenceOf } from "./ledger.ts";
import { networkOf } from "./network.ts";
import { FAKETIME } from "./node.ts";
import { describeFault, type FaultKind, plan } from "./plan.ts";
import { createRandom } from "./random.ts";
import type { Played, PlayOptions } from "./run.ts";
import { type PairScene, resultFile, setPairScene, startPair } from "./scene.ts";
import { dumpStore } from "./stores.ts";

const MAILS_A_SECOND = 4;
// 64 MB of it are the node's reserve.
const DISK_MEGABYTES = 100;
const ROLES_EVERY_MS = 100;
// No ring for so long: nothing is on its way any more.
const STILL_MS = 2_500;
const KEPT_LINES = 400;

async function play(options: PlayOptions): Promise<Played> {
  const random = createRandom(options.seed);
  const kinds: readonly FaultKind[] = options.kinds.filter(
    (kind) => kind !== "clock" || existsSync(FAKETIME),
  );
  const steps = plan(random, options.faults, kinds).slice(options.skip);
  const scene = await setPairScene({
    directory: options.directory,
    network: networkOf(options.network),
    binary: options.binary,
    env: options.defect === null ? {} : { INBOXBELL_TEST_DEFECT: options.defect },
    random,
    phones: options.phones,
    hasFakeClock: kinds.includes("clock"),
    diskMegabytes: kinds.includes("disk_full") ? DISK_MEGABYTES : null,
    rolesEveryMs: ROLES_EVERY_MS,
  });
  const { ledger, nodes, mail, phones, exchange } = scene;
  const limitMs = options.seconds === null ? Number.POSITIVE_INFINITY : options.seconds * 1000;
  let evidence: Evidence | null = null;
  try {
    await startPair(scene);
    await phones.enrol();
    const backedUpAtMs = ledger.now();
    for (const name of NODES) if (kinds.includes("backup")) await nodes[name].backup(FIRST_BACKUP);
    phones.begin();
    mail.begin(MAILS_A_SECOND);
    let calmFromMs = ledger.now();
    for (const { fault, waitsForProtection, beforeMs } of steps) {
      if (ledger.now() > limitMs) break;
      if (waitsForProtection) await scene.together(true);
      await Bun.sleep(beforeMs);
      ledger.note(`${describeFault(fault)} (active: ${scene.roles.active() ?? "nobody knows"})`);
      ledger.calm.push({ fromMs: calmFromMs, toMs: ledger.now() });
      await inject(fault, scene, backedUpAtMs);
      await mend(scene);
      const mendedAtMs = ledger.now();
      await scene.together(false);
      calmFromMs = ledger.now();
      ledger.note(`together after ${Math.round(calmFromMs - mendedAtMs)} ms`);
    }
    mail.end();
    await phones.end();
    await scene.together(true);
    await quiet(scene, options.patienceMs);
    const [quietFromMs, quietAt] = [ledger.now(), Date.now()];
    const unended = await endings(scene, options.patienceMs);
    ledger.calm.push({ fromMs: calmFromMs, toMs: ledger.now() });
    await scene.roles.stop();
    await exchange.stop();
    // Both at once would do; one after the other shows that the second one takes over without a word of the first.
    for (const name of NODES) {
      const { code } = await nodes[name].stop();
      if (code !== 0) ledger.complaints.push(`${name} ended with ${code} when it was asked to stop`);
    }
    evidence = evidenceOf(ledger, {
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
  } catch (error) {
    ledger.complaints.push(error instanceof Error ? error.message : String(error));
  }
  const finding = evidence === null ? null : check(evidence);
  const played: Played = {
    seed: options.seed,
    violations: finding?.violations ?? ledger.complaints,
    counts: finding?.counts ?? null,
    timeline: ledger.timeline,
    logs: {
      "bell-a": nodes["bell-a"].lines().slice(-KEPT_LINES),
      "bell-b": nodes["bell-b"].lines().slice(-KEPT_LINES),
    },
  };
  await scene.stop();
  return played;
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

const options = JSON.parse(process.argv[2] ?? "") as PlayOptions;
await Bun.write(resultFile(options.directory), JSON.stringify(await play(options)));
process.exit(0);
