// Follows the elements of a SendNotification and collects what is used of them. Matches namespace and local name,
// never a prefix. Deliberately not the published schema: real error notifications violate it (no Notification).
import type { EventKind, MalformedWhy, NotificationEvent, ResponseMessage } from "./notification.ts";

const SOAP = "http://schemas.xmlsoap.org/soap/envelope/";
const MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages";
const TYPES = "http://schemas.microsoft.com/exchange/services/2006/types";

// Usually 72 to 200 characters.
const MAX_SUBSCRIPTION_ID = 1024;
// Watermarks are about 40 characters, folder ids about 120.
const MAX_VALUE = 4096;
// One in practice; the schema allows many.
const MAX_MESSAGES = 100;
// Exchange sends at most 50 in a POST.
const MAX_EVENTS = 1000;
// xs:int
const MAX_COUNT = 2_147_483_647;

/** Ends the reading of a document that cannot be used. */
export class Refusal extends Error {
  readonly why: MalformedWhy;
  constructor(why: MalformedWhy) {
    super(why);
    this.why = why;
  }
}

/** An element as far as it matters here; everything unknown, with all inside it, is `skipped`. */
type Place =
  | "document"
  | "skipped"
  | "envelope"
  | "body"
  | "sendNotification"
  | "responseMessages"
  | "message"
  | "messageXml"
  | "notification"
  | "event"
  // Their text is a value.
  | "responseCode"
  | "errorValue"
  | "subscriptionId"
  | "previousWatermark"
  | "moreEvents"
  | "watermark"
  | "timeStamp"
  | "unreadCount";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface OpenMessage {
  readonly failed: boolean;
  responseCode: string | null;
  /** From MessageXml. */
  errorSubscriptionId: string | null;
  hasNotification: boolean;
  subscriptionId: string | null;
  previousWatermark: string | null;
  moreEvents: boolean;
  readonly events: NotificationEvent[];
}

interface Attribute {
  readonly uri: string;
  readonly value: string;
}
type Attributes = Readonly<Record<string, Attribute>>;

export interface Reader {
  /** An element begins. Throws `Refusal`. */
  open(uri: string, local: string, attributes: Attributes): void;
  text(text: string): void;
  /** The innermost open element ends. Throws `Refusal`. */
  close(): void;
  /** The document was complete. Throws `Refusal` if it held no response message. */
  finish(): readonly ResponseMessage[];
}

/** Makes a reader for one document; give it what a parser finds, in order. */
export function createReader(): Reader {
  const messages: ResponseMessage[] = [];
  const outer: Place[] = [];
  let place: Place = "document";
  let message: OpenMessage | null = null;
  let event: Mutable<NotificationEvent> | null = null;
  let eventCount = 0;
  let value = "";

  return {
    open(uri, local, attributes) {
      outer.push(place);
      const parent = place;
      if (isValue(parent)) throw new Refusal("wrong_shape");
      place = placeOf(parent, uri, local);
      value = "";
      switch (place) {
        case "message":
          message = emptyMessage(attribute(attributes, "ResponseClass") === "Error");
          if (messages.length >= MAX_MESSAGES) throw new Refusal("too_many_messages");
          return;
        case "notification":
          if (message?.hasNotification === true) throw new Refusal("wrong_shape");
          if (message !== null) message.hasNotification = true;
          return;
        case "event":
          eventCount += 1;
          if (eventCount > MAX_EVENTS) throw new Refusal("too_many_events");
          event = emptyEvent(uri === TYPES ? eventKind(local) : "other");
          return;
        case "errorValue":
          if (attribute(attributes, "Name") !== "SubscriptionId") place = "skipped";
          return;
        default:
          if (parent === "event" && place === "skipped" && uri === TYPES && event !== null) {
            noteId(event, local, attributes);
          }
      }
    },

    text(text) {
      if (!isValue(place)) return;
      value += text;
      if (value.length > MAX_VALUE) throw new Refusal("value_too_long");
    },

    close() {
      const closed = place;
      place = outer.pop() ?? "document";
      if (event !== null) {
        if (closed === "event") {
          message?.events.push(event);
          event = null;
        } else if (closed !== "skipped") noteEventValue(event, closed, value.trim());
      } else if (message !== null) {
        if (closed === "message") {
          messages.push(finishMessage(message));
          message = null;
        } else if (isValue(closed)) noteMessageValue(message, closed, value.trim());
      }
      value = "";
    },

    finish() {
      if (messages.length === 0) throw new Refusal("wrong_shape");
      return messages;
    },
  };
}

function placeOf(parent: Place, uri: string, local: string): Place {
  switch (parent) {
    case "document":
      return uri === SOAP && local === "Envelope" ? "envelope" : "skipped";
    case "envelope":
      return uri === SOAP && local === "Body" ? "body" : "skipped";
    case "body":
      return uri === MESSAGES && local === "SendNotification" ? "sendNotification" : "skipped";
    case "sendNotification":
      return uri === MESSAGES && local === "ResponseMessages" ? "responseMessages" : "skipped";
    case "responseMessages":
      return uri === MESSAGES && local === "SendNotificationResponseMessage" ? "message" : "skipped";
    case "message":
      if (uri !== MESSAGES) return "skipped";
      if (local === "Notification") return "notification";
      if (local === "ResponseCode") return "responseCode";
      return local === "MessageXml" ? "messageXml" : "skipped";
    case "messageXml":
      return uri === TYPES && local === "Value" ? "errorValue" : "skipped";
    case "notification":
      if (uri !== TYPES) return "event";
      if (local === "SubscriptionId") return "subscriptionId";
      if (local === "PreviousWatermark") return "previousWatermark";
      // Whatever else stands here is an event, known or not: a later Exchange may add some.
      return local === "MoreEvents" ? "moreEvents" : "event";
    case "event":
      if (uri !== TYPES) return "skipped";
      if (local === "Watermark") return "watermark";
      if (local === "TimeStamp") return "timeStamp";
      return local === "UnreadCount" ? "unreadCount" : "skipped";
    default:
      return "skipped";
  }
}

