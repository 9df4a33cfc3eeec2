// Writes the XML of a notification exactly as Exchange does: SOAP 1.1, prefixes soap11, m and t, no indentation,
// no byte-order mark. Sources: MS-OXWSPSNTIF, MS-OXWSNTIF and published captures.

export interface ObjectRef {
  readonly type: "item" | "folder";
  readonly id: string;
  readonly changeKey: string;
}

/** Kinds of event that a subscriber may ask for. */
export const EVENT_KINDS = [
  "Copied",
  "Created",
  "Deleted",
  "Modified",
  "Moved",
  "NewMail",
  "FreeBusyChanged",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** Something that happened to an item or a folder. */
export interface ChangeEvent {
  readonly kind: EventKind;
  readonly watermark: string;
  /** Epoch milliseconds; written with a resolution of one second. */
  readonly at: number;
  readonly object: ObjectRef;
  readonly parent: ObjectRef;
  /** Where it was before, for `Moved` and `Copied`. */
  readonly old?: { readonly object: ObjectRef; readonly parent: ObjectRef };
  /** Total of the folder, on a folder's `Modified` only. */
  readonly unreadCount?: number;
}

/** A StatusEvent: nothing happened, the subscription lives. */
export interface StatusEvent {
  readonly kind: "Status";
  readonly watermark: string;
}

export interface Notification {
  readonly subscriptionId: string;
  readonly previousWatermark: string;
  readonly moreEvents: boolean;
  readonly events: readonly (ChangeEvent | StatusEvent)[];
}

const TYPES = "http://schemas.microsoft.com/exchange/services/2006/types";
const MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages";

/** The body of a POST that reports events. */
export function renderNotification(notification: Notification): string {
  const { subscriptionId, previousWatermark, moreEvents, events } = notification;
  return envelope(
    '<m:SendNotificationResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:Notification>' +
      element("SubscriptionId", subscriptionId) +
      element("PreviousWatermark", previousWatermark) +
      element("MoreEvents", String(moreEvents)) +
      events.map(renderEvent).join("") +
      "</m:Notification></m:SendNotificationResponseMessage>",
  );
}

// Microsoft's texts for the codes that are seen in practice; a localised server writes others.
const ERROR_TEXTS: Readonly<Record<string, string>> = {
  ErrorReadEventsFailed:
    "Unable to retrieve events for this subscription.  The subscription must be recreated.",
  ErrorServerBusy: "The server cannot service this request right now. Try again later.",
};

/** The body of a POST that reports an error: no Notification element, against the published schema. */
export function renderError(subscriptionId: string, code: string): string {
  return envelope(
    '<m:SendNotificationResponseMessage ResponseClass="Error">' +
      `<m:MessageText>${escapeText(ERROR_TEXTS[code] ?? code)}</m:MessageText>` +
      `<m:ResponseCode>${escapeText(code)}</m:ResponseCode><m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>` +
      `<m:MessageXml><t:Value Name="SubscriptionId">${escapeText(subscriptionId)}</t:Value></m:MessageXml>` +
      "</m:SendNotificationResponseMessage>",
  );
}

function envelope(message: string): string {
  return (
    '<?xml version="1.0" encoding="utf-8"?><soap11:Envelope xmlns:soap11="http://schemas.xmlsoap.org/soap/envelope/">' +
    `<soap11:Header><t:RequestServerVersion xmlns:m="${MESSAGES}" Version="Exchange2013_SP1" xmlns:t="${TYPES}" /></soap11:Header>` +
    `<soap11:Body><m:SendNotification xmlns:t="${TYPES}" xmlns:m="${MESSAGES}"><m:ResponseMessages>` +
    message +
    "</m:ResponseMessages></m:SendNotification></soap11:Body></soap11:Envelope>"
  );
}

function renderEvent(event: ChangeEvent | StatusEvent): string {
  const name = `${event.kind}Event`;
  if (event.kind === "Status") return `<t:${name}>${element("Watermark", event.watermark)}</t:${name}>`;
  const old =
    event.old === undefined
      ? ""
      : reference("Old", event.old.object) + folderReference("OldParentFolderId", event.old.parent);
  return (
    `<t:${name}>` +
    element("Watermark", event.watermark) +
    element("TimeStamp", new Date(event.at).toISOString().replace(/\.\d+Z$/, "Z")) +
    reference("", event.object) +
    folderReference("ParentFolderId", event.parent) +
    old +
    (event.unreadCount === undefined ? "" : element("UnreadCount", String(event.unreadCount))) +
    `</t:${name}>`
  );
}

function reference(prefix: "" | "Old", ref: ObjectRef): string {
  return folderReference(`${prefix}${ref.type === "item" ? "ItemId" : "FolderId"}`, ref);
}

function folderReference(name: string, ref: ObjectRef): string {
  return `<t:${name} Id="${escapeText(ref.id)}" ChangeKey="${escapeText(ref.changeKey)}" />`;
}

function element(name: string, text: string): string {
  return `<t:${name}>${escapeText(text)}</t:${name}>`;
}

function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
