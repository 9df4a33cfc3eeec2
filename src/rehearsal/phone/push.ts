// A push as it reaches an app, whichever service brought it. An app built for Inboxbell knows the fields of the
// contract and no others, so anything else in a push is told as wrong. Pure.
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
  /** What is in it against the contract, or null. */
  readonly wrong: string | null;
}

const REASONS = ["mail", "changed", "calendar", "folder", "resubscribe", "test"];

type Fields = Readonly<Record<string, unknown>>;

/** What an iPhone makes of it: `{"aps": {…}, "bell": {"reason", "folder"?}}`. */
export function fromApns(push: Pick<AcceptedPush, "payload" | "badge" | "at">): Push {
  const { aps, bell, ...others } = push.payload;
  const fields = isFields(bell) ? bell : {};
  return {
    ...reasonOf(fields),
    badge: push.badge ?? null,
    visible: isFields(aps) && aps.alert !== undefined,
    at: push.at,
    wrong: Object.keys(others).length > 0 ? "it has members beside aps and bell" : wrongIn(fields),
  };
}

/** What an Android phone makes of it: `{reason, unread?, folder?}`; the app itself sets the number. */
export function fromFcm(message: Pick<DeliveredMessage, "data" | "unread" | "visible" | "at">): Push {
  const { unread, ...fields } = message.data;
  const badge = message.unread ?? null;
  return {
    ...reasonOf(fields),
    badge,
    visible: message.visible,
    at: message.at,
    wrong: unread !== undefined && badge === null ? "unread is not a count" : wrongIn(fields),
  };
}

function reasonOf(fields: Fields): Pick<Push, "reason" | "folder"> {
  return {
    reason: typeof fields.reason === "string" ? fields.reason : null,
    folder: typeof fields.folder === "string" ? fields.folder : null,
  };
}

function wrongIn(fields: Fields): string | null {
  const { reason, folder, ...others } = fields;
  if (Object.keys(others).length > 0) return "it carries more than reason and folder";
  if (typeof reason !== "string" || !REASONS.includes(reason)) return "its reason is unknown";
  if (reason === "resubscribe") return typeof folder === "string" ? null : "it does not say which folder";
  return folder === undefined ? null : `${reason} names a folder`;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
