// What Exchange refuses in a `Subscribe` call for push notifications. Pure.
// Sources: Microsoft Learn, EWS reference: PushSubscriptionRequest, StatusFrequency, ResponseCode.
import type { Mailbox } from "./mailbox.ts";
import { EVENT_KINDS, type EventKind } from "./notification.ts";

export interface SubscribeRequest {
  readonly mailbox: string;
  /** Folder keys. */
  readonly folders: readonly string[];
  readonly eventTypes: readonly EventKind[];
  readonly statusFrequencyMinutes: number;
  /** The callback URL. */
  readonly url: string;
  /** Comes back as the header `CallerData`. */
  readonly callerData?: string;
}

/** An error answer of EWS. */
export class EwsError extends Error {
  readonly responseCode: string;

  constructor(responseCode: string, message: string) {
    super(message);
    this.name = "EwsError";
    this.responseCode = responseCode;
  }
}

/** Subscriptions per mailbox when the throttling policy sets no other limit. */
export const MAX_SUBSCRIPTIONS = 5000;

const MIN_STATUS_FREQUENCY = 1;
const MAX_STATUS_FREQUENCY = 1440;

/**
 * @param mailbox the mailbox named in the request, or null if there is none
 * @param existing how many subscriptions it has
 * @param limit `EwsMaxSubscriptions`
 * @returns the error Exchange answers with, or null when the request is good
 */
export function refuse(
  request: SubscribeRequest,
  mailbox: Mailbox | null,
  existing: number,
  limit: number,
): EwsError | null {
  const { folders, eventTypes, statusFrequencyMinutes, url, callerData } = request;
  if (mailbox === null) return new EwsError("ErrorNonExistentMailbox", "no mailbox of this name");
  if (folders.length === 0) return new EwsError("ErrorSchemaValidation", "no folder given");
  if (!folders.every((key) => mailbox.hasFolder(key)))
    return new EwsError("ErrorItemNotFound", "no such folder");
  if (eventTypes.length === 0) return new EwsError("ErrorSchemaValidation", "no event type given");
  const known: readonly string[] = EVENT_KINDS;
  if (!eventTypes.every((kind) => known.includes(kind))) {
    return new EwsError("ErrorSchemaValidation", "unknown event type");
  }
  if (
    !Number.isInteger(statusFrequencyMinutes) ||
    statusFrequencyMinutes < MIN_STATUS_FREQUENCY ||
    statusFrequencyMinutes > MAX_STATUS_FREQUENCY
  ) {
    return new EwsError("ErrorSchemaValidation", "StatusFrequency is not between 1 and 1440 minutes");
  }
  const protocol = URL.parse(url)?.protocol;
  if (protocol !== "https:" && protocol !== "http:") {
    return new EwsError("ErrorInvalidPushSubscriptionUrl", "the URL is not http or https");
  }
  if (callerData !== undefined && /[^\x20-\x7e]/.test(callerData)) {
    return new EwsError("ErrorSchemaValidation", "CallerData cannot travel in a header");
  }
  if (existing >= limit) {
    return new EwsError("ErrorExceededSubscriptionCount", "EwsMaxSubscriptions is reached");
  }
  return null;
}
