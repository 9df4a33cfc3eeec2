// Searches the schedules of what may go wrong with two nodes' roles: all small ones, or one by chance or by its events.
// Says what went wrong, with the events that led there.
import type { Beat } from "../../src/pair/types.ts";
import {
  canHappen,
  clock,
  END,
  EVENTS,
  LONG_AGO,
  type RoleCode,
  TAKEOVER,
  TICK_MS,
  type World,
} from "./role-scene.ts";
import { advance } from "./role-world.ts";

/** Worlds with the same name go on the same way: times are relative, epochs counted from the lowest. */
function nameOf(world: World): string {
  const { t, ends, cut, way, both, none } = world;
  let base = Number.POSITIVE_INFINITY;
  for (const { state, stored } of world.nodes) base = Math.min(base, stored, state?.epoch ?? stored);
  const say = (beat: Beat | null | undefined): unknown => {
    if (!beat) return 0;
    const { epoch, forMs: _, ...words } = beat;
    return [epoch - base, ...Object.values(words)];
  };
  const nodes = ([0, 1] as const).map((at) => {
    const node = world.nodes[at];
    const { state, stored, disk } = node;
    const ago = (time: number | null | undefined): number | null =>
      time === null || time === undefined ? null : Math.min(clock(at, t) - time, LONG_AGO * TICK_MS);
    const steps = (step: number | null): number | null =>
      step === null ? null : Math.min(t - step, LONG_AGO);
    const process = state !== null && [
      [state.paired, state.role, state.why, state.epoch - base, state.seeding, state.link, state.wasLinked],
      [state.refused, state.mark, state.writing && [state.writing.epoch - base, state.writing.become]],
      [state.handover && { ...state.handover, since: ago(state.handover.since) }, state.doubt?.why],
      [state.doubt?.since, state.wantsSince, state.heardAt, state.startedAt].map(ago),
      [state.now, state.cannotCommitSince, state.leaderlessSince].map(ago),
      Math.max(state.handoverNotBefore - clock(at, t), 0),
      say(state.peer?.beat),
    ];
    return [
      process,
      [
        node.isUp,
        stored - base,
        disk,
        disk === "bad" ? steps(node.badSince) : 0,
        node.seededIn,
        node.wishes,
        node.owesYield,
      ],
      // Only whether they are at or above what is stored matters.
      [Math.min(stored - node.lastReign, 3), Math.min(stored - node.known, 3), Math.min(t - node.bornAt, 4)],
      [
        steps(node.frozenAt),
        steps(node.wokeAt),
        node.yieldedAgo,
        node.kept,
        Math.min(node.unheard, 2 * TAKEOVER),
      ],
      node.writes.map(({ epoch, due }) => [epoch - base, due - t]),
      node.drains.map(({ since, due }) => [ago(since), due - t]),
      node.inbox.map((message) => (message === "closed" ? 0 : [steps(message.sentAt), say(message.beat)])),
    ];
  });
  const queues = world.queues.map((queue) =>
    queue.map(({ due, sentAt, beat }) => [Math.max(due - t, 0), Math.min(t - sentAt, LONG_AGO), say(beat)]),
  );
  const quiet = Math.min(world.quiet, END);
  const counts = [quiet, Math.min(world.healthy, 2 * TAKEOVER), Math.min(world.slowAgo, 4), both, none];
  return JSON.stringify([nodes, queues, ends, cut, way, counts]);
}

export interface Wrong {
  readonly what: string;
  /** The events in their order, each with the step at which it happened. */
  readonly events: readonly string[];
}

export interface Limits {
  /** At most so many events. */
  readonly events: number;
  /** The next event comes at most so many steps after the last one. */
  readonly gap: number;
}

interface Path {
  readonly world: World;
  readonly left: number;
  readonly since: number;
  readonly events: Events | null;
}

interface Events {
  readonly event: string;
  readonly before: Events | null;
}

function list(events: Events | null): string[] {
  const all: string[] = [];
  for (let at = events; at !== null; at = at.before) all.unshift(at.event);
  return all;
}

/**
 * Every schedule of at most so many events from a world on, each followed by time to settle.
 * @returns what went wrong first, or null, and how many different worlds there were
 */
export function exploreAll(
  code: RoleCode,
  from: World,
  limits: Limits,
): { wrong: Wrong | null; worlds: number } {
  // Hashes, since millions of names are too long to keep; two names with one of 64 bits are not met with.
  const seen = new Set<number | bigint>();
  let front: Path[] = [{ world: from, left: limits.events, since: 0, events: null }];
  while (front.length > 0) {
    const next: Path[] = [];
    for (const { world, left, since, events } of front) {
      const mayHappen = left > 0 && since < limits.gap;
      const choices = mayHappen ? EVENTS.filter((event) => canHappen(world, event)) : [];
      for (const event of [null, ...choices]) {
        const then = advance(code, world, event);
        const past = event === null ? events : { event: `${then.t - from.t}: ${event}`, before: events };
        if (then.wrong !== null)
          return { wrong: { what: then.wrong, events: list(past) }, worlds: seen.size };
        const remaining = event === null ? left : left - 1;
        const waited = event === null ? since + 1 : 0;
        if (then.quiet > END) continue;
        const name = Bun.hash(
          `${remaining > 0 ? Math.min(waited, limits.gap) : 0} ${remaining} ${nameOf(then)}`,
        );
        if (seen.has(name)) continue;
        seen.add(name);
        next.push({ world: then, left: remaining, since: waited, events: past });
      }
    }
    front = next;
  }
  return { wrong: null, worlds: seen.size };
}

/**
 * One schedule.
 * @param pick which of so many choices is taken
 */
export function exploreOne(
  code: RoleCode,
  from: World,
  steps: number,
  pick: (choices: number) => number,
): Wrong | null {
  let world = from;
  const events: string[] = [];
  let wait = pick(12);
  for (let at = 0; at < steps + END; at += 1) {
    let event: string | null = null;
    if (wait === 0 && at < steps) {
      const choices = EVENTS.filter((one) => canHappen(world, one));
      event = choices[pick(choices.length)] ?? null;
      wait = pick(4) === 0 ? pick(25) : pick(6);
      events.push(`${at}: ${event}`);
    } else if (wait > 0) wait -= 1;
    world = advance(code, world, event);
    if (world.wrong !== null) return { what: world.wrong, events };
  }
  return null;
}

/** A schedule given by its events, such as "3 kill 0": so many steps, then the event; settles at the end. */
export function play(code: RoleCode, from: World, schedule: readonly string[], settle = END): World {
  let world = from;
  for (const line of schedule) {
    const [wait, ...event] = line.split(" ");
    for (let at = 0; at < Number(wait); at += 1) world = advance(code, world, null);
    if (event.length > 0) world = advance(code, world, event.join(" "));
  }
  for (let at = 0; at < settle; at += 1) world = advance(code, world, null);
  return world;
}
