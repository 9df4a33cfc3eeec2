// Makes a sender for each app and platform that the configuration gives a credential for.
import type { ApnsConfig, ApnsCredential, Config, Secrets } from "../config/types.ts";
import type { Queue } from "../store/types.ts";
import { type ApnsRoute, createApnsRoute, createApnsSender, routeKey } from "./apns/sender.ts";
import { createFcmSender } from "./fcm/sender.ts";
import type { Sender } from "./sender.ts";
import { realTimers, type Timers } from "./timers.ts";
import { createTransport } from "./transport.ts";

export interface QueueSender {
  readonly queue: Queue;
  readonly sender: Sender;
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

export function createSenders(options: SenderOptions): readonly QueueSender[] {
  const { config, secrets, now, monotonicNow, random } = options;
  const shared = {
    transport: createTransport(secrets.egressCa),
    timers: options.timers ?? realTimers,
    now,
    monotonicNow,
    random,
  };
  const routes = new Map<string, ApnsRoute>();
  const routeOf = (apns: ApnsConfig, credential: ApnsCredential): ApnsRoute => {
    const key = routeKey(apns, credential);
    const route =
      (key === null ? undefined : routes.get(key)) ?? createApnsRoute({ apns, credential, ...shared });
    if (key !== null) routes.set(key, route);
    return route;
  };
  return config.apps.flatMap((app) => {
    const own = secrets.apps.get(app.id);
    const made: QueueSender[] = [];
    if (app.apns !== null && own?.apns) {
      const sender = createApnsSender(app, app.apns.topic, routeOf(app.apns, own.apns), now);
      made.push({ queue: { app: app.id, platform: "apns" }, sender });
    }
    if (app.fcm !== null && own?.fcm) {
      const sender = createFcmSender({ app, fcm: app.fcm, account: own.fcm, ...shared });
      made.push({ queue: { app: app.id, platform: "fcm" }, sender });
    }
    return made;
  });
}
