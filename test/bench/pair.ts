// A pair of nodes: how long nobody is active when one is lost, how fast a node is filled, and what waiting for the
// other node costs.
import { LOSSES, type Loss } from "../system/long/pair/trials.ts";
import { type Appliance, startAppliance } from "./appliance.ts";
import { measureGaps } from "./pair-failover.ts";
import { createPairHouses, PAIR_NAMES } from "./pair-houses.ts";
import { type Filling, fill, getAhead, isTogether } from "./pair-seeding.ts";
import { until } from "./processes.ts";
import type { Aim, PartContext, PartResult, Row } from "./result.ts";
import { createHouse, type Stage } from "./stage.ts";
import { median, milliseconds, percent, quantile, rate, whole } from "./statistics.ts";
import { createWrk, type Wrk } from "./wrk.ts";

const MOST_GAP_MS: Readonly<Record<Loss, number>> = { process: 1_000, host: 4_000, partition: 4_000 };
const LEAST_SHARE = 0.6;
const MOST_PAUSE_MS = 50;
const CONNECTIONS = 64;
const TOGETHER_MS = 120_000;

const WAYS: Readonly<Record<Loss, string>> = {
  process: "the active process is killed",
  host: "the active host is cut off",
  partition: "the link is cut, later mended",
};

export async function pairPart(stage: Stage, context: PartContext): Promise<PartResult> {
  const { scale, binary, tell } = context;
  const seed = await stage.seed(scale.registrations, "both");
  const single = await createHouse(stage, "single", seed, "p256", null);
  const [one, two] = await createPairHouses(stage, seed, "p256");
  const [nameOne, nameTwo] = PAIR_NAMES;
  const wrk = createWrk(stage);

  tell(`filling an empty node with ${whole(scale.registrations)} registrations`);
  const active = await startAppliance(binary, one);
  const seeding = await fill(stage, binary, one, nameOne, two, nameTwo);
  await seeding.node.stop();
  tell("one node gets ahead, then the other one catches up");
  await getAhead(wrk, one.exchangeUrl, scale.registrations, scale.registrations);
  const catchUp = await fill(stage, binary, one, nameOne, two, nameTwo);
  await until("answers wait for both nodes", TOGETHER_MS, () => isTogether(stage, PAIR_NAMES));

  tell(`${scale.rounds} rounds of a single node and the pair`);
  const alone = await startAppliance(binary, single);
  const turns = { single: [] as number[], pair: [] as number[] };
  for (let round = 0; round <= scale.rounds; round += 1) {
    // The first turns do not count.
    const [singleRate, pairRate] = [
      await turn(wrk, alone, "bell", scale.registrations, scale.turnMs),
      await turn(wrk, active, "pair", scale.registrations, scale.turnMs),
    ];
    if (round === 0) continue;
    turns.single.push(singleRate);
    turns.pair.push(pairRate);
  }
  await Promise.all([alone.stop(), catchUp.node.stop()]);
  await active.stop();
  for (const house of [single, one, two]) house.remove();

  tell(`${scale.trials} times each: ${LOSSES.map((loss) => WAYS[loss]).join("; ")}`);
  const gaps = await measureGaps(binary, scale.trials);
  const share = median(turns.pair.map((perSecond, round) => perSecond / (turns.single[round] ?? Number.NaN)));
  const longestPauseMs = Math.max(seeding.filling.longestPauseMs, catchUp.filling.longestPauseMs);
  return {
    name: "pair",
    title: "A pair of nodes",
    method: [
      `Without an active node: two nodes in network namespaces of their own, each asked for \`/primary\` every 20 ms over a connection that stays open; ${scale.trials} trials each, with the delivered \`takeover_after\` of 3 s. Counted from the fault to the first answer \`ROLE=ACTIVE\` that a client reaches; a load balancer's own check comes on top. In a partition clients reach both nodes: the longest time that none of them says that it is active, the healing included.`,
      `Filling: ${whole(scale.registrations)} registrations with a folder each, from the first word over the link until the new node has every row. Catching up: as many notifications that the other node missed. Pause: the longest answer of the active node's \`/livez\`, asked every 5 ms.`,
      `Throughput: every request on a new TLS connection (P-256, resumed), ${CONNECTIONS} at once, providers away. All nodes share core 0, the load has core 1, so the passive node's work counts against the pair; on two hosts it does not.`,
    ],
    rows: [
      ...LOSSES.map((loss) => gapRow(loss, gaps[loss])),
      fillingRow("filling an empty node", seeding.filling),
      fillingRow("catching up", catchUp.filling),
      { figure: "longest pause of the active node meanwhile", value: milliseconds(longestPauseMs) },
      { figure: "single node", value: rate(median(turns.single)) },
      {
        figure: "pair, answered by both",
        value: rate(median(turns.pair)),
        detail: `${percent(share)} of the single node`,
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
        what: `the pair answers at least ${percent(LEAST_SHARE)} of what a single node does on the same machine`,
        reached: share >= LEAST_SHARE,
        value: percent(share),
      },
      {
        what: `no pause of the active node above ${MOST_PAUSE_MS} ms while another one is filled`,
        reached: longestPauseMs <= MOST_PAUSE_MS,
        value: milliseconds(longestPauseMs),
      },
    ],
    figures: { gaps, seeding: seeding.filling, catchUp: catchUp.filling, turns },
  };
}

async function turn(
  wrk: Wrk,
  { house }: Appliance,
  target: "bell" | "pair",
  phones: number,
  durationMs: number,
): Promise<number> {
  const load = { url: house.exchangeUrl, target, phones, durationMs, connections: CONNECTIONS } as const;
  const { perSecond } = await wrk.run({ ...load, handshake: "resumed" });
  return perSecond;
}

function gapRow(loss: Loss, values: readonly number[]): Row {
  return {
    figure: `without an active node: ${WAYS[loss]}`,
    value: milliseconds(median(values)),
    detail: `median of ${values.length}; 90 %: ${milliseconds(quantile(values, 0.9))}, longest: ${milliseconds(Math.max(...values))}`,
  };
}

function fillingRow(figure: string, { rows, seconds }: Filling): Row {
  return { figure, value: rate(rows / seconds), detail: `${whole(rows)} rows in ${seconds.toFixed(1)} s` };
}
