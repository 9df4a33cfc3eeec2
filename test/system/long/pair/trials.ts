// How long nobody is active, measured again and again: a program in the clients' namespace, started by the benchmark.
// Prints one line for each trial, and the result as JSON in its directory.
import { NODES, otherNode } from "./evidence.ts";
import { mend } from "./faults.ts";
import { networkOf } from "./network.ts";
import { createRandom } from "./random.ts";
import { type PairScene, resultFile, setPairScene, startPair } from "./scene.ts";
import { longestGap } from "./spells.ts";

export const LOSSES = ["process", "host", "partition"] as const;
export type Loss = (typeof LOSSES)[number];

export interface TrialsOptions {
  readonly directory: string;
  readonly network: string;
  readonly binary: string;
  /** For each way of losing the active node. */
  readonly trials: number;
  readonly seed: number;
}

/** Milliseconds without an active node that clients reach, a value for each trial. */
export type Gaps = Readonly<Record<Loss, readonly number[]>>;

const PHONES = 10;
const ROLES_EVERY_MS = 20;
// Longer than any takeover.
const WATCHED_MS = 8_000;
const PARTED_MS = 5_000;
const PAUSE_MS = 500;

async function lose(loss: Loss, scene: PairScene): Promise<number> {
  const { roles, nodes, network, ledger, random } = scene;
  await scene.together(false);
  await Bun.sleep(random.between(PAUSE_MS, 2 * PAUSE_MS));
  const active = roles.active();
  if (active === null) throw new Error("no node is active before a trial");
  const fromMs = ledger.now();
  switch (loss) {
    case "process":
      await nodes[active].kill();
      break;
    case "host":
      network.isolate(active);
      break;
    case "partition":
      for (const node of NODES) network.cut(node);
      break;
  }
  if (loss === "partition") {
    await Bun.sleep(PARTED_MS);
  } else {
    const until = fromMs + WATCHED_MS;
    while (roles.role(otherNode(active)) !== "active" && ledger.now() < until)
      await Bun.sleep(ROLES_EVERY_MS);
    await Bun.sleep(PAUSE_MS);
  }
  // What happens at the healing of a partition is part of what it costs; a node that returns is not.
  if (loss === "partition") {
    network.heal();
    await scene.together(false);
  }
  const toMs = ledger.now();
  const spells = roles
    .spells()
    .filter(({ role, node }) => role === "active" && (loss === "partition" || node !== active));
  await mend(scene);
  return longestGap(
    spells
      .filter((spell) => spell.toMs > fromMs)
      .map((spell) => ({ fromMs: Math.max(fromMs, spell.fromMs), toMs: spell.toMs })),
    { fromMs, toMs },
  );
}

async function measure(options: TrialsOptions): Promise<Gaps> {
  const random = createRandom(options.seed);
  const scene = await setPairScene({
    directory: options.directory,
    network: networkOf(options.network),
    binary: options.binary,
    env: {},
    random,
    phones: PHONES,
    hasFakeClock: false,
    diskMegabytes: null,
    rolesEveryMs: ROLES_EVERY_MS,
  });
  const gaps: Record<Loss, number[]> = { process: [], host: [], partition: [] };
  try {
    await startPair(scene);
    await scene.phones.enrol();
    for (let trial = 0; trial < options.trials; trial += 1) {
      for (const loss of LOSSES) {
        const gap = await lose(loss, scene);
        gaps[loss].push(gap);
        scene.ledger.note(`${loss}: ${Math.round(gap)} ms`);
      }
    }
    return gaps;
  } finally {
    await scene.stop();
  }
}

if (import.meta.main) {
  const options = JSON.parse(process.argv[2] ?? "") as TrialsOptions;
  await Bun.write(resultFile(options.directory), JSON.stringify(await measure(options)));
  process.exit(0);
}
