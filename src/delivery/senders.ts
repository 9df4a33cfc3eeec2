// Makes a sender for each app and platform that the configuration gives a credential for.
import { isDeepStrictEqual } from "node:util";
import type { ApnsConfig, ApnsCredential, AppConfig, Config, Secrets } from "../config/types.ts";
import type { Platform, Queue } from "../store/types.ts";
import { createApnsRoute, createApnsSender, routeKey } from "./apns/sender.ts";
import { createFcmSender } from "./fcm/sender.ts";
import type { Sender } from "./sender.ts";
import { routeFor, type SharedRoute, senderOver } from "./shared-routes.ts";
import { realTimers, type Timers } from "./timers.ts";
import { createTransport, type TransportOptions } from "./transport.ts";

export interface QueueSender {
  readonly queue: Queue;
  readonly sender: Sender;
}

/** A sender made from the configuration. */
export interface BuiltSender extends QueueSender {
  /** All that it was made from, to be compared with another configuration. */
  readonly basis: unknown;
  /** The way to Apple that it uses, or null. */
  readonly route: SharedRoute | null;
}

export interface SenderOptions {
  readonly config: Config;
  readonly secrets: Secrets;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  readonly timers?: Timers;
}

/**
 * Makes the senders of a configuration.
 * @param previous those in use: a sender whose configuration and credential are the same as before is given back
 *   itself, with its connections, and a way to Apple is shared with them. Whoever replaces them stops the others.
 */
export function createSenders(
  options: SenderOptions,
  previous: readonly BuiltSender[] = [],
): readonly BuiltSender[] {
  const { config, secrets, now, monotonicNow, random } = options;
  const egress = egressOf(config, secrets);
  const shared = {
    transport: createTransport(egress),
    timers: options.timers ?? realTimers,
    now,
    monotonicNow,
    random,
  };
  const routes = new Set(previous.flatMap(({ route }) => (route === null ? [] : [route])));

  /** The sender as it was, if nothing that it was made from has changed; else a new one. */
  function kept(
    queue: Queue,
    basis: unknown,
    make: () => Pick<BuiltSender, "sender" | "route">,
  ): BuiltSender {
    const same = previous.find(
      (each) =>
        each.queue.app === queue.app &&
        each.queue.platform === queue.platform &&
        isDeepStrictEqual(each.basis, basis),
    );
    return same ?? { queue, basis, ...make() };
  }

  function overApple(app: AppConfig, apns: ApnsConfig, credential: ApnsCredential) {
    const { environment, port, url } = apns;
    // A certificate is for one app.
    const owner = routeKey(apns, credential) === null ? app.id : null;
    const route = routeFor(routes, { owner, environment, port, url, credential, egress }, () =>
      createApnsRoute({ apns, credential, ...shared }),
    );
    routes.add(route);
    return { route, sender: senderOver(route, createApnsSender(app, apns.topic, route.route, now)) };
  }

  return config.apps.flatMap((app) => {
    const { id, ring, texts, apns, fcm } = app;
    const own = secrets.apps.get(id);
    const queue = (platform: Platform): Queue => ({ app: id, platform });
    const made: BuiltSender[] = [];
    if (apns !== null && own?.apns) {
      const credential = own.apns;
      const basis = { ring, texts, apns, credential, egress };
      made.push(kept(queue("apns"), basis, () => overApple(app, apns, credential)));
    }
    if (fcm !== null && own?.fcm) {
      const account = own.fcm;
      const make = () => ({ route: null, sender: createFcmSender({ app, fcm, account, ...shared }) });
      made.push(kept(queue("fcm"), { ring, texts, fcm, account, egress }, make));
    }
    return made;
  });
}

function egressOf({ egress: { proxy, noProxy } }: Config, secrets: Secrets): TransportOptions {
  if (proxy === null) return { ca: secrets.egressCa };
  const { url, user } = proxy;
  const password = secrets.egressProxyPassword;
  const known = user === null || password === null ? null : { name: user.name, password };
  return { ca: secrets.egressCa, proxy: { url, user: known, exempt: noProxy } };
}
