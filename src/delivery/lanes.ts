// The queues at work: a lane for each app and platform that has a sender. What a lane's state means is in lane.ts.
import type { Queue } from "../store/types.ts";
import type { LaneState } from "./lane.ts";
import type { Sender } from "./sender.ts";

export interface Lane {
  readonly queue: Queue;
  sender: Sender;
  state: LaneState;
  /** Registrations whose ring is on its way, or answered and not yet noted. */
  readonly flying: Set<string>;
  /** How many of them have no answer yet. */
  unanswered: number;
  /** The store may hold more that is due than was taken. */
  more: boolean;
}

export interface Lanes {
  of(queue: Queue): Lane | undefined;
  add(lane: Lane): void;
  remove(lane: Lane): void;
  [Symbol.iterator](): Iterator<Lane>;
}

export function createLanes(): Lanes {
  const lanes = new Map<string, Lane>();
  return {
    of: (queue) => lanes.get(queueKey(queue)),
    add: (lane) => void lanes.set(queueKey(lane.queue), lane),
    remove: (lane) => void lanes.delete(queueKey(lane.queue)),
    [Symbol.iterator]: () => lanes.values(),
  };
}

/** A queue as a map's key. The platform comes first: it has no space, whatever the app is called. */
export function queueKey({ app, platform }: Queue): string {
  return `${platform} ${app}`;
}

/** Rings that may begin now, not counting a paused queue's probe. */
export function roomOf({ state, flying }: Lane): number {
  return state.pause === null ? Math.max(0, state.window - flying.size) : 0;
}
