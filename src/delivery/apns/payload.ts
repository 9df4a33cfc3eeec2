// What an iPhone receives: the notification and its headers, as a pure function of the ring. Apple Developer
// Documentation: "Generating a remote notification", "Sending notification requests to APNs".
import type { AppConfig } from "../../config/types.ts";
import type { Ring } from "../../store/types.ts";

export interface ApnsMessage {
  readonly pushType: "alert" | "background";
  readonly priority: 10 | 5;
  /** Epoch **seconds** after which Apple stops trying. */
  readonly expiration: number;
  /** The JSON body. */
  readonly body: string;
}

// A badge never expires; 30 days is the longest that Apple keeps a notification for a phone that is off.
export const BADGE_LIFE_SECONDS = 30 * 24 * 3600;
// A wake-up is of no use hours later: by then the app has looked by itself, or the next ring has come.
export const WAKE_LIFE_SECONDS = 3600;

interface Aps {
  readonly badge?: number;
  readonly "content-available"?: 1;
  readonly "mutable-content"?: 1;
  readonly alert?: { readonly "loc-key": string };
  readonly sound?: string;
}

/**
 * Builds the notification for one ring. Nothing in it comes from Exchange but the unread count.
 * @param now epoch milliseconds
 */
export function apnsMessage(ring: Ring, app: Pick<AppConfig, "ring" | "texts">, now: number): ApnsMessage {
  const { badge } = ring;
  switch (ring.reason) {
    case "mail": {
      const shown: Aps =
        app.ring === "rich"
          ? { alert: { "loc-key": app.texts.newMessages }, sound: app.texts.sound, "mutable-content": 1 }
          : {};
      if (badge !== null) return alert(ring, 10, { badge, "content-available": 1, ...shown }, now);
      return app.ring === "rich"
        ? alert(ring, 10, { "content-available": 1, ...shown }, now)
        : wake(ring, now);
    }
    case "changed":
      // Somebody read mail elsewhere: the number changes silently, never with a text or a sound.
      return badge !== null ? alert(ring, 5, { badge }, now) : wake(ring, now);
    case "test":
      return alert(ring, 10, { alert: { "loc-key": app.texts.testRing } }, now);
    case "calendar":
    case "folder":
    case "resubscribe":
      return wake(ring, now);
  }
}

function alert(ring: Ring, priority: 10 | 5, aps: Aps, now: number): ApnsMessage {
  const life = aps.badge === undefined ? WAKE_LIFE_SECONDS : BADGE_LIFE_SECONDS;
  return message(ring, "alert", priority, aps, life, now);
}

// Apple: a background push carries `content-available` only and has priority 5.
function wake(ring: Ring, now: number): ApnsMessage {
  return message(ring, "background", 5, { "content-available": 1 }, WAKE_LIFE_SECONDS, now);
}

function message(
  ring: Ring,
  pushType: ApnsMessage["pushType"],
  priority: 10 | 5,
  aps: Aps,
  lifeSeconds: number,
  now: number,
): ApnsMessage {
  const bell =
    ring.reason === "resubscribe" && ring.folder !== null
      ? { reason: ring.reason, folder: ring.folder }
      : { reason: ring.reason };
  return {
    pushType,
    priority,
    expiration: Math.floor(now / 1000) + lifeSeconds,
    body: JSON.stringify({ aps, bell }),
  };
}

/**
 * The request's headers without the authorization. No `apns-collapse-id`: Apple keeps only one notification for
 * each app and device anyway, and a collapsed test or alert could hide another one on the lock screen.
 */
export function apnsHeaders(ring: Ring, message: ApnsMessage, topic: string): Record<string, string> {
  return {
    "apns-push-type": message.pushType,
    "apns-topic": topic,
    "apns-id": ring.apnsId,
    "apns-priority": String(message.priority),
    "apns-expiration": String(message.expiration),
  };
}
