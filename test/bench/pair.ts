// A pair of nodes: how long nobody is active when one is lost, how fast a node is filled, and what waiting for the
// other node costs.
import { LOSSES, type Loss } from "../system/long/pair/trials.ts";
import { type Appliance, startAppliance } from "./appliance.ts";
import { measureGaps } from "./pair-failover.ts";
import { createPairHouses, PAIR_NAMES } from "./pair-houses.ts";
import { type Filling, fill, getAhead, isTogether } from "./pair-seeding.ts";
import { cpuSeconds, MEASURED_CORE, moveTo, OTHER_NODE_CORE, until } from "./processes.ts";
import type { Aim, PartContext, PartResult, Row } from "./result.ts";
import { createHouse, type Stage } from "./stage.ts";
import { median, megabytes, milliseconds, percent, quantile, rate, whole } from "./statistics.ts";
import { createWrk, type Wrk } from "./wrk.ts";

const MOST_GAP_MS: Readonly<Record<Loss, number>> = { process: 1_000, host: 4_000, partition: 4_000 };
const LEAST_SHARE = 0.6;
const MOST_PAUSE_MS = 50;
const CONNECTIONS = 64;
const TOGETHER_MS = 120_000;
// What a node that was away has missed at most: an hour of a large company.
const MOST_MISSED = 100_000;

const WAYS: Readonly<Record<Loss, string>> = {
  process: "the active process is killed",
  host: "the active host is cut off",
  partition: "the link is cut, later mended",
};

export async function pairPart(stage: Stage, context: PartContext): Promise<PartResult> {
  const { scale, binary, tell } = context;
  const phones = scale.filled;
  const seed = await stage.seed(phones, "both");
  const single = await createHouse(stage, "single", seed, "p256", null);
  const [one, two] = await createPairHouses(stage, seed, "p256");
  const [nameOne, nameTwo] = PAIR_NAMES;
  const wrk = createWrk(stage);

  tell(`filling an empty node with ${whole(phones)} registrations`);
  const active = await startAppliance(binary, one);
  const seeding = await fill(stage, binary, active, nameOne, two, nameTwo);
  await seeding.node.stop();
  tell("one node gets ahead, then the other one catches up");
  await getAhead(wrk, one.exchangeUrl, phones, Math.min(phones, MOST_MISSED));
  const catchUp = await fill(stage, binary, active, nameOne, two, nameTwo);
  await until("answers wait for both nodes", TOGETHER_MS, () => isTogether(stage, PAIR_NAMES));

  tell(`${scale.rounds} rounds of a single node and the pair`);
  const alone = await startAppliance(binary, single);
  const turns: Record<"single" | "pair" | "apart", Turn[]> = { single: [], pair: [], apart: [] };
  const other = catchUp.node;
  const load = { phones, durationMs: scale.turnMs };
  moveTo(MEASURED_CORE, other.pid);
  for (let round = 0; round <= scale.rounds; round += 1) {
    const single = await turn(wrk, [alone], "bell", load);
    const pair = await turn(wrk, [active, other], "pair", load);
    moveTo(OTHER_NODE_CORE, other.pid);
    const apart = await turn(wrk, [active, other], "pair", load);
    moveTo(MEASURED_CORE, other.pid);
    // The first turns do not count.
    if (round === 0) continue;
    turns.single.push(single);
    turns.pair.push(pair);
    turns.apart.push(apart);
  }
  await Promise.all([alone.stop(), other.stop()]);
  await active.stop();
  for (const house of [single, one, two]) house.remove();

  tell(`${scale.trials} times each: ${LOSSES.map((loss) => WAYS[loss]).join("; ")}`);
  const gaps = await measureGaps(binary, scale.trials);
  const shareOf = (which: readonly Turn[]): number =>
    median(which.map(({ perSecond }, round) => perSecond / (turns.single[round]?.perSecond ?? Number.NaN)));
  const share = shareOf(turns.pair);
  const { longestPauseMs } = seeding.filling;
  return {
    name: "pair",
    title: "A pair of nodes",
    method: [
      `Without an active node: two nodes in network namespaces of their own, each asked for \`/primary\` every 20 ms over a connection that stays open; ${scale.trials} trials each, with the delivered \`takeover_after\` of 3 s. Counted from the fault to the first answer \`ROLE=ACTIVE\` that a client reaches; a load balancer's own check comes on top. In a partition clients reach both nodes: the longest time that none of them says that it is active, the healing included.`,
      `Filling: ${whole(phones)} registrations with a folder each, from the first word over the link until the new node has every row. Catching up: ${whole(Math.min(phones, MOST_MISSED))} notifications that the other node missed. The node that is filled has ${OTHER_NODE_CORE === 1 ? "core 1, which it shares with whoever asks" : "core 2"}. Pause: the longest answer of the active node's \`/livez\`, asked every 5 ms.`,
      `Throughput: every request on a new TLS connection (P-256, resumed), ${CONNECTIONS} at once, providers away. "On one core": both nodes share core 0, as if one host did the work of two, and the load has core 1. "The other node on another core": on two hosts that is so; here ${OTHER_NODE_CORE === 1 ? "it shares core 1 with the load, which slows both" : "it is core 2"}.`,
    ],
    rows: [
      ...LOSSES.map((loss) => gapRow(loss, gaps[loss])),
      fillingRow("filling an empty node", seeding.filling),
      fillingRow("catching up", catchUp.filling),
      pauseRow("filling an empty node", seeding.filling),
      pauseRow("catching up", catchUp.filling),
      { figure: "single node", value: rateOf(turns.single), detail: workOf(turns.single) },
      {
        figure: "pair on one core, answered by both",
        value: rateOf(turns.pair),
        detail: `${percent(share)} of the single node; ${workOf(turns.pair)}`,
      },
      {
        figure: "pair, the other node on another core",
        value: rateOf(turns.apart),
        detail: `${percent(shareOf(turns.apart))} of the single node; ${workOf(turns.apart)}`,
      },
    ],
    aims: [
      ...(["process", "host"] as const).map((loss): Aim => {
        const value = median(gaps[loss]);
        return {
          what: `without an active node when ${WAYS[loss]}: median under ${MOST_GAP_MS[loss] / 1000} s`,
          reached: value < MOST_GAP_MS[loss],
          value: milliseconds(value),
        };
      }),
      {
        what: `the pair answers at least ${percent(LEAST_SHARE)} of what a single node does on the same core`,
        reached: share >= LEAST_SHARE,
        value: percent(share),
      },
      {
        what: `no pause of the active node above ${MOST_PAUSE_MS} ms while an empty one is filled`,
        reached: longestPauseMs <= MOST_PAUSE_MS,
        value: milliseconds(longestPauseMs),
      },
    ],
    figures: { gaps, seeding: seeding.filling, catchUp: catchUp.filling, turns },
  };
}

