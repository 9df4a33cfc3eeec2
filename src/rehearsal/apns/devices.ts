// The device tokens that the simulated APNs has given out, and which of them are dead since when.
import { ApnsRefusal } from "./refusal.ts";

/** The devices of the service. Tokens are compared in lower case. */
export interface ApnsDevices {
  /** A token that the service has given out to `app` (a bundle id); a dead one lives again. */
  register(token: string, app: string): void;
  /** The app was removed from the device at `sinceMs` (epoch milliseconds): 410 Unregistered from now on. */
  unregister(token: string, sinceMs: number): void;
  /** The token has expired at `sinceMs`: 410 ExpiredToken from now on. */
  expire(token: string, sinceMs: number): void;
  /** The service has never heard of the token, as of one from the other environment. */
  forget(token: string): void;
  /**
   * @throws ApnsRefusal BadDeviceToken, DeviceTokenNotForTopic, Unregistered or ExpiredToken
   */
  check(token: string, app: string): void;
}

interface Device {
  readonly app: string;
  readonly dead?: { readonly reason: "Unregistered" | "ExpiredToken"; readonly sinceMs: number };
}

/** No devices yet. */
export function createApnsDevices(): ApnsDevices {
  const devices = new Map<string, Device>();
  function kill(token: string, reason: "Unregistered" | "ExpiredToken", sinceMs: number): void {
    const device = devices.get(token.toLowerCase());
    if (device === undefined) throw new Error("only a registered token can die");
    devices.set(token.toLowerCase(), { app: device.app, dead: { reason, sinceMs } });
  }
  return {
    register(token, app) {
      devices.set(token.toLowerCase(), { app });
    },
    unregister: (token, sinceMs) => kill(token, "Unregistered", sinceMs),
    expire: (token, sinceMs) => kill(token, "ExpiredToken", sinceMs),
    forget(token) {
      devices.delete(token.toLowerCase());
    },
    check(token, app) {
      const device = devices.get(token);
      if (device === undefined) throw new ApnsRefusal("BadDeviceToken", "the token is not known here");
      if (device.app !== app) throw new ApnsRefusal("DeviceTokenNotForTopic", "the token is another app's");
      if (device.dead !== undefined) {
        throw new ApnsRefusal(device.dead.reason, "the token is dead", device.dead.sinceMs);
      }
    },
  };
}
