// The ways to Apple, each used by all apps with the same credential, also across a reload of the configuration: a
// way ends when the last of its senders is stopped.
import { isDeepStrictEqual } from "node:util";
import type { ApnsRoute } from "./apns/sender.ts";
import type { Sender } from "./sender.ts";

export interface SharedRoute {
  /** What it was made from, to be compared. */
  readonly basis: unknown;
  readonly route: ApnsRoute;
  /** Senders that use it and were not stopped. */
  users: number;
}

/** The way with this basis among those in use, or a new one. */
export function routeFor(
  routes: Iterable<SharedRoute>,
  basis: unknown,
  create: () => ApnsRoute,
): SharedRoute {
  for (const shared of routes) {
    if (shared.users > 0 && isDeepStrictEqual(shared.basis, basis)) return shared;
  }
  return { basis, route: create(), users: 0 };
}

/** A sender over a shared way: its stop ends the way's connections only if nobody else uses them. */
export function senderOver(shared: SharedRoute, sender: Sender): Sender {
  let stopped = false;
  shared.users += 1;
  return {
    ...sender,
    stop() {
      if (stopped) return;
      stopped = true;
      shared.users -= 1;
      if (shared.users === 0) sender.stop();
    },
  };
}
