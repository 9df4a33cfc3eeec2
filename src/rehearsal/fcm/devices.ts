// The registration tokens that the simulated FCM has given out, and what became of them.
import { FcmRefusal } from "./refusal.ts";

export interface FcmDevices {
  /** A token given out to the app of this project; a dead one lives again. */
  register(token: string): void;
  /** The app was removed: UNREGISTERED from now on. */
  unregister(token: string): void;
  /** The token belongs to another sender's project. */
  reassign(token: string): void;
  /** @throws FcmRefusal UNREGISTERED, SENDER_ID_MISMATCH or INVALID_TOKEN */
  check(token: string): void;
}

type Standing = "known" | "unregistered" | "foreign";

/** No devices yet. */
export function createFcmDevices(): FcmDevices {
  const devices = new Map<string, Standing>();
  return {
    register: (token) => void devices.set(token, "known"),
    unregister: (token) => void devices.set(token, "unregistered"),
    reassign: (token) => void devices.set(token, "foreign"),
    check(token) {
      switch (devices.get(token)) {
        case "known":
          return;
        case "unregistered":
          throw new FcmRefusal("UNREGISTERED");
        case "foreign":
          throw new FcmRefusal("SENDER_ID_MISMATCH");
        case undefined:
          throw new FcmRefusal("INVALID_TOKEN");
      }
    },
  };
}
