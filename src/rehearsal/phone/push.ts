// A push as it reaches an app, whichever service brought it.
import type { AcceptedPush } from "../apns/judge.ts";
import type { DeliveredMessage } from "../fcm/simulator.ts";

export type Platform = "apns" | "fcm";

export interface Push {
  /** Why, in the appliance's word; null if the push does not say. */
  readonly reason: string | null;
  /** The number for the icon, or null if the push leaves it alone. */
  readonly badge: number | null;
  readonly folder: string | null;
  /** Whether the system shows something by itself. */
  readonly visible: boolean;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** What an iPhone makes of it. */
export function fromApns(push: AcceptedPush): Push {
  const bell = (push.payload as { bell?: { reason?: unknown; folder?: unknown } }).bell;
  const aps = (push.payload as { aps?: { alert?: unknown } }).aps;
  return {
    reason: typeof bell?.reason === "string" ? bell.reason : null,
    badge: push.badge ?? null,
    folder: typeof bell?.folder === "string" ? bell.folder : null,
    visible: aps?.alert !== undefined,
    at: push.at,
  };
}

/** What an Android phone makes of it: the app itself sets the number. */
export function fromFcm(message: DeliveredMessage): Push {
  return {
    reason: message.reason ?? null,
    badge: message.unread ?? null,
    folder: message.data.folder ?? null,
    visible: message.visible,
    at: message.at,
  };
}
