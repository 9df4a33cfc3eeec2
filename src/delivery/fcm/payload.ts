// What an Android phone receives: the body of FCM's HTTP v1 `messages:send`, as a pure function of the ring.
// Firebase documentation: REST reference, projects.messages; "Set and manage Android message priority".
import type { TextKeys } from "../../config/types.ts";
import type { Ring } from "../../store/types.ts";

// A wake-up is of no use hours later; a newer count follows with the next mail anyway.
const TTL = "3600s";

export interface FcmTexts {
  readonly texts: TextKeys;
  /** Send data only: the app shows its own notification. */
  readonly dataOnly: boolean;
}

/**
 * Builds the request body. `priority` is high only where something visible follows on the phone: our
 * notification, or the app's own one where the app is set to data only; otherwise Google deprioritises the app.
 * There is no `collapse_key`: it would limit a device to a message in three minutes after a burst of 20.
 */
export function fcmBody(ring: Ring, app: FcmTexts): string {
  const data: Record<string, string> = { reason: ring.reason };
  const counted = ring.reason === "mail" || ring.reason === "changed";
  if (counted && ring.badge !== null) data.unread = String(ring.badge);
  if (ring.reason === "resubscribe" && ring.folder !== null) data.folder = ring.folder;
  const visible = visibleTexts(ring, app.texts);
  return JSON.stringify({
    message: {
      token: ring.token,
      data,
      android: {
        priority: visible === null ? "normal" : "high",
        ttl: TTL,
        ...(visible === null || app.dataOnly ? {} : { notification: visible }),
      },
    },
  });
}

function visibleTexts(ring: Ring, texts: TextKeys): { title_loc_key: string; body_loc_key: string } | null {
  switch (ring.reason) {
    case "mail":
      return { title_loc_key: texts.fcmTitle, body_loc_key: texts.fcmBody };
    case "test":
      return { title_loc_key: texts.testRing, body_loc_key: texts.testRing };
    case "changed":
    case "calendar":
    case "folder":
    case "resubscribe":
      return null;
  }
}