function isValue(place: Place): boolean {
  switch (place) {
    case "responseCode":
    case "errorValue":
    case "subscriptionId":
    case "previousWatermark":
    case "moreEvents":
    case "watermark":
    case "timeStamp":
    case "unreadCount":
      return true;
    default:
      return false;
  }
}

function eventKind(local: string): EventKind {
  switch (local) {
    case "StatusEvent":
      return "status";
    case "CreatedEvent":
      return "created";
    case "DeletedEvent":
      return "deleted";
    case "ModifiedEvent":
      return "modified";
    case "MovedEvent":
      return "moved";
    case "CopiedEvent":
      return "copied";
    case "NewMailEvent":
      return "newMail";
    case "FreeBusyChangedEvent":
      return "freeBusyChanged";
    default:
      return "other";
  }
}

function emptyMessage(failed: boolean): OpenMessage {
  return {
    failed,
    responseCode: null,
    errorSubscriptionId: null,
    hasNotification: false,
    subscriptionId: null,
    previousWatermark: null,
    moreEvents: false,
    events: [],
  };
}

function emptyEvent(kind: EventKind): Mutable<NotificationEvent> {
  return {
    kind,
    about: null,
    watermark: null,
    timeStamp: null,
    folderId: null,
    parentFolderId: null,
    unreadCount: null,
  };
}

/** The value of an attribute without namespace, null if there is none or an empty one. */
function attribute(attributes: Attributes, name: string): string | null {
  const found = attributes[name];
  return found === undefined || found.value === "" ? null : found.value;
}

/** Ids of items are not kept, nor is the place something was moved or copied from. */
function noteId(event: Mutable<NotificationEvent>, local: string, attributes: Attributes): void {
  switch (local) {
    case "ItemId":
      event.about = "item";
      return;
    case "FolderId":
      event.about = "folder";
      event.folderId = folderId(attributes);
      return;
    case "ParentFolderId":
      event.parentFolderId = folderId(attributes);
      return;
    default:
  }
}

// Only `Id` names the folder; `ChangeKey` changes with every change of it.
function folderId(attributes: Attributes): string | null {
  const id = attribute(attributes, "Id");
  if (id !== null && id.length > MAX_VALUE) throw new Refusal("value_too_long");
  return id;
}

function noteEventValue(event: Mutable<NotificationEvent>, place: Place, value: string): void {
  if (place === "watermark") event.watermark = value === "" ? null : value;
  else if (place === "timeStamp") event.timeStamp = parseTimeStamp(value);
  else if (place === "unreadCount") event.unreadCount = parseCount(value);
}

function noteMessageValue(message: OpenMessage, place: Place, value: string): void {
  switch (place) {
    case "responseCode":
      message.responseCode = value;
      return;
    case "errorValue":
      message.errorSubscriptionId = value;
      return;
    case "subscriptionId":
      if (message.subscriptionId !== null) throw new Refusal("subscription_id");
      message.subscriptionId = value;
      return;
    case "previousWatermark":
      message.previousWatermark = value === "" ? null : value;
      return;
    case "moreEvents":
      message.moreEvents = value === "true" || value === "1";
      return;
    default:
  }
}

function finishMessage(message: OpenMessage): ResponseMessage {
  const id = message.subscriptionId ?? message.errorSubscriptionId;
  const usable = id !== null && id !== "" && id.length <= MAX_SUBSCRIPTION_ID;
  const code = message.responseCode ?? "";
  if (message.failed || (!message.hasNotification && code !== "NoError" && code !== "")) {
    return {
      kind: "error",
      responseCode: /^[A-Za-z0-9]{1,64}$/.test(code) ? code : "unknown",
      subscriptionId: usable ? id : null,
    };
  }
  if (!message.hasNotification) throw new Refusal("wrong_shape");
  if (message.subscriptionId === null || !usable) throw new Refusal("subscription_id");
  return {
    kind: "events",
    subscriptionId: message.subscriptionId,
    previousWatermark: message.previousWatermark,
    moreEvents: message.moreEvents,
    events: message.events,
  };
}

const COUNT = /^\+?[0-9]{1,10}$/;
function parseCount(text: string): number | null {
  if (!COUNT.test(text)) return null;
  const count = Number(text);
  return count <= MAX_COUNT ? count : null;
}

// xs:dateTime; without a zone it is read as UTC, which is what Exchange means.
const TIME_STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/;
function parseTimeStamp(text: string): number | null {
  const parts = TIME_STAMP.exec(text);
  if (parts === null) return null;
  const milliseconds = (parts[1] ?? "").slice(0, 3).padEnd(3, "0");
  const time = Date.parse(`${text.slice(0, 19)}.${milliseconds}${parts[2] ?? "Z"}`);
  return Number.isNaN(time) ? null : time;
}
