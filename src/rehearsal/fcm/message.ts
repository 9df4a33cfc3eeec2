// The rules that FCM has for the content of a message: one recipient, permitted keys, size, priority, lifetime
// (REST reference, projects.messages; "Set and manage Android message priority"). Pure.
import { type Json, readRequest } from "./message-fields.ts";
import { FcmRefusal } from "./refusal.ts";

/** A message that passed: what goes on to the phone. */
export interface AcceptedMessage {
  /** The recipient's registration token; "" where the message is for a topic, which has no phones here. */
  readonly token: string;
  readonly data: Readonly<Record<string, string>>;
  /** `data.unread` as a number, where it is one. */
  readonly unread?: number;
  readonly reason?: string;
  readonly priority: "high" | "normal";
  /** Whether Android shows something by itself. */
  readonly visible: boolean;
  /** What it shows, where the message is for Android alone. */
  readonly shown?: Readonly<Record<string, unknown>>;
  readonly ttlSeconds?: number;
  readonly collapseKey?: string;
  readonly validateOnly: boolean;
}

/** Notification and data together may have this size. */
export const MESSAGE_LIMIT_BYTES = 4096;
// Four weeks are the longest that FCM keeps a message.
const TTL_LIMIT_SECONDS = 28 * 86_400;
const RESERVED = /^(from|message_type|google\..*|gcm\..*)$/;

/**
 * Checks the body of `messages:send`.
 * @throws FcmRefusal INVALID_JSON, INVALID_ARGUMENT or INVALID_TOKEN
 */
export function checkMessage(body: Buffer): AcceptedMessage {
  const request = readRequest(body);
  const message = child(request, "message");
  if (message === undefined) refuse("message", "Message is not set.");
  const token = recipientOf(message);
  const android = child(message, "android") ?? {};
  const data = { ...dataOf(message, "message.data"), ...dataOf(android, "message.android.data") };
  const size = sizeOf(message.notification) + sizeOf(android.notification) + sizeOf(data);
  if (size > MESSAGE_LIMIT_BYTES) refuse("message", "Message is too big");
  const ttlSeconds = ttlOf(android.ttl);
  const shown = child(android, "notification");
  const unread = data.unread !== undefined && /^\d{1,9}$/.test(data.unread) ? Number(data.unread) : undefined;
  return {
    token,
    data,
    ...(unread === undefined ? {} : { unread }),
    ...(data.reason === undefined ? {} : { reason: data.reason }),
    priority: priorityOf(android.priority),
    visible: message.notification !== undefined || android.notification !== undefined,
    ...(shown ? { shown } : {}),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(typeof android.collapse_key === "string" ? { collapseKey: android.collapse_key } : {}),
    validateOnly: request.validate_only === true,
  };
}

function refuse(field: string, description: string): never {
  throw new FcmRefusal("INVALID_ARGUMENT", [{ field, description }]);
}

// `readRequest` has checked the types; this only says so to the compiler.
function child(parent: Json, name: string): Json | undefined {
  return parent[name] as Json | undefined;
}

function recipientOf(message: Json): string {
  const given = ["token", "topic", "condition"].filter((name) => message[name] !== undefined);
  if (given.length === 0) refuse("message", "Recipient of the message is not set.");
  if (given.length > 1) refuse("message", "Exactly one of token, topic or condition must be set.");
  const { token, topic } = message;
  if (typeof topic === "string" && !/^[A-Za-z0-9\-_.~%]+$/.test(topic)) {
    refuse("message.topic", "Malformed topic name");
  }
  if (token === "") throw new FcmRefusal("INVALID_TOKEN");
  return typeof token === "string" ? token : "";
}

function dataOf(parent: Json, field: string): Readonly<Record<string, string>> {
  const data = (parent.data ?? {}) as Readonly<Record<string, string>>;
  for (const key of Object.keys(data)) {
    if (RESERVED.test(key)) refuse(field, `Invalid data payload key: ${key}`);
  }
  return data;
}

function sizeOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value !== "object" || value === null) return value === undefined ? 0 : 8;
  return Object.entries(value).reduce((sum, [key, item]) => sum + Buffer.byteLength(key) + sizeOf(item), 0);
}

function priorityOf(value: unknown): "high" | "normal" {
  switch (value) {
    case "high":
    case "HIGH":
      return "high";
    // Data messages are of normal priority unless the sender says otherwise.
    case undefined:
    case "normal":
    case "NORMAL":
      return "normal";
    default:
      return refuse("message.android.priority", `Invalid value at 'message.android.priority': ${value}`);
  }
}

function ttlOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^(\d+(\.\d{1,9})?)s$/.exec(String(value))?.[1];
  if (seconds === undefined) {
    refuse("message.android.ttl", `Invalid value at 'message.android.ttl' (a duration as 3600s): ${value}`);
  }
  if (Number(seconds) > TTL_LIMIT_SECONDS) refuse("message.android.ttl", "The ttl is longer than four weeks");
  return Number(seconds);
}
