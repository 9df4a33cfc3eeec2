// One run, as a program in the clients' namespace: sets the pair up, breaks one thing after another under load, lets it
// heal, and leaves what the checker says. Started by run.ts.
import { existsSync } from "node:fs";
import { finish, logsOf, outcome } from "./ending.ts";
import { type Evidence, NODES } from "./evidence.ts";
import { FIRST_BACKUP, inject, mend } from "./faults.ts";
import { judge, release } from "./judging.ts";
import { watchLoad } from "./load.ts";
import { networkOf } from "./network.ts";
import { FAKETIME } from "./node.ts";
import { CLOCK_KINDS, describeFault, type FaultKind, plan, takeoverWithinMs } from "./plan.ts";
import { createRandom } from "./random.ts";
import type { Played, PlayOptions } from "./run.ts";
import { resultFile, setPairScene, startPair } from "./scene.ts";

const MAILS_A_SECOND = 4;
// 64 MB of it are the node's reserve.
const DISK_MEGABYTES = 100;
const ROLES_EVERY_MS = 100;

async function play(options: PlayOptions): Promise<Played> {
  const random = createRandom(options.seed);
  const kinds: readonly FaultKind[] = options.kinds.filter(
    (kind) => !CLOCK_KINDS.includes(kind) || existsSync(FAKETIME),
  );
  const steps = options.order ?? plan(random, options.faults, kinds).slice(options.skip);
  const scene = await setPairScene({
    directory: options.directory,
    network: networkOf(options.network),
    binary: options.binary,
    env: options.defect === null ? {} : { INBOXBELL_TEST_DEFECT: options.defect },
    random,
    phones: options.phones,
    hasFakeClock: kinds.some((kind) => CLOCK_KINDS.includes(kind)),
    diskMegabytes: kinds.includes("disk_full") ? DISK_MEGABYTES : null,
    rolesEveryMs: ROLES_EVERY_MS,
  });
  const { ledger, nodes, mail, phones } = scene;
  const limitMs = options.seconds === null ? Number.POSITIVE_INFINITY : options.seconds * 1000;
  const load = watchLoad(ledger.now, ledger.overloaded);
  let evidence: Evidence | null = null;
  // Those around the first loss, after which nothing is judged but the end.
  let logs: Played["logs"] | undefined;
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
      const [what, active] = [describeFault(fault), scene.roles.active()];
      ledger.note(`${what} (active: ${active ?? "nobody knows"})`);
      scene.resting.choose(random);
      ledger.calm.push({ fromMs: calmFromMs, toMs: ledger.now() });
      const fromMs = await inject(fault, scene, backedUpAtMs);
      await mend(scene);
      const mendedAtMs = ledger.now();
      await scene.together(false);
      calmFromMs = ledger.now();
      ledger.note(`together after ${Math.round(calmFromMs - mendedAtMs)} ms`);
      const withinMs = takeoverWithinMs(fault);
      if (withinMs !== null && active !== null)
        ledger.takeovers.push({ what, withinMs, fromMs, toMs: calmFromMs });
      if (logs !== undefined) {
        release(scene);
        continue;
      }
      const lost = await judge(scene, options.patienceMs);
      ledger.note(`judged after ${Math.round(ledger.now() - calmFromMs)} ms`);
      ledger.complaints.push(...lost.map((words) => `after ${what}: ${words}`));
      if (lost.length > 0) logs = logsOf(nodes);
    }
    evidence = await finish(scene, { patienceMs: options.patienceMs, calmFromMs });
  } catch (error) {
    ledger.complaints.push(error instanceof Error ? error.message : String(error));
  }
  load.stop();
  const played = outcome(scene, options.seed, evidence, logs);
  await scene.stop();
  return played;
}

const options = JSON.parse(process.argv[2] ?? "") as PlayOptions;
await Bun.write(resultFile(options.directory), JSON.stringify(await play(options)));
process.exit(0);