function pauseRow(what: string, { longestPauseMs, p99Ms }: Filling): Row {
  return {
    figure: `longest pause of the active node while ${what}`,
    value: milliseconds(longestPauseMs),
    detail: `99 % up to ${milliseconds(p99Ms)}`,
  };
}

interface Turn {
  readonly perSecond: number;
  /** CPU time of each node for one notification, seconds: the one that is asked first. */
  readonly cpuSeconds: readonly number[];
}

/** @param nodes the one that is asked, then the other one of a pair */
async function turn(
  wrk: Wrk,
  nodes: readonly [Appliance, ...Appliance[]],
  target: "bell" | "pair",
  load: { readonly phones: number; readonly durationMs: number },
): Promise<Turn> {
  const url = nodes[0].house.exchangeUrl;
  const before = nodes.map(({ pid }) => cpuSeconds(pid));
  const { perSecond, requests } = await wrk.run({
    ...load,
    url,
    target,
    connections: CONNECTIONS,
    handshake: "resumed",
  });
  const used = nodes.map(({ pid }, at) => (cpuSeconds(pid) - (before[at] ?? 0)) / requests);
  return { perSecond, cpuSeconds: used };
}

function rateOf(turns: readonly Turn[]): string {
  return rate(median(turns.map(({ perSecond }) => perSecond)));
}

/** CPU time for one notification, of each node. */
function workOf(turns: readonly Turn[]): string {
  const micros = (node: number) =>
    Math.round(1e6 * median(turns.map(({ cpuSeconds }) => cpuSeconds[node] ?? 0)));
  const isPair = (turns[0]?.cpuSeconds.length ?? 0) > 1;
  return isPair
    ? `${micros(0)} µs CPU each, and ${micros(1)} µs of the other node`
    : `${micros(0)} µs CPU each`;
}

function gapRow(loss: Loss, values: readonly number[]): Row {
  return {
    figure: `without an active node: ${WAYS[loss]}`,
    value: milliseconds(median(values)),
    detail: `median of ${values.length}; 90 %: ${milliseconds(quantile(values, 0.9))}, longest: ${milliseconds(Math.max(...values))}`,
  };
}

function fillingRow(figure: string, filling: Filling): Row {
  const { rows, seconds, sendingBytes, filledBytes } = filling;
  return {
    figure,
    value: `${whole(rows / seconds)} rows/s`,
    detail: `${whole(rows)} rows in ${seconds.toFixed(1)} s; memory at most ${megabytes(sendingBytes)} sending, ${megabytes(filledBytes)} receiving`,
  };
}
