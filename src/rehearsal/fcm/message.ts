// The rules of a message's fields (REST reference, projects.messages): what the real API refuses is refused here.
import { FcmRefusal } from "./refusal.ts";

/** A message that passed: what goes on to the phone. */
export interface AcceptedMessage {
  readonly token: string;
  readonly data: Readonly<Record<string, string>>;
  readonly unread?: number;
  readonly reason?: string;
  readonly priority: "high" | "normal";
  /** Whether Android shows something by itself. */
  readonly visible: boolean;
  readonly ttlSeconds?: number;
  readonly collapseKey?: string;
  readonly validateOnly: boolean;
}

type Json = Readonly<Record<string, unknown>>;

// A message of Android may have 4096 bytes of payload.
export const MESSAGE_LIMIT_BYTES = 4096;
const TOP = ["message", "validate_only", "validateOnly"];
const MESSAGE = [
  "name",
  "token",
  "topic",
  "condition",
  "data",
  "notification",
  "android",
  "apns",
  "webpush",
  "fcm_options",
  "fcmOptions",
];
const ANDROID = [
  "collapse_key",
  "collapseKey",
  "priority",
  "ttl",
  "restricted_package_name",
  "restrictedPackageName",
  "data",
  "notification",
  "fcm_options",
  "fcmOptions",
  "direct_boot_ok",
  "directBootOk",
  "bandwidth_constrained_ok",
  "restricted_satellite_ok",
];
const NOTIFICATION = ["title", "body", "image"];
const ANDROID_NOTIFICATION = [
  "title",
  "body",
  "icon",
  "color",
  "sound",
  "tag",
  "click_action",
  "clickAction",
  "body_loc_key",
  "bodyLocKey",
  "body_loc_args",
  "bodyLocArgs",
  "title_loc_key",
  "titleLocKey",
  "title_loc_args",
  "titleLocArgs",
  "channel_id",
  "channelId",
  "ticker",
  "sticky",
  "event_time",
  "eventTime",
  "local_only",
  "localOnly",
  "notification_priority",
  "notificationPriority",
  "default_sound",
  "defaultSound",
  "default_vibrate_timings",
  "default_light_settings",
  "vibrate_timings",
  "visibility",
  "notification_count",
  "notificationCount",
  "light_settings",
  "image",
  "proxy",
  "bypass_proxy_notification",
];

function refuse(field: string, description: string): never {
  throw new FcmRefusal("INVALID_ARGUMENT", [{ field, description }]);
}

function object(value: unknown, field: string, known: readonly string[] | null): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(field, "must be an object");
  for (const key of Object.keys(value)) {
    if (known !== null && !known.includes(key)) {
      refuse(field, `Invalid JSON payload received. Unknown name "${key}": Cannot find field.`);
    }
  }
  return value as Json;
}

function text(value: unknown, field: string): string {
  if (typeof value !== "string") refuse(field, "must be a string");
  return value;
}

function dataOf(value: unknown, field: string): Record<string, string> {
  if (value === undefined) return {};
  const data: Record<string, string> = {};
  for (const [key, item] of Object.entries(object(value, field, null))) {
    if (key === "from" || key === "message_type" || /^(google|gcm)\./.test(key))
      refuse(field, `"${key}" is reserved`);
    data[key] = text(item, `${field}.${key}`);
  }
  return data;
}

/**
 * Checks the body of `messages:send`.
 * @throws FcmRefusal INVALID_ARGUMENT naming the field
 */
export function checkMessage(body: Buffer, bodyBytes: number): AcceptedMessage {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    refuse("", "Invalid JSON payload received.");
  }
  const top = object(json, "", TOP);
  const message = object(top.message, "message", MESSAGE);
  if (bodyBytes > MESSAGE_LIMIT_BYTES) refuse("message", "Message is too big");
  const targets = ["token", "topic", "condition"].filter((name) => message[name] !== undefined);
  if (targets.length !== 1) refuse("message", "Recipient of the message is not set, or set more than once.");
  const token = text(message.token, "message.token");
  const android = message.android === undefined ? {} : object(message.android, "message.android", ANDROID);
  const common =
    message.notification === undefined
      ? null
      : object(message.notification, "message.notification", NOTIFICATION);
  const own =
    android.notification === undefined
      ? null
      : object(android.notification, "message.android.notification", ANDROID_NOTIFICATION);
  const priority =
    android.priority === undefined
      ? "normal"
      : text(android.priority, "message.android.priority").toLowerCase();
  if (priority !== "high" && priority !== "normal") refuse("message.android.priority", "Invalid value");
  const ttl = android.ttl === undefined ? null : text(android.ttl, "message.android.ttl");
  if (ttl !== null && !/^\d+(\.\d{1,9})?s$/.test(ttl))
    refuse("message.android.ttl", "Invalid duration; expected for example 3600s");
  const ttlSeconds = ttl === null ? undefined : Number.parseFloat(ttl);
  // Four weeks are the longest that FCM keeps a message.
  if (ttlSeconds !== undefined && ttlSeconds > 2_419_200) refuse("message.android.ttl", "Too long");
  const data = { ...dataOf(message.data, "message.data"), ...dataOf(android.data, "message.android.data") };
  const collapse = android.collapse_key ?? android.collapseKey;
  const unread = data.unread === undefined ? undefined : Number(data.unread);
  return {
    token,
    data,
    ...(unread === undefined ? {} : { unread }),
    ...(data.reason === undefined ? {} : { reason: data.reason }),
    priority,
    visible: common !== null || own !== null,
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(collapse === undefined ? {} : { collapseKey: text(collapse, "message.android.collapse_key") }),
    validateOnly: top.validate_only === true || top.validateOnly === true,
  };
}
