// How fast an empty node is filled, how fast one that was away catches up, and how long the active one pauses meanwhile.
import { askNode } from "../../src/ops/control.ts";
import { isPairStatus, PAIR_VERBS, type PairStatus } from "../../src/pair/status.ts";
import { type Appliance, startAppliance } from "./appliance.ts";
import { memoryOf, OTHER_NODE_CORE, until } from "./processes.ts";
import type { House, Stage } from "./stage.ts";
import { quantile } from "./statistics.ts";
import type { Wrk } from "./wrk.ts";

export interface Filling {
  readonly rows: number;
  readonly seconds: number;
  /** The longest time that the active node took to say that it lives, milliseconds. */
  readonly longestPauseMs: number;
  /** The time within which 99 of 100 of those answers came, milliseconds. */
  readonly p99Ms: number;
  /** Resident memory at most, bytes: of the node that sends, and of the one that is filled. */
  readonly sendingBytes: number;
  readonly filledBytes: number;
}

// Between two questions whether the active node lives.
const LOOK_EVERY_MS = 5;
const LIMIT_MS = 900_000;

export async function pairStatusOf(stage: Stage, name: string): Promise<PairStatus | null> {
  const answer = await askNode(stage.socket(name), PAIR_VERBS.status, { timeoutMs: 2_000 }).catch(() => null);
  return isPairStatus(answer) ? answer : null;
}

/** Whether both hold the same, and answers wait for both. */
export async function isTogether(stage: Stage, names: readonly string[]): Promise<boolean> {
  const statuses = await Promise.all(names.map((name) => pairStatusOf(stage, name)));
  return statuses.every(
    (status) =>
      status?.link?.up === true &&
      status.here.seeding === "seeded" &&
      status.waiting &&
      status.protected &&
      status.behindRows === 0,
  );
}

/**
 * Starts the node that lacks rows, and waits until it has them.
 * @param active the other one, which runs
 * @param name of the one that is started
 */
export async function fill(
  stage: Stage,
  binary: string,
  active: Appliance,
  activeName: string,
  lacking: House,
  name: string,
): Promise<{ readonly filling: Filling; readonly node: Appliance }> {
  const pause = watchPauses(active.house.adminUrl);
  const begunAt = performance.now();
  let rows = 0;
  let linkedAt = begunAt;
  let sendingBytes = 0;
  // As on a host of its own: else its start alone would take the core away from the active one.
  const starting = startAppliance(binary, lacking, OTHER_NODE_CORE, LIMIT_MS);
  const look = async (): Promise<boolean> => {
    const status = await pairStatusOf(stage, activeName);
    if (status?.link?.up !== true) return false;
    if (rows === 0) linkedAt = performance.now();
    sendingBytes = Math.max(sendingBytes, memoryOf(active.pid).rss);
    rows = Math.max(rows, status.lagRows);
    const other = await pairStatusOf(stage, name);
    return other?.here.seeding === "seeded" && other.behindRows === 0 && status.lagRows === 0;
  };
  await until(`${name} has every row`, LIMIT_MS, look, 20);
  const seconds = (performance.now() - linkedAt) / 1000;
  const pauses = pause.stop();
  const node = await starting;
  const filledBytes = memoryOf(node.pid).peak;
  return { filling: { rows, seconds, ...pauses, sendingBytes, filledBytes }, node };
}

/** So many notifications for the active node alone, which the other one then lacks. */
export async function getAhead(wrk: Wrk, url: string, phones: number, count: number): Promise<void> {
  await wrk.run({
    url,
    target: "bell",
    handshake: "resumed",
    phones,
    connections: 64,
    durationMs: LIMIT_MS,
    keepAlive: true,
    count,
  });
}

function watchPauses(adminUrl: string): { stop(): Pick<Filling, "longestPauseMs" | "p99Ms"> } {
  const answersMs: number[] = [];
  let isStopped = false;
  const look = async (): Promise<void> => {
    while (!isStopped) {
      const askedAt = performance.now();
      await fetch(`${adminUrl}/livez`).then((answer) => answer.text());
      answersMs.push(performance.now() - askedAt);
      await Bun.sleep(LOOK_EVERY_MS);
    }
  };
  look().catch(() => {});
  return {
    stop() {
      isStopped = true;
      return { longestPauseMs: quantile(answersMs, 1), p99Ms: quantile(answersMs, 0.99) };
    },
  };
}
