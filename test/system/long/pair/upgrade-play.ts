// One upgrade of a pair under load, as a program in the clients' namespace: Exchange posts and phones register while the
// nodes change their versions one after the other. Started by upgrade.ts.
import { Database } from "bun:sqlite";
import { existsSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { PAIR_VERBS } from "../../../../src/pair/status.ts";
import { run, until } from "../../helpers.ts";
import { finish, outcome } from "./ending.ts";
import { NODES, type NodeName, otherNode } from "./evidence.ts";
import { networkOf } from "./network.ts";
import type { PairNode } from "./node.ts";
import { PORTS } from "./props.ts";
import { createRandom } from "./random.ts";
import type { Played } from "./run.ts";
import { type PairScene, resultFile, setPairScene, startPair } from "./scene.ts";
import { dumpStore } from "./stores.ts";
import type { Upgraded, UpgradeOptions } from "./upgrade.ts";

const MAILS_A_SECOND = 5;
const PHONES = 20;
const ROLES_EVERY_MS = 100;
const BACKUP = "before.backup";
// So long traffic goes on in each state, milliseconds.
const STAY_MS = 3_000;
const PATIENCE_MS = 60_000;
const TAKES_OVER = '"role":"active"';

const options = JSON.parse(process.argv[2] ?? "") as UpgradeOptions;
const seen: Record<string, unknown> = {};

const serve = (binary: string, node: PairNode) => [binary, "serve", "--config", node.files.configFile];

/** Stops a node in order and starts it with another executable. */
async function install({ ledger }: PairScene, node: PairNode, binary: string): Promise<void> {
  const { code } = await node.stop();
  if (code !== 0) ledger.complaints.push(`${node.name} ended with ${code} when it was asked to stop`);
  await node.start(serve(binary, node));
}

function activeOf({ nodes, roles }: PairScene): PairNode {
  const name = roles.active();
  if (name === null) throw new Error("no node is active, or both are");
  return nodes[name];
}

/** Moves the database of a node that does not run away, as an administrator who goes back. */
function moveAway(node: PairNode, to: string): void {
  for (const file of readdirSync(node.files.store)) {
    if (/^inboxbell\.db(-wal|-shm)?$/.test(file)) {
      renameSync(join(node.files.store, file), join(node.files.directory, `${to}-${file}`));
    }
  }
}

async function switchByHand(scene: PairScene): Promise<void> {
  const [from, { ledger, roles }] = [activeOf(scene), scene];
  const fromMs = ledger.now();
  const answer = (await from.ask(PAIR_VERBS.switch, {})) as { readonly result?: unknown };
  if (answer.result !== "done") ledger.complaints.push(`the switch was answered ${JSON.stringify(answer)}`);
  await until(() => roles.active() === otherNode(from.name), "the other node is active");
  ledger.switches.push({ fromMs, toMs: ledger.now() });
  // The load balancer follows.
  await Bun.sleep(STAY_MS);
}

/** Passive, switch, the other one; with a try and a way back before. */
async function neighbour(scene: PairScene): Promise<void> {
  const { ledger, nodes } = scene;
  const { older, newer } = options;
  await nodes["bell-a"].backup(BACKUP);
  seen.backedUpAtMs = ledger.now();
  const passive = nodes[otherNode(activeOf(scene).name)];
  ledger.note(`${passive.name}, which is passive, gets the newer version`);
  await install(scene, passive, newer);
  await scene.together(true);
  await Bun.sleep(STAY_MS);
  ledger.note(`${passive.name} goes back`);
  await passive.stop();
  const refused = passive.launch(serve(older, passive));
  seen.refused = { code: (await refused.exited).code, said: refused.lines.join("\n") };
  moveAway(passive, "newer");
  await passive.start(serve(older, passive));
  await scene.together(true);
  await Bun.sleep(STAY_MS);
  ledger.note(`${passive.name} gets the newer version again`);
  await install(scene, passive, newer);
  await scene.together(true);
  await Bun.sleep(STAY_MS);
  ledger.note("switched by hand");
  await switchByHand(scene);
  const last = nodes[otherNode(activeOf(scene).name)];
  ledger.note(`${last.name} gets the newer version`);
  await install(scene, last, newer);
  await scene.together(true);
  await Bun.sleep(STAY_MS);
}

/** A version that the other node does not understand, until the other one has it too. */
async function foreign(scene: PairScene): Promise<void> {
  const { ledger, nodes } = scene;
  const { older, newer } = options;
  const active = activeOf(scene);
  const passive = nodes[otherNode(active.name)];
  ledger.note(`${passive.name} gets a version that ${active.name} does not understand`);
  await install(scene, passive, newer);
  const actives = async () => {
    const both = await Promise.all([active.status(), passive.status()]);
    return both.every((status) => status?.here.role === "active" && status.here.rings);
  };
  await until(actives, "each goes on alone");
  const words = ledger.notified.length;
  await Bun.sleep(2 * STAY_MS);
  seen.words = ledger.notified.slice(words).map(({ durable }) => durable);
  for (const [who, node, binary] of [
    ["newer", passive, newer],
    ["older", active, older],
  ] as const) {
    const told = await run([binary, "pair", "status", "--config", node.files.configFile], {
      temporary: join(node.files.directory, "tmp"),
    });
    const url = `http://127.0.0.1:${PORTS.admin}/metrics`;
    const metrics = await run(scene.network.inside(node.name, ["curl", "-s", url]));
    const lines = node.lines().filter((line) => line.includes("The link to the other node is down."));
    seen[who] = { code: told.code, out: told.out, log: lines.at(-1) ?? "", metrics: metrics.out };
  }
  const { code } = await active.stop();
  if (code !== 0) ledger.complaints.push(`${active.name} ended with ${code} when it was asked to stop`);
  ledger.note(`${active.name} gets that version too`);
  await active.start(serve(newer, active));
  await scene.together(true);
}

/** Both have the newer version: the older one comes back with the backup from before. */
async function goBack({ nodes }: PairScene): Promise<void> {
  const [first, second] = NODES.map((name) => nodes[name]) as [PairNode, PairNode];
  await first.restore(BACKUP);
  await first.start(serve(options.older, first));
  moveAway(second, "newer-too");
  await second.start(serve(options.older, second));
  const told = () => Promise.all([first.status(), second.status()]);
  try {
    await until(
      async () => {
        const both = await told();
        const actives = both.filter((status) => status?.here.role === "active");
        return actives.length === 1 && both.every((status) => status?.protected && status.lagRows === 0);
      },
      "the pair of the older version is protected",
      PATIENCE_MS,
    );
  } catch (error) {
    throw new Error(`${String(error)}: ${JSON.stringify(await told())}`);
  }
  for (const node of [first, second]) await node.stop();
  const rows = (name: NodeName) => dumpStore(nodes[name].files.database, 0).rows;
  const kept = existsSync(first.files.store)
    ? readdirSync(first.files.store).filter((file) => file.includes("before-restore"))
    : [];
  seen.back = { first: rows("bell-a"), second: rows("bell-b"), kept: kept.length };
}

async function play(): Promise<Upgraded> {
  const scene = await setPairScene({
    directory: options.directory,
    network: networkOf(options.network),
    binary: options.older,
    env: {},
    random: createRandom(options.seed),
    phones: PHONES,
    hasFakeClock: false,
    diskMegabytes: null,
    rolesEveryMs: ROLES_EVERY_MS,
    frontOnly: true,
  });
  const { ledger, phones, mail, nodes } = scene;
  let played: Played | null = null;
  try {
    await startPair(scene, (name) => serve(options.older, nodes[name]));
    await phones.enrol();
    phones.begin();
    mail.begin(MAILS_A_SECOND);
    await Bun.sleep(STAY_MS);
    if (options.kind === "neighbour") await neighbour(scene);
    else await foreign(scene);
    seen.takeovers = NODES.map(
      (name) => nodes[name].lines().filter((line) => line.includes(TAKES_OVER)).length,
    );
    const calmFromMs = ledger.now();
    // Before the way back, on which phones are rung once more.
    played = outcome(scene, options.seed, await finish(scene, { patienceMs: PATIENCE_MS, calmFromMs }));
    seen.columns = NODES.map((name) => columnsOf(nodes[name].files.database));
    seen.early = ledger.puts.filter(({ atMs }) => atMs < Number(seen.backedUpAtMs)).map(({ id }) => id);
    if (options.kind === "neighbour") await goBack(scene);
  } catch (error) {
    seen.broken = error instanceof Error ? error.message : String(error);
  }
  played ??= outcome(scene, options.seed, null);
  await scene.stop();
  return { ...played, seen };
}

/** What stands in the columns that only the newer version has. */
function columnsOf(file: string): unknown {
  if (options.kind !== "neighbour") return null;
  const db = new Database(file, { readonly: true });
  try {
    const shades = "SELECT lower(hex(id)) AS id, shade FROM registration ORDER BY id";
    const weights =
      "SELECT lower(hex(registration)) AS id, name, weight FROM folder ORDER BY registration, name";
    return [db.query(shades).all(), db.query(weights).all()];
  } finally {
    db.close();
  }
}

await Bun.write(resultFile(options.directory), JSON.stringify(await play()));
process.exit(0);
